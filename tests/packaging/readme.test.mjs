// Runs every snippet in the packed package's README against the real server. Only the server's
// address is replaced. Compares tables of error codes with the source.
import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { transform } from "esbuild";
import ts from "typescript";
import { build } from "vite";
import { launch } from "../support/chromium.mjs";
import { serving } from "../support/models.mjs";
import { ORIGIN } from "../support/server.mjs";
import { digits } from "./support/digits.mjs";
import { node, project, tool } from "./support/project.mjs";
import { errors, problems, snippets } from "./support/readme.mjs";
import { POLICY, serve } from "./support/site.mjs";
import { starts, visit } from "./support/visit.mjs";

const ADDRESS = "https://scores.example";
const IMAGES = `export const images = ${JSON.stringify(digits.map(({ features }) => features))};\n`;
/** Every snippet scores the first digit, and logs a line that starts with its label. */
const [{ label: LABEL }] = digits;

const folder = await project("readme");
await writeFile(join(folder, "images.js"), IMAGES);
const installed = join(folder, "node_modules", "blindscore");
const readme = await readFile(join(installed, "README.md"), "utf8");
const found = snippets(readme);
const of = (kind) => found.filter((snippet) => snippet.kind === kind);

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

async function readsInNode(name, code) {
  await writeFile(join(folder, name), code.replaceAll(ADDRESS, ORIGIN));
  const lines = (await node(folder, name)).split("\n");
  assert.ok(
    lines.some((line) => starts(line, LABEL)),
    `logged: ${lines.join("\n")}`,
  );
}

/** Writes a page into a folder of the project. */
async function page(name, files) {
  await mkdir(join(folder, name), { recursive: true });
  const html = '<!doctype html>\n<script type="module" src="./main.js"></script>\n';
  for (const [file, content] of Object.entries({ "index.html": html, "images.js": IMAGES, ...files })) {
    await writeFile(join(folder, name, file), content);
  }
}

for (const { code, line } of of("js")) {
  test(`the snippet in line ${line} runs in Node`, () => readsInNode(`line-${line}.js`, code));
}

test("the snippet with a record runs in Node", async () => {
  const [{ code }, ...more] = of("js records");
  assert.deepEqual(more, []);
  const server = await serving({ churn: "mixed-onehot-logistic" });
  try {
    await writeFile(join(folder, "records.js"), code.replaceAll(ADDRESS, server.origin));
    assert.match(await node(folder, "records.js"), /^[01] Float64Array/m);
  } finally {
    await server.close();
  }
});

for (const { code, line } of of("ts")) {
  test(`the snippet in line ${line} compiles as strict TypeScript and runs`, async () => {
    const name = `line-${line}`;
    await writeFile(join(folder, `${name}.ts`), code);
    const strictly = ["--strict", "--skipLibCheck", "false", "--allowJs", "--noEmit", "--module", "nodenext"];
    await tool(folder, "tsc", ...strictly, "--target", "es2022", "--lib", "es2022,dom,esnext.disposable", `${name}.ts`);
    await readsInNode(`${name}.js`, (await transform(code, { loader: "ts", target: "node20" })).code);
  });
}

test("the pages work when built with Vite", async (context) => {
  const site = await serve(join(folder, "built"));
  after(() => site.close());
  const pages = [];
  let beside = {};
  for (const { code, file, line } of of("js browser")) {
    const here = code.replaceAll(ADDRESS, site.origin);
    if (file) {
      beside = { ...beside, [file]: here };
      continue;
    }
    pages.push(`line-${line}`);
    await page(pages.at(-1), { "main.js": here, ...beside });
    beside = {};
  }
  assert.deepEqual(beside, {}, "a file that no page uses");
  const input = pages.map((name) => join(folder, name, "index.html"));
  await build({ root: folder, logLevel: "error", build: { outDir: "built", rollupOptions: { input } } });
  for (const name of pages) {
    await context.test(name, () => visit(browser, `${site.origin}/${name}/`, LABEL));
  }
});

test("the page for esbuild works", async () => {
  const [main] = of("js esbuild");
  const [command] = of("sh esbuild");
  const site = await serve(join(folder, "esbuild"));
  after(() => site.close());
  const html = '<!doctype html>\n<script type="module" src="dist/main.js"></script>\n';
  await page("esbuild", { "main.js": main.code.replaceAll(ADDRESS, site.origin), "index.html": html });
  const [npx, ...words] = command.code.trim().split(" ");
  assert.equal(npx, "npx");
  await tool(join(folder, "esbuild"), ...words);
  await visit(browser, `${site.origin}/`, LABEL);
});

test("the page without a bundler works", async () => {
  const [main] = of("js plain");
  const [html] = of("html");
  const site = await serve(folder);
  after(() => site.close());
  await writeFile(join(folder, "index.html"), html.code);
  await writeFile(join(folder, "main.js"), main.code.replaceAll(ADDRESS, site.origin));
  await visit(browser, `${site.origin}/`, LABEL);
});

test("the content security policy is the one that these tests serve pages with", () => {
  assert.deepEqual(
    of("http").map(({ code }) => code),
    [`Content-Security-Policy: ${POLICY}\n`],
  );
});

test("snippets that must be unique occur once", () => {
  for (const kind of ["js esbuild", "sh esbuild", "js plain", "html", "http"]) assert.equal(of(kind).length, 1, kind);
  assert.deepEqual(
    of("sh").map(({ code }) => code),
    ["npm install blindscore\n"],
  );
});

test("the table of errors has every code, with its class and recovery", async () => {
  const table = errors(readme).flatMap(({ codes, ...row }) => codes.map((code) => ({ code, ...row })));
  const listed = (fromServer) => table.filter(({ kind }) => (kind === "ServerError") === fromServer).map(({ code }) => code);
  const types = await readFile(join(installed, "dist", "errors.d.ts"), "utf8");
  assert.deepEqual(listed(false).toSorted(), union(types, "ClientErrorCode"));
  assert.deepEqual(listed(true).toSorted(), union(types, "ServerErrorCode"));

  const told = table.filter(({ kind }) => kind === "ServerError").map(({ code, recovery }) => ({ code, recovery }));
  assert.deepEqual(
    told.toSorted(byCode),
    (await served()).map(({ code, recovery }) => ({ code, recovery })),
  );
});

test("the table in docs/http.md has every code, with its status and recovery", async () => {
  const table = problems(await readFile(new URL("../../docs/http.md", import.meta.url), "utf8"));
  assert.deepEqual(table.toSorted(byCode), await served());
});

/** Returns the server's codes as its source defines them, sorted: `{ code, status, recovery }`. */
async function served() {
  const source = await readFile(new URL("../../protocol/src/problem.rs", import.meta.url), "utf8");
  return [...source.matchAll(/= "(\w+)", (\d+), (\w+),/g)]
    .map(([, code, status, recovery]) => ({
      code,
      status: Number(status),
      recovery: recovery.replaceAll(/(?<!^)[A-Z]/g, "_$&").toLowerCase(),
    }))
    .toSorted(byCode);
}

function byCode(one, other) {
  return one.code < other.code ? -1 : 1;
}

/** Returns the members of a union of strings, sorted. */
function union(source, name) {
  const file = ts.createSourceFile("errors.d.ts", source, ts.ScriptTarget.ES2022);
  const declaration = file.statements.find((statement) => ts.isTypeAliasDeclaration(statement) && statement.name.text === name);
  return declaration.type.types.map(({ literal }) => literal.text).toSorted();
}
