// Tests what a client agrees to: a server that changes the model learns nothing from the client's
// reaction.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { proxy } from "../support/proxy.mjs";
import { ORIGIN } from "../support/server.mjs";
import { emptyProject, importFrom } from "../support/tarball.mjs";

const MODEL = "/v1/models/mnist-linear";
const OTHER_ID = "11".repeat(16);

let blindscore;
before(async () => (blindscore = await importFrom(await emptyProject())));

/**
 * Starts a server that follows the protocol until `turn` is called. From then on it says that the
 * model has changed, and serves what `change` makes of it. `requests` lists the requests since
 * then.
 */
async function deviating(change) {
  let turned = false;
  const { address, requests } = await proxy(async (request, response) => {
    if (!turned) return false;
    if (request.method === "POST") {
      response.writeHead(410, { "content-type": "application/problem+json" });
      response.end(JSON.stringify({ code: "model_changed", title: "Changed", recovery: "refresh_model" }));
      return true;
    }
    if (request.url !== MODEL) return false;
    const model = await (await fetch(ORIGIN + MODEL)).json();
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(change(model)));
    return true;
  });
  const turn = () => {
    turned = true;
    requests.length = 0;
  };
  return { address, turn, requests };
}

const vector = (value) => Object.assign(new Float64Array(784), { 300: value });
const changed = (words) => (error) => {
  assert.ok(error instanceof blindscore.ModelChangedError, `${error}`);
  assert.ok(error instanceof blindscore.BlindscoreError);
  assert.equal(error.code, "model_changed");
  assert.equal(error.recovery, "none");
  assert.match(error.difference, words);
  assert.ok(error.message.endsWith(error.difference));
  return true;
};

test("a server that narrows a range can't see whether a feature lies in it", async () => {
  const half = (model) => ({ ...model, id: OTHER_ID, inputs: { ...model.inputs, max: 0.5 } });
  const words = /range of features: 0 to 1 before, 0 to 0\.5 now/;
  const seen = [];
  for (const value of [0.25, 0.75]) {
    const server = await deviating(half);
    const client = await blindscore.Blindscore.connect(server.address, { model: "mnist-linear" });
    await client.predict(vector(value));
    server.turn();
    await assert.rejects(client.predict(vector(value)), changed(words));
    await assert.rejects(client.predictMany(new Array(20).fill(vector(value))), changed(words));
    await assert.rejects(client.predict(vector(value)), changed(words));
    seen.push([...server.requests]);
    // Only the caller can agree to the new model.
    assert.equal(client.model.inputs.max, 1);
    assert.equal(await client.refresh(), true);
    assert.equal(client.model.inputs.max, 0.5);
    client.free();
  }
  assert.deepEqual(seen[0], seen[1]);
  const asked = [`POST ${MODEL}/score`, `GET ${MODEL}`];
  assert.deepEqual(seen[0], [...asked, ...asked, ...asked]);
});

test("nothing is sent for a model that differs from the one agreed to, not even a key", async () => {
  const changes = {
    encoding: (model) => ({ ...model, input_step: 4096 }),
    levels: (model) => ({ ...model, inputs: { ...model.inputs, levels: 2 } }),
    ball: (model) => ({ ...model, inputs: { ...model.inputs, norm: { centre: 0, max: 0.1 } } }),
    names: (model) => ({ ...model, inputs: { ...model.inputs, features: new Array(784).fill({ name: "x", min: 0, max: 1 }), image: undefined } }),
    label: (model) => ({ ...model, outputs: model.outputs.map((output) => ({ ...output, label: "x" })) }),
    width: (model) => ({ ...model, outputs: model.outputs.map((output) => ({ ...output, half_range: 1e9 })) }),
    link: (model) => ({ ...model, link: "identity" }),
    task: (model) => ({ ...model, link: "identity", task: "regression" }),
  };
  const { parameter_set } = await (await fetch(`${ORIGIN}/v1/models/mnist-net`)).json();
  changes["parameter set"] = (model) => ({ ...model, parameter_set });
  for (const [what, change] of Object.entries(changes)) {
    const server = await deviating((model) => change({ ...model, id: OTHER_ID }));
    const storage = blindscore.memoryStorage();
    const client = await blindscore.Blindscore.connect(server.address, { model: "mnist-linear", storage });
    const { keyId } = await client.ensureKeys();
    server.turn();
    await assert.rejects(client.predict(vector(1)), changed(/before, .* now/), what);
    assert.deepEqual(server.requests, [`POST ${MODEL}/score`, `GET ${MODEL}`], what);
    assert.equal(client.keyId, keyId, what);
    client.free();
  }
});

test("a large step arrives as the server states it", async () => {
  // JSON.stringify writes this as 1152921504606847000.
  const server = await deviating((model) => ({ ...model, id: OTHER_ID, input_step: 2 ** 60 }));
  const client = await blindscore.Blindscore.connect(server.address, { model: "mnist-linear" });
  server.turn();
  await assert.rejects(client.predict(vector(1)), changed(/step of a level: \d+ before, 1152921504606846976 now/));
  client.free();
});

test("a pinned client accepts no other model", async () => {
  const { Blindscore } = blindscore;
  const server = await deviating((model) => ({ ...model, id: OTHER_ID }));
  const first = await Blindscore.connect(server.address, { model: "mnist-linear" });
  const { id } = first.model;
  const { pin } = first;
  assert.match(pin, new RegExp(`^${id}-[0-9a-f]{32}$`));
  for (const known of [id, pin]) {
    const client = await Blindscore.connect(server.address, { model: "mnist-linear", id: known });
    assert.equal(client.pin, pin);
    await client.predict(vector(1));
    client.free();
  }
  for (const bad of ["", "churn", id.toUpperCase(), `${id}-`, `${pin}0`]) {
    await assert.rejects(Blindscore.connect(server.address, { model: "mnist-linear", id: bad }), { name: "InputError", code: "malformed_id" });
  }

  const pinned = await Blindscore.connect(server.address, { model: "mnist-linear", id });
  await pinned.ensureKeys();
  server.turn();
  const both = new RegExp(`${OTHER_ID}.*${id}`);
  // Retrained, with the same ranges: a client without a pin would send its query.
  await assert.rejects(pinned.predict(vector(1)), changed(both));
  await assert.rejects(pinned.refresh(), changed(both));
  await assert.rejects(Blindscore.connect(server.address, { model: "mnist-linear", id }), changed(both));
  assert.deepEqual(server.requests, [`POST ${MODEL}/score`, `GET ${MODEL}`, `GET ${MODEL}`, `GET ${MODEL}`]);
  assert.equal(pinned.model.id, id);
  pinned.free();

  // The server chooses the id, but the client computes the fingerprint.
  const liar = await deviating((model) => ({ ...model, inputs: { ...model.inputs, max: 0.5 } }));
  liar.turn();
  (await Blindscore.connect(liar.address, { model: "mnist-linear", id })).free();
  await assert.rejects(Blindscore.connect(liar.address, { model: "mnist-linear", id: pin }), changed(/other ranges/));
  await first.forget();
  first.free();
});
