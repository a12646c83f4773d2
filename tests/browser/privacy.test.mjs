// Tests that no plaintext leaves the page.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch } from "../support/chromium.mjs";
import { testDigits } from "./support/mnist.mjs";
import { Visitor } from "./support/visitor.mjs";

/** Size of a blob's header, in bytes. */
const HEADER = 84;

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

/** Returns the Shannon entropy in bits per byte. */
function entropy(bytes) {
  const counts = new Map();
  for (const byte of bytes) counts.set(byte, (counts.get(byte) ?? 0) + 1);
  return [...counts.values()].reduce((sum, n) => sum - (n / bytes.length) * Math.log2(n / bytes.length), 0);
}

/**
 * Returns the rows of a drawing that have too much ink to match by chance, in every number format
 * that a client might send.
 */
function tellingRows(normalized) {
  const rows = Array.from({ length: 28 }, (_, y) => normalized.subarray(28 * y, 28 * (y + 1)));
  return rows
    .filter((row) => row.filter((value) => value > 0).length >= 4)
    .flatMap((row) => [
      Buffer.from(row),
      Buffer.from(Float32Array.from(row, (value) => value / 255).buffer),
      Buffer.from(Float64Array.from(row, (value) => value / 255).buffer),
      Buffer.from([...row].join(",")),
    ]);
}

test("no request carries the drawing", async () => {
  const visitor = await Visitor.open(browser);
  await visitor.ready();
  const rows = [];
  for (const { strokes } of testDigits(3)) {
    await visitor.ask(strokes);
    rows.push(...tellingRows(await visitor.normalized()));
  }
  assert.ok(rows.length > 20, "the drawings have too little ink to search for");
  // More if drawing was slow: a pause between two strokes triggers a query.
  assert.ok(visitor.queries().length >= 3);
  for (const request of visitor.requests) {
    const sent = [request.url(), JSON.stringify(request.headers())].map((text) => Buffer.from(text));
    const body = request.postDataBuffer();
    if (body) sent.push(body);
    for (const bytes of sent) assert.ok(!rows.some((row) => bytes.includes(row)), `${request.url()} carries ink`);
  }
  visitor.assertClean();
  await visitor.close();
});

test("two queries for the same drawing have nothing in common", async () => {
  const visitor = await Visitor.open(browser);
  await visitor.ready();
  await visitor.askExample(2);
  const before = await visitor.normalized();
  await visitor.askExample(2);
  assert.deepEqual(await visitor.normalized(), before, "the drawings are not the same");

  const [first, second] = visitor.queries().map((body) => body.subarray(HEADER));
  assert.equal(first.length, second.length);
  const equal = first.filter((byte, i) => byte === second[i]).length;
  assert.ok(equal < 0.02 * first.length, `${equal} of ${first.length} bytes are equal`);
  for (const query of [first, second]) assert.ok(entropy(query) > 7.85, `${entropy(query)} bits per byte`);
  await visitor.close();
});

test("the noise on the page is the bytes on the wire", async () => {
  const visitor = await Visitor.open(browser);
  await visitor.ready();
  await visitor.askExample(0);
  const [query] = visitor.queries();
  const shown = (await visitor.pixels("#query")).filter((_, i) => i % 4 === 0);
  assert.ok(shown.length >= query.length);
  assert.deepEqual(Buffer.from(shown.slice(0, query.length)), query);
  await visitor.close();
});

test("'What the server knows' lists exactly what was sent", async () => {
  const visitor = await Visitor.open(browser, { model: null });
  const { page } = visitor;
  await visitor.ready();
  await visitor.askExample(0);
  await visitor.uses("mnist-net");
  await visitor.state("answered");
  await visitor.askExample(1);
  const lines = await page.$$eval("#knows-list li", (items) => items.map((item) => item.textContent));
  const keys = visitor.requests.filter((request) => request.method() === "PUT").map((request) => request.url().split("/").pop());
  assert.equal(keys.length, 2);
  for (const key of keys)
    assert.ok(
      lines.some((line) => line.startsWith(`public key ${key.slice(0, 8)}…`)),
      `${key}: ${lines}`,
    );
  assert.equal(lines.filter((line) => line.startsWith("public key")).length, 2);
  const counted = lines.filter((line) => /quer(y|ies)/.test(line)).map((line) => Number(line.match(/^\d+/)[0]));
  assert.equal(
    counted.reduce((a, b) => a + b),
    visitor.queries().length,
    `${lines}`,
  );
  visitor.assertClean();
  await visitor.close();
});

test("only the secret key is kept in the browser", async () => {
  const visitor = await Visitor.open(browser);
  await visitor.ready();
  await visitor.askExample(1);
  const kept = await visitor.page.evaluate(async () => ({
    local: localStorage.length,
    session: sessionStorage.length,
    databases: (await indexedDB.databases()).map(({ name }) => name),
    caches: (await caches.keys()).length,
    cookies: document.cookie,
  }));
  assert.deepEqual(kept, { local: 0, session: 0, databases: ["blindscore"], caches: 0, cookies: "" });
  assert.deepEqual(await visitor.context.cookies(), []);
  await visitor.close();
});
