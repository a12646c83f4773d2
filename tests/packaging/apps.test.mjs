// Tests the packed package in typical projects: each connects and reads the test digits correctly.
import assert from "node:assert/strict";
import { appendFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createServer } from "vite";
import { launch } from "../support/chromium.mjs";
import { ORIGIN } from "../support/server.mjs";
import { digits, LABELS } from "./support/digits.mjs";
import { node, project, tool } from "./support/project.mjs";
import { serve } from "./support/site.mjs";
import { visit } from "./support/visit.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

/** Serves a folder, and returns the labels that its page logs. */
async function answers(folder) {
  const site = await serve(folder);
  try {
    return await visit(browser, `${site.origin}/`, digits[0].label);
  } finally {
    site.close();
  }
}

test("Node: the package is imported", async () => {
  const folder = await project("node");
  await writeFile(join(folder, "digits.json"), JSON.stringify(digits));
  assert.equal(await node(folder, "main.js", ORIGIN, "digits.json"), LABELS);
});

test("Node: the WebAssembly is loaded from every kind of source", async () => {
  const folder = await project("node");
  for (const source of ["package", "bytes", "buffer", "module", "response", "address"]) {
    assert.equal(await node(folder, "sources.js", source), "784", source);
  }
});

for (const app of ["vite", "vite-worker"]) {
  test(`${app}: built`, async () => {
    const folder = await project(app);
    await tool(folder, "vite", "build");
    assert.equal(await answers(join(folder, "dist")), LABELS);
  });
}

test("vite: served by the development server", async () => {
  const folder = await project("vite");
  const site = await serve(folder);
  const vite = await createServer({
    root: folder,
    logLevel: "error",
    server: { host: "127.0.0.1", port: 0, proxy: { "/v1": site.origin, "/digits.json": site.origin } },
  });
  try {
    await vite.listen();
    assert.equal(await visit(browser, vite.resolvedUrls.local[0], digits[0].label), LABELS);
  } finally {
    await vite.close();
    site.close();
  }
});

test("webpack: built", async () => {
  const folder = await project("webpack");
  await tool(folder, "webpack-cli", "--mode=production");
  assert.equal(await answers(folder), LABELS);
});

test("esbuild: built", async () => {
  const folder = await project("esbuild");
  await tool(folder, "esbuild", "main.js", "--bundle", "--format=esm", "--loader:.wasm=file", "--outdir=dist");
  assert.equal(await answers(folder), LABELS);
});

for (const app of ["plain", "plain-worker"]) {
  test(`${app}: served without a bundler`, async () => {
    assert.equal(await answers(await project(app)), LABELS);
  });
}

test("plain: modified WebAssembly is refused", async () => {
  const folder = await project("plain");
  // A custom section named "x", which every engine accepts.
  await appendFile(join(folder, "node_modules", "blindscore", "dist", "blindscore_bg.wasm"), Buffer.of(0, 2, 1, 0x78));
  await assert.rejects(answers(folder), /integrity|wasm_load/);
});
