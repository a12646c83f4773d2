// Tests errors, cancellation and recovery.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { before, test } from "node:test";
import { digits } from "../support/digits.mjs";
import { ORIGIN } from "../support/server.mjs";
import { emptyProject, importFrom } from "../support/tarball.mjs";

let blindscore;
before(async () => (blindscore = await importFrom(await emptyProject())));

/** Returns a fetch that changes the server's JSON at `path`. */
function changing(path, change) {
  return async (address, init) => {
    const response = await fetch(address, init);
    if (new URL(address).pathname !== path) return response;
    return new Response(JSON.stringify(change(await response.json())), { status: response.status, headers: response.headers });
  };
}

const [digit] = digits(1);

test("every kind of error is a class, with code and recovery", async () => {
  const { Blindscore, BlindscoreError, InputError, NetworkError, ServerError, StorageError } = blindscore;
  for (const Kind of [InputError, NetworkError, ServerError, StorageError]) assert.ok(Kind.prototype instanceof BlindscoreError);
  const client = await Blindscore.connect(ORIGIN);
  await assert.rejects(client.predict([1]), (error) => error instanceof InputError && error.code === "feature_count" && error.name === "InputError");
  assert.throws(
    () => client.exportSecretKey(),
    (error) => error.constructor === BlindscoreError && error.code === "no_key",
  );
  await assert.rejects(Blindscore.connect("http://127.0.0.1:9"), (error) => error instanceof NetworkError && error.recovery === "retry");
  await assert.rejects(Blindscore.connect(ORIGIN, { model: "none" }), (error) => {
    assert.ok(error instanceof ServerError);
    assert.equal(error.status, 404);
    assert.match(error.requestId, /^[0-9a-f]{8}-/);
    assert.equal(error.retryAfterMs, null);
    return true;
  });
  const broken = { get: () => Promise.reject(new StorageError("storage", "broken")), set() {}, delete() {} };
  await assert.rejects(Blindscore.connect(ORIGIN, { storage: broken }), StorageError);
  client.free();
});

test("a call is repeated by the same rule as in the program blindscore", async (context) => {
  const { Blindscore, pauseBeforeRetry } = blindscore;
  const { now, cases } = JSON.parse(await readFile(new URL("../fixtures/retries.json", import.meta.url), "utf8"));
  context.mock.method(Date, "now", () => Date.parse(now));
  assert.ok(cases.length > 0);
  for (const { status, retry_after, body, retries = 0, chance = 0, pause_ms } of cases) {
    context.mock.method(Math, "random", () => chance);
    const headers = retry_after === undefined ? {} : { "retry-after": retry_after };
    const answer = async () => new Response(typeof body === "string" ? body : JSON.stringify(body), { status, headers });
    const error = await Blindscore.connect(ORIGIN, { fetch: answer }).catch((error) => error);
    assert.equal(pauseBeforeRetry(error, retries), pause_ms, `${status} ${retry_after} ${JSON.stringify(body)}, retry ${retries}`);
  }
});

test("failures without an answer may be repeated, other errors not", async () => {
  const { Blindscore, pauseBeforeRetry } = blindscore;
  const failure = await Blindscore.connect("http://127.0.0.1:9").catch((error) => error);
  assert.ok(pauseBeforeRetry(failure, 0) >= 500);
  assert.equal(pauseBeforeRetry(new TypeError("no answer of a server"), 0), null);
});

test("a response that isn't JSON is refused", async () => {
  const portal = async () => new Response("<h1>Please sign in</h1>");
  await assert.rejects(blindscore.Blindscore.connect(ORIGIN, { fetch: portal }), { code: "malformed_answer", recovery: "retry" });
});

test("a model that has changed since connect is fetched again, and the query is encrypted again", async () => {
  // An old descriptor at first, then the current one.
  let asked = 0;
  const old = changing("/v1/models/mnist-linear", (model) => (asked++ === 0 ? { ...model, id: "11".repeat(16), title: "old" } : model));
  const client = await blindscore.Blindscore.connect(ORIGIN, { model: "mnist-linear", fetch: old });
  assert.equal(client.model.title, "old");
  const keyId = (await client.ensureKeys()).keyId;
  assert.equal((await client.predict(digit.features)).label, digit.label);
  assert.notEqual(client.model.title, "old");
  assert.equal(client.keyId, keyId, "the key has the same parameters, so it stays");
  assert.equal(asked, 2);
  assert.equal(await client.refresh(), false);
  await client.forget();
});

test("a model that keeps changing is an error", async () => {
  const liar = changing("/v1/models/mnist-linear", (model) => ({ ...model, id: "11".repeat(16) }));
  const client = await blindscore.Blindscore.connect(ORIGIN, { model: "mnist-linear", fetch: liar });
  await assert.rejects(client.predict(digit.features), { code: "model_changed", recovery: "refresh_model", status: 410 });
  await client.forget();
});

test("a client and a server without a common format say which is older", async () => {
  const newer = changing("/v1/models/mnist-linear", (model) => ({ ...model, formats: [7, 8] }));
  await assert.rejects(blindscore.Blindscore.connect(ORIGIN, { model: "mnist-linear", fetch: newer }), {
    code: "unsupported_format",
    recovery: "refresh_model",
    message: /the client has to be updated/,
  });
  const both = changing("/v1/models/mnist-linear", (model) => ({ ...model, formats: [1, ...model.formats, 9] }));
  const client = await blindscore.Blindscore.connect(ORIGIN, { model: "mnist-linear", fetch: both });
  assert.equal((await client.predict(digit.features)).label, digit.label);
  await client.forget();
  // A key in another format version is refused by the server.
  const model = await (await fetch(`${ORIGIN}/v1/models/mnist-linear`)).json();
  const { keyId, publicKey } = blindscore.generateKeys(model);
  publicKey[4] = 1;
  const refused = await fetch(`${ORIGIN}/v1/keys/${await sha256(publicKey)}`, { method: "PUT", body: publicKey });
  assert.equal(refused.status, 410);
  const problem = await refused.json();
  assert.equal(problem.code, "format_unsupported");
  assert.equal(problem.recovery, "refresh_model");
  assert.match(problem.detail, /update the client/);
  assert.equal((await fetch(`${ORIGIN}/v1/keys/${keyId}`, { method: "HEAD" })).status, 404);
});

async function sha256(bytes) {
  return Buffer.from(await crypto.subtle.digest("SHA-256", bytes)).toString("hex");
}

test("callers that share a run of ensureKeys can abort independently; the last one ends the run", async () => {
  const client = await blindscore.Blindscore.connect(ORIGIN, { model: "mnist-net" });
  const [first, second] = [new AbortController(), new AbortController()];
  const heard = { first: 0, second: 0 };
  const one = client.ensureKeys({ signal: first.signal, onProgress: () => (heard.first += 1) });
  const two = client.ensureKeys({ signal: second.signal, onProgress: () => (heard.second += 1) });
  setTimeout(() => first.abort(), 30);
  await assert.rejects(one, { name: "AbortError" });
  const then = heard.first;
  const report = await two;
  assert.ok(report.generated && report.uploaded);
  assert.ok(heard.second > heard.first);
  assert.equal(heard.first, then, "an aborted caller gets no more progress");
  assert.ok(report.expiresAt > new Date());

  await client.forget();
  const [third, fourth] = [new AbortController(), new AbortController()];
  const waiting = [third, fourth].map(({ signal }) => assert.rejects(client.ensureKeys({ signal }), { name: "AbortError" }));
  setTimeout(() => third.abort(), 20);
  setTimeout(() => fourth.abort(), 40);
  await Promise.all(waiting);
  assert.equal((await fetch(`${ORIGIN}/v1/keys/${client.keyId}`, { method: "HEAD" })).status, 404, "nothing was uploaded");
  client.free();
});

test("forget aborts key generation", async () => {
  const client = await blindscore.Blindscore.connect(ORIGIN, { model: "mnist-net" });
  const making = assert.rejects(client.ensureKeys(), { name: "AbortError" });
  await new Promise((resolve) => setTimeout(resolve, 30));
  await client.forget();
  await making;
  assert.equal(client.keyId, null);
  client.free();
});

test("a freed client throws, and can be freed again", async () => {
  const client = await blindscore.Blindscore.connect(ORIGIN);
  await client.ensureKeys();
  const { keyId } = client;
  client.free();
  client.free();
  client[Symbol.dispose]();
  for (const work of [
    () => client.predict(digit.features),
    () => client.predictMany([]),
    () => client.ensureKeys(),
    () => client.forget(),
    () => client.refresh(),
  ]) {
    await assert.rejects(work(), { code: "freed" });
  }
  assert.throws(() => client.exportSecretKey(), { code: "freed" });
  assert.equal(client.keyId, null);
  assert.equal((await fetch(`${ORIGIN}/v1/keys/${keyId}`, { method: "DELETE" })).status, 204);

  // Even during a prediction.
  const busy = await blindscore.Blindscore.connect(ORIGIN);
  await busy.ensureKeys();
  const prediction = assert.rejects(busy.predict(digit.features), { code: "freed" });
  busy.free();
  await prediction;
});

test("generateKeysAsync yields to other work, and can be aborted", async () => {
  const { generateKeysAsync, encrypt, decrypt } = blindscore;
  const model = await (await fetch(`${ORIGIN}/v1/models/mnist-net-small`)).json();
  const giveUp = new AbortController();
  let turns = 0;
  const timer = setInterval(() => (turns += 1), 1);
  await assert.rejects(generateKeysAsync(model, { signal: giveUp.signal, onProgress: (fraction) => fraction > 0.1 && giveUp.abort() }), {
    name: "AbortError",
  });
  const { keyId, publicKey, secretKey } = await generateKeysAsync(model);
  clearInterval(timer);
  assert.ok(turns > 3, `${turns} turns`);
  assert.equal((await fetch(`${ORIGIN}/v1/keys/${keyId}`, { method: "PUT", body: publicKey })).status, 201);
  const query = encrypt(model, secretKey, digit.features);
  const answer = await fetch(`${ORIGIN}/v1/models/mnist-net-small/score`, {
    method: "POST",
    headers: { "content-type": "application/octet-stream", "blindscore-key": keyId },
    body: query,
  });
  assert.equal(decrypt(model, secretKey, query, new Uint8Array(await answer.arrayBuffer())).label, digit.label);
  await fetch(`${ORIGIN}/v1/keys/${keyId}`, { method: "DELETE" });
});

test("WebAssembly is accepted as bytes, module or response, and a modified file at an address is refused", async () => {
  const { readFileSync } = await import("node:fs");
  const { join } = await import("node:path");
  const { createServer } = await import("node:http");
  const bytesOf = (folder) => readFileSync(join(folder, "node_modules/blindscore/dist/blindscore_bg.wasm"));
  const sources = {
    bytes: (bytes) => bytes,
    module: (bytes) => new WebAssembly.Module(bytes),
    response: (bytes) => new Response(bytes, { headers: { "content-type": "application/wasm" } }),
  };
  for (const [kind, source] of Object.entries(sources)) {
    const folder = await emptyProject();
    const own = await importFrom(folder);
    const client = await own.Blindscore.connect(ORIGIN, { wasm: source(bytesOf(folder)) });
    assert.ok(client.model, kind);
    client.free();
  }
  const folder = await emptyProject();
  const own = await importFrom(folder);
  const altered = Buffer.concat([bytesOf(folder), Buffer.from([0, 5, 4, ...Buffer.from("note")])]);
  const files = { "/altered.wasm": altered, "/good.wasm": bytesOf(folder) };
  const server = createServer(({ url: path }, response) => response.setHeader("content-type", "application/wasm").end(files[path]));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const base = `http://127.0.0.1:${server.address().port}`;
  await assert.rejects(own.init(`${base}/altered.wasm`), { code: "wasm_load", recovery: "retry" });
  await own.init(`${base}/good.wasm`, { signal: AbortSignal.timeout(10_000) });
  server.close();
  server.closeAllConnections();
});

test("keys of earlier versions are deleted from the storage, and the report shows it", async () => {
  const { Blindscore, memoryStorage } = blindscore;
  const storage = memoryStorage();
  const kept = ["linear-n2048", "linear-n2048-fine", "network-n704-k4"].map((set) => `${ORIGIN} ${set}`);
  for (const name of kept) await storage.set(name, new Uint8Array(172).fill(1));
  const client = await Blindscore.connect(ORIGIN, { model: "mnist-linear", storage });
  for (const name of kept) assert.equal(await storage.get(name), undefined, name);
  const report = await client.ensureKeys();
  assert.ok(report.outdated && report.generated);
  client.free();
  const later = await Blindscore.connect(ORIGIN, { model: "mnist-linear", storage });
  const { outdated, generated } = await later.ensureKeys();
  assert.ok(!outdated && !generated);
  await later.forget();
  later.free();
});
