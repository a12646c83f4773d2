// Follows docs/tutorial.md as a reader does: saves its files, types its commands into one shell,
// and compares their output with the document's. Only the port, cargo's target folder and the
// creation of the Python environment are replaced.
import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { setting } from "../support/environment.mjs";
import { Shell } from "./support/shell.mjs";
import { blocks, shown } from "./support/tutorial.mjs";

const REPOSITORY = fileURLToPath(new URL("../..", import.meta.url));
const PORT = "8080";
const MAKE_PYTHON = "python3 -m venv .venv";
const BUILT = "$PWD/target";

const target = setting("TUTORIAL_TARGET");
const port = await freePort();
const home = mkdtempSync(join(tmpdir(), "blindscore-tutorial-"));
const folder = join(home, "blindscore-tutorial");
// A clean environment: no variables of other tests, no keys of this user, and no network.
const { PATH, LANG } = process.env;
const shell = new Shell(REPOSITORY, { PATH, LANG, HOME: home, PIP_NO_INDEX: "1", npm_config_offline: "true" });
after(() => shell.close());
// Runs after the shell's own handler, which was registered first.
process.on("exit", () => rmSync(home, { recursive: true, force: true, maxRetries: 5 }));

const markdown = readFileSync(join(REPOSITORY, "docs/tutorial.md"), "utf8");
/** Returns code with the replacements made. */
function copied(code) {
  return code
    .replaceAll(PORT, port)
    .replaceAll(BUILT, target)
    .replaceAll(MAKE_PYTHON, `ln -s "${setting("TUTORIAL_PYTHON")}" .venv`);
}

test("the document contains each text to be replaced", () => {
  for (const text of [PORT, BUILT, MAKE_PYTHON]) assert.ok(markdown.includes(text), text);
});

let printed;
for (const { kind, file, code, line } of blocks(markdown)) {
  const [first] = code.split("\n");
  test(`line ${line}: ${kind} ${file ?? first}`, async () => {
    switch (kind) {
      case "build":
        for (const made of ["release/blindscore-server", "release/blindscore", "npm/blindscore-0.1.0.tgz"]) {
          assert.ok(existsSync(join(target, made)), made);
        }
        break;
      case "save":
        writeFileSync(join(folder, file), copied(code));
        break;
      case "type":
        printed = await shell.type(copied(code));
        break;
      case "read":
        assert.match(printed, shown(copied(code)));
    }
  });
}

test("no files, keys or processes are left", async () => {
  assert.ok(!existsSync(folder));
  const files = readdirSync(home, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  assert.deepEqual(
    files.filter(({ name }) => name.endsWith(".key")),
    [],
  );
  await assert.rejects(fetch(`http://127.0.0.1:${port}/healthz`), "the server still answers");
});

/** Returns a free port. */
async function freePort() {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address();
  listener.close();
  await once(listener, "close");
  return port;
}
