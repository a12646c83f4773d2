// Tests the client against a malicious server: delays, floods, redirects, malformed responses.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { createGzip } from "node:zlib";
import { proxy } from "../support/proxy.mjs";
import { ORIGIN } from "../support/server.mjs";
import { emptyProject, importFrom } from "../support/tarball.mjs";

const MODEL = "/v1/models/mnist-linear";

let blindscore;
let model;
before(async () => {
  blindscore = await importFrom(await emptyProject());
  model = await (await fetch(ORIGIN + MODEL)).json();
});

/** Returns an `answer` that leaves requests of one method to `say`. */
const to = (method, say) => (request, response) => {
  if (request.method !== method) return false;
  say(response);
  return true;
};

/** Writes for as long as somebody reads; `bytes` counts what was written. */
function endless(stream, piece) {
  const written = { bytes: 0 };
  const more = () => {
    while (!stream.destroyed && stream.write(piece)) written.bytes += piece.length;
  };
  stream.on("drain", more).on("error", () => {});
  more();
  return written;
}

/** Sends a body byte by byte, without end. */
function drip(response) {
  response.writeHead(200);
  response.write(" ");
  const timer = setInterval(() => response.write(" "), 20);
  response.on("close", () => clearInterval(timer));
}

const connect = (address, options) => blindscore.Blindscore.connect(address, { model: "mnist-linear", ...options });
/** Checks that `work` throws an error of the package with this code, and returns it. */
const fails = async (work, code, words = /./) => {
  const error = await work.then(
    () => assert.fail("no error"),
    (error) => error,
  );
  assert.ok(error instanceof blindscore.BlindscoreError, `${error?.stack}`);
  assert.equal(error.code, code, error.message);
  assert.match(error.message, words);
  return error;
};

test("no more than the allowed size of a response is read, whatever was requested", async () => {
  let written;
  const piece = Buffer.alloc(1 << 16, " ");
  const flood = (response) => {
    response.writeHead(200);
    written = endless(response, piece);
  };
  const long = /longer than \d+ bytes/;
  const descriptor = await proxy(to("GET", flood));
  await fails(connect(descriptor.address), "malformed_answer", long);
  // 4 MiB, and the buffers on both sides.
  assert.ok(written.bytes < 16 << 20, `${written.bytes} bytes`);
  await fails(blindscore.Blindscore.connect(descriptor.address), "malformed_answer", long);

  const upload = await proxy(to("PUT", flood));
  const client = await connect(upload.address);
  await fails(client.ensureKeys(), "malformed_answer", long);
  const features = new Float64Array(784);
  for (const score of [(client) => client.predict(features), (client) => client.predictMany([features, features])]) {
    const scores = await proxy(to("POST", flood));
    const client = await connect(scores.address);
    await fails(score(client), "malformed_answer", long);
    await client.forget();
    client.free();
  }
  // An endless error response is still reported as that error.
  const failing = await proxy(
    to("GET", (response) => {
      response.writeHead(503, { "retry-after": "7" });
      endless(response, piece);
    }),
  );
  const error = await fails(connect(failing.address), "http_503");
  assert.equal(error.retryAfterMs, 7000);
});

test("the size of a response is limited after decompression", async () => {
  const bomb = await proxy(
    to("GET", (response) => {
      response.writeHead(200, { "content-encoding": "gzip" });
      const gzip = createGzip();
      gzip.pipe(response);
      endless(gzip, Buffer.alloc(1 << 16, " "));
      response.on("close", () => gzip.destroy());
    }),
  );
  const before = process.memoryUsage().rss;
  await fails(connect(bomb.address), "malformed_answer", /longer than 4194304 bytes/);
  const grown = process.memoryUsage().rss - before;
  assert.ok(grown < 200e6, `${grown} bytes more`);
});

test("responses of the wrong length are refused", async () => {
  for (const bytes of [0, 1, model.sizes.response - 1, model.sizes.response + 1]) {
    const wrong = await proxy(to("POST", (response) => response.end(Buffer.alloc(bytes))));
    const client = await connect(wrong.address);
    await fails(client.predict(new Float64Array(784)), "malformed_answer");
    await client.forget();
    client.free();
  }
  // The length that the server states doesn't count.
  const liar = await proxy((request, response) => {
    if (request.url !== MODEL) return to("POST", (response) => endless(response, Buffer.alloc(1 << 16)))(request, response);
    response.end(JSON.stringify({ ...model, sizes: { ...model.sizes, response: 2 ** 31 } }));
    return true;
  });
  const client = await connect(liar.address);
  await fails(client.predict(new Float64Array(784)), "malformed_answer", new RegExp(`longer than ${model.sizes.response} bytes`));
  await client.forget();
  client.free();
});

test("a server that sends nothing, or too slowly, causes a timeout", async () => {
  const timeout = 150;
  const silent = await proxy(() => true);
  const error = await fails(connect(silent.address, { timeout }), "timeout");
  assert.ok(error instanceof blindscore.NetworkError && error.recovery === "retry");
  // The time that the bytes of keys and responses take is added.
  for (const method of ["PUT", "POST"]) {
    const dripping = await proxy(to(method, drip));
    const client = await connect(dripping.address, { timeout });
    await fails(client.predict(new Float64Array(784)), "timeout");
    client.free();
  }
  // Even if a custom fetch ignores its signal.
  const deaf = () => new Promise(() => {});
  await fails(connect(ORIGIN, { timeout, fetch: deaf }), "timeout");
  await assert.rejects(connect(silent.address, { timeout: 60_000, signal: AbortSignal.timeout(50) }), { name: "TimeoutError" });
  for (const timeout of [0, -1, NaN]) await fails(connect(ORIGIN, { timeout }), "timeout_range");
});

test("redirects are never followed", async () => {
  const elsewhere = await proxy(() => false);
  for (const status of [301, 302, 303, 307, 308]) {
    for (const method of ["GET", "PUT", "POST", "DELETE"]) {
      const moved = await proxy((request, response) => {
        if (request.method !== method) return false;
        response.writeHead(status, { location: elsewhere.address + request.url }).end();
        return true;
      });
      const words = new RegExp(`${moved.address} redirects to ${elsewhere.address}/.*not followed`);
      const use = async () => {
        const client = await connect(moved.address);
        await client.predict(new Float64Array(784));
        await client.forget();
      };
      await fails(use(), "redirected", words);
    }
  }
  assert.deepEqual(elsewhere.requests, []);
  // If a custom fetch follows redirects, the response is still refused.
  const moved = await proxy(to("GET", (response) => response.writeHead(302, { location: elsewhere.address + MODEL }).end()));
  await fails(connect(moved.address, { fetch: (address, init) => fetch(address, { ...init, redirect: "follow" }) }), "redirected");
});

test("whatever the server sends, every error is one of the package's own", async () => {
  const deep = (open, close, middle = "") => open.repeat(200_000) + middle + close.repeat(200_000);
  const list = Object.values(model);
  const descriptors = {
    unsupported_model: [
      "null",
      "1",
      '"model"',
      "[]",
      "{}",
      deep("[", "]"),
      deep('{"a":', "}", "1"),
      `{"name": ${deep("[", "]")}}`,
      JSON.stringify(list),
      JSON.stringify({ ...model, inputs: [784, 0, 1, 17] }),
      JSON.stringify({ ...model, sizes: [1, 2, 3] }),
      JSON.stringify({ ...model, outputs: model.outputs.map(Object.values) }),
      JSON.stringify({ ...model, name: "\ud800" }),
      JSON.stringify({ ...model, later: JSON.parse("[".repeat(100) + "]".repeat(100)) }),
      JSON.stringify({ ...model, link: "\u001b[2J".repeat(100_000) }),
      JSON.stringify({ ...model, title: "x".repeat(1001) }),
      JSON.stringify({ ...model, inputs: { ...model.inputs, min: -1e308 } }),
      JSON.stringify(model).replace('"max":1', '"max":1e400'),
    ],
    malformed_answer: ["", "{", "\u0000", deep("[", "")],
  };
  for (const [code, bodies] of Object.entries(descriptors)) {
    for (const body of bodies) {
      const lying = await proxy(to("GET", (response) => response.end(body)));
      const { message } = await fails(connect(lying.address), code);
      assert.ok(message.length < 1500 && !/\p{Cc}/u.test(message), message.slice(0, 2000));
    }
  }
  for (const body of ["null", "[]", "{}", '{"models": 1}', '{"models": {"0": 1}}', '{"models": [null]}', `{"models": ${deep("[", "]")}}`]) {
    const lying = await proxy(to("GET", (response) => response.end(body)));
    await assert.rejects(blindscore.Blindscore.connect(lying.address), blindscore.BlindscoreError);
  }
  await fails(connect(ORIGIN, { model: "\ud800" }), "model_not_found");

  // An invalid time of expiry in a key's receipt counts as none.
  for (const expires of ["{}", '{"toString": 1}', "[".repeat(30_000) + "]".repeat(30_000), "1e400", '"soon"']) {
    const lying = await proxy(to("PUT", (response) => response.end(`{"expires_at": ${expires}}`)));
    const client = await connect(lying.address);
    assert.equal((await client.ensureKeys()).expiresAt, null);
    client.free();
  }

  // Malformed problem details; text in them can't control a terminal.
  for (const body of ["null", "[]", "{", '{"code": 1, "title": {}, "recovery": "pray"}', `{"code": ${JSON.stringify("x".repeat(100))}}`]) {
    const lying = await proxy(to("GET", (response) => response.writeHead(400).end(body)));
    const error = await fails(connect(lying.address), "http_400");
    assert.equal(error.recovery, "none");
  }
  const words = { code: "overloaded", title: "Clear\u001b[2J", detail: `\u202e${"x".repeat(5000)}` };
  const steering = await proxy(to("GET", (response) => response.writeHead(503).end(JSON.stringify(words))));
  const { message } = await fails(connect(steering.address), "overloaded");
  assert.ok(message.startsWith("Clear\\u{1b}[2J: \\u{202e}xxx") && message.length < 1100, message);
});

test("a request for a model with many outputs has no more queries than the server accepts", async () => {
  const outputs = Array.from({ length: 1000 }, (_, index) => ({ label: `${index}`, offset: 0, half_range: 1 }));
  const lengths = [];
  const wide = await proxy((request, response) => {
    if (request.url === MODEL) response.end(JSON.stringify({ ...model, outputs, classes: undefined }));
    else if (request.method === "POST") {
      lengths.push(Number(request.headers["content-length"]) / model.sizes.query);
      response.writeHead(500).end();
    } else return false;
    return true;
  });
  const client = await connect(wide.address);
  await fails(client.predictMany(Array(16).fill(new Float64Array(784))), "http_500");
  await client.forget();
  client.free();
  // A response takes 2.4 MB, and a request may have 8 MiB of responses.
  assert.deepEqual(lengths, [3]);
});
