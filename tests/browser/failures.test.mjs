// Provokes failures; the page must explain each and recover.
import assert from "node:assert/strict";
import { utimesSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launch } from "../support/chromium.mjs";
import { OwnServer } from "../support/server.mjs";
import { keyStatus, Visitor } from "./support/visitor.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

/** Starts a server for one test and opens its page. Both are closed with the test. */
async function alone(context, options = {}) {
  const server = await OwnServer.start(options);
  context.after(() => server.close());
  return { server, visitor: await visit(context, server) };
}

async function visit(context, server, options = {}) {
  const visitor = await Visitor.open(browser, { origin: server.origin, ...options });
  context.after(() => visitor.close());
  return visitor;
}

test("when the server restarts, the page waits, then answers with the same key", async (context) => {
  const { server, visitor } = await alone(context);
  const keyId = await visitor.ready();
  assert.equal(await visitor.askExample(0), "7");
  await server.kill();
  await visitor.chooseExample(1);
  assert.match(await visitor.trouble("network"), /can’t be reached/);
  assert.match(await visitor.text("#trouble-next"), /Trying again in \d+ s/);
  await server.restart();
  assert.equal(await visitor.answered(), "2");
  assert.equal(await visitor.text("#key-id"), keyId);
});

test("'Try now' retries at once", async (context) => {
  const { server, visitor } = await alone(context);
  await visitor.ready();
  await visitor.page.click("#try-example");
  await visitor.page.waitForSelector("#examples button");
  await server.kill();
  await visitor.chooseExample(0);
  // After three failures, the next automatic retry is some seconds away.
  for (let failures = 0; failures < 3; failures += 1) {
    await visitor.trouble("network");
    await visitor.page.click("#retry");
  }
  await visitor.trouble("network");
  await server.restart();
  await visitor.page.click("#retry");
  assert.equal(await visitor.answered(), "7");
});

test("an expired key is replaced, and the page says so", async (context) => {
  const { server, visitor } = await alone(context);
  const keyId = await visitor.ready();
  const longAgo = Date.now() / 1000 - 31 * 24 * 3600;
  utimesSync(join(server.keysFolder, keyId), longAgo, longAgo);
  assert.equal(await keyStatus("HEAD", keyId, server.origin), 404);
  assert.equal(await visitor.askExample(0), "7");
  assert.match(await visitor.text("#notice"), /expired or was removed/);
  const next = await visitor.text("#key-id");
  assert.notEqual(next, keyId);
  assert.equal(await keyStatus("HEAD", next, server.origin), 200);
});

test("the page says that it is offline, and continues when the connection is back", async (context) => {
  const { visitor } = await alone(context);
  await visitor.ready();
  assert.equal(await visitor.askExample(0), "7");
  await visitor.context.setOffline(true);
  await visitor.chooseExample(1);
  assert.match(await visitor.trouble("offline"), /You are offline/);
  await visitor.context.setOffline(false);
  assert.equal(await visitor.answered(), "2");
});

const linux = { skip: process.platform !== "linux" && "a small disk is made with Linux's mount namespaces" };
test("the page says that the server's disk is full, and continues when another visitor is forgotten", linux, async (context) => {
  // Room for one key of 20 kB.
  const { server, visitor: first } = await alone(context, { diskBytes: 32_768 });
  await first.ready();
  const second = await visit(context, server);
  assert.match(await second.trouble("store_full"), /disk is full/);
  await second.chooseExample(0);
  assert.match(await second.trouble("store_full"), /disk is full/);
  assert.equal(await first.askExample(1), "2", "a visitor with a key is still served");
  await first.page.click("#forget");
  assert.equal(await second.answered(), "7");
});

test("the page says that the server is busy, and continues when it has time", async (context) => {
  const { server, visitor } = await alone(context, { args: ["--workers", "1", "--queue", "64"] });
  await visitor.ready();
  assert.equal(await visitor.askExample(0), "7");
  // Repeats another visitor's query until the queue is full.
  const other = await visit(context, server, { model: "mnist-net-small" });
  await other.ready();
  assert.equal(await other.askExample(0), "7");
  const [query] = other.queries();
  const keyId = await other.text("#key-id");
  const flood = Array.from({ length: 4 }, () =>
    fetch(`${server.origin}/v1/models/mnist-net-small/score`, {
      method: "POST",
      headers: { "content-type": "application/octet-stream", "blindscore-key": keyId },
      body: Buffer.concat(Array(16).fill(query)),
    }),
  );
  await visitor.chooseExample(1);
  assert.match(await visitor.trouble("overloaded"), /busy/);
  assert.equal(await visitor.answered(), "2");
  for (const response of await Promise.all(flood)) assert.equal(response.status, 200);
});

test("'Forget me' says that it forgets nothing without the server, and completes when it is back", async (context) => {
  const { server, visitor } = await alone(context);
  const keyId = await visitor.ready();
  assert.equal(await visitor.askExample(0), "7");
  await server.kill();
  await visitor.page.click("#forget");
  assert.match(await visitor.trouble("network"), /Nothing is forgotten yet/);
  await server.restart();
  await visitor.page.waitForFunction(() => document.querySelector("#status").textContent.startsWith("Forgotten"), null, { timeout: 60_000 });
  assert.equal(await keyStatus("HEAD", keyId, server.origin), 404);
  assert.equal(await visitor.text("#key-id"), "–");
});

test("modified WebAssembly does not run", async (context) => {
  const { server } = await alone(context);
  const tampered = await browser.newContext();
  context.after(() => tampered.close());
  await tampered.route("**/*.wasm", async (route) => {
    const response = await route.fetch();
    // An added custom section: still valid WebAssembly, but not the package's own.
    const body = Buffer.concat([await response.body(), Buffer.from([0, 5, 4, ...Buffer.from("note")])]);
    await route.fulfill({ response, body });
  });
  const page = await tampered.newPage();
  const visitor = new Visitor(tampered, page, server.origin);
  await page.goto(server.origin);
  assert.match(await visitor.trouble("wasm_load"), /could not be loaded/);
  assert.equal(await visitor.text("#key-id"), "–");
  assert.deepEqual(
    visitor.requests.filter((request) => request.method() === "PUT"),
    [],
  );
});
