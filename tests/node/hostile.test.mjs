// What a server that means harm can do to a client: keep it waiting, fill its memory, send it elsewhere, make it throw what isn't expected.
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

/** Answers requests of some method with what `say` does. */
const to = (method, say) => (request, response) => {
  if (request.method !== method) return false;
  say(response);
  return true;
};

/** Writes for as long as somebody reads; gives what was written. */
function endless(stream, piece) {
  const written = { bytes: 0 };
  const more = () => {
    while (!stream.destroyed && stream.write(piece)) written.bytes += piece.length;
  };
  stream.on("drain", more).on("error", () => {});
  more();
  return written;
}

/** One byte of a body, now and then. */
function drip(response) {
  response.writeHead(200);
  response.write(" ");
  const timer = setInterval(() => response.write(" "), 20);
  response.on("close", () => clearInterval(timer));
}

const connect = (address, options) => blindscore.Blindscore.connect(address, { model: "mnist-linear", ...options });
/** An error of the package's own, with this code. */
const fails = async (work, code, words = /./) => {
  const error = await work.then(
    () => assert.fail("it went well"),
    (error) => error,
  );
  assert.ok(error instanceof blindscore.BlindscoreError, `${error?.stack}`);
  assert.equal(error.code, code, error.message);
  assert.match(error.message, words);
  return error;
};

test("a body without an end is read as far as it may go, in every answer", async () => {
  let written;
  const piece = Buffer.alloc(1 << 16, " ");
  const flood = (response) => {
    response.writeHead(200);
    written = endless(response, piece);
  };
  const long = /longer than \d+ bytes/;
  const descriptor = await proxy(to("GET", flood));
  await fails(connect(descriptor.address), "malformed_answer", long);
  // 4 MiB, and what the two sides keep on the way.
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
  // An error stays one, whatever its words are.
  const failing = await proxy(
    to("GET", (response) => {
      response.writeHead(503, { "retry-after": "7" });
      endless(response, piece);
    }),
  );
  const error = await fails(connect(failing.address), "http_503");
  assert.equal(error.retryAfterMs, 7000);
});

test("what is compressed counts as it is when it isn't", async () => {
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

test("responses of another length than the model's are refused", async () => {
  for (const bytes of [0, 1, model.sizes.response - 1, model.sizes.response + 1]) {
    const wrong = await proxy(to("POST", (response) => response.end(Buffer.alloc(bytes))));
    const client = await connect(wrong.address);
    await fails(client.predict(new Float64Array(784)), "malformed_answer");
    await client.forget();
    client.free();
  }
  // The server's word for the length doesn't count.
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

test("a server that is silent, or that drips, is given up", async () => {
  const timeout = 150;
  const silent = await proxy(() => true);
  const error = await fails(connect(silent.address, { timeout }), "timeout");
  assert.ok(error instanceof blindscore.NetworkError && error.recovery === "retry");
  // Time for the bytes comes on top: of the key here, and of the answers.
  for (const method of ["PUT", "POST"]) {
    const dripping = await proxy(to(method, drip));
    const client = await connect(dripping.address, { timeout });
    await fails(client.predict(new Float64Array(784)), "timeout");
    client.free();
  }
  // Also by a fetch that doesn't listen to its signal.
  const deaf = () => new Promise(() => {});
  await fails(connect(ORIGIN, { timeout, fetch: deaf }), "timeout");
  await assert.rejects(connect(silent.address, { timeout: 60_000, signal: AbortSignal.timeout(50) }), { name: "TimeoutError" });
  for (const timeout of [0, -1, NaN]) await fails(connect(ORIGIN, { timeout }), "timeout_range");
});

test("redirects are not followed, wherever they lead", async () => {
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
  // A fetch that follows them all the same: nothing of the answer is taken.
  const moved = await proxy(to("GET", (response) => response.writeHead(302, { location: elsewhere.address + MODEL }).end()));
  await fails(connect(moved.address, { fetch: (address, init) => fetch(address, { ...init, redirect: "follow" }) }), "redirected");
});

test("whatever an answer says, what is thrown is the package's own", async () => {
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

  // A key's receipt says when it expires, or it doesn't.
  for (const expires of ["{}", '{"toString": 1}', "[".repeat(30_000) + "]".repeat(30_000), "1e400", '"soon"']) {
    const lying = await proxy(to("PUT", (response) => response.end(`{"expires_at": ${expires}}`)));
    const client = await connect(lying.address);
    assert.equal((await client.ensureKeys()).expiresAt, null);
    client.free();
  }

  // Problem details of every shape; their words don't steer a terminal.
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

test("a model of many outputs is asked in requests that it takes", async () => {
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
  // Responses of 2.4 MB each, and 8 MiB of them at most.
  assert.deepEqual(lengths, [3]);
});
