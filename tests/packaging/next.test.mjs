// Builds and starts the Next.js project in the packed package's README: a server component and a
// client component read a digit.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { build } from "esbuild";
import { launch } from "../support/chromium.mjs";
import { ORIGIN } from "../support/server.mjs";
import { digits } from "./support/digits.mjs";
import { node, program, project, projectInside, tool } from "./support/project.mjs";
import { snippets } from "./support/readme.mjs";
import { visit } from "./support/visit.mjs";

process.env.NEXT_TELEMETRY_DISABLED = "1";
const [{ label: LABEL, features }] = digits;

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

/** Starts what was built, on a free port of this machine. */
async function start(folder) {
  const server = spawn(process.execPath, [program("next"), "start", "--hostname", "127.0.0.1", "--port", "0"], {
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const complaints = [];
  server.stderr.on("data", (chunk) => complaints.push(String(chunk)));
  after(() => server.kill());
  for await (const line of createInterface({ input: server.stdout })) {
    const [origin] = line.match(/http:\/\/127\.0\.0\.1:\d+/) ?? [];
    if (origin) return { origin, complaints };
  }
  throw new Error(`next start ended:\n${complaints.join("")}`);
}

test("Next.js: a server component and a client component", async () => {
  const folder = await projectInside("next");
  const readme = await readFile(join(folder, "node_modules", "blindscore", "README.md"), "utf8");
  const files = snippets(readme).filter(({ kind }) => ["js next", "jsx next"].includes(kind));
  for (const { file, code } of files) await writeFile(join(folder, file), code.replaceAll("https://scores.example", ORIGIN));
  await writeFile(join(folder, "images.js"), `export const images = ${JSON.stringify([features])};\n`);
  assert.match(await tool(folder, "next", "build"), /Turbopack/);

  const { origin, complaints } = await start(folder);
  const html = (await (await fetch(origin)).text()).replaceAll("<!-- -->", "");
  assert.match(html, /<h1>Models: .*mnist-linear/);
  assert.match(html, new RegExp(`<p>On the web server: ${LABEL}</p>`));
  await visit(browser, origin, LABEL, {
    first: async (page) => {
      // A click before React has attached itself to the server's HTML is lost.
      await page.waitForFunction(() => Object.keys(document.querySelector("button")).some((key) => key.startsWith("__reactProps")));
      await page.click("button");
    },
    last: (page) => page.waitForSelector(`text="In the browser: ${LABEL}"`),
  });
  assert.deepEqual(complaints, []);
});

test("a bundle for a server that puts the WebAssembly elsewhere says what to do", async () => {
  const folder = await project("node");
  await writeFile(join(folder, "bundled.js"), 'import { init } from "blindscore";\nawait init().catch(({ message }) => console.log(message));\n');
  await build({
    absWorkingDir: folder,
    entryPoints: ["bundled.js"],
    outfile: "out.mjs",
    bundle: true,
    platform: "node",
    format: "esm",
    define: { "import.meta.url": '"https://site.example/_next/static/media/out.mjs"' },
  });
  assert.match(await node(folder, "out.mjs"), /serverExternalPackages: \["blindscore"\]/);
});
