// Tests records: named columns, categories, texts, and what is refused.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { PIPELINES, serving } from "../support/models.mjs";
import { emptyProject, importFrom } from "../support/tarball.mjs";

const MODELS = {
  mixed: "mixed-onehot-logistic",
  gaps: "imputer-scaler-logistic",
  whole: "int64-frame-ridge",
  counts: "poisson",
  texts: "tfidf-text-logistic",
};
/** Largest accepted difference of a probability or a value. */
const ALLOWED = 1e-3;

let blindscore;
let server;
before(async () => {
  blindscore = await importFrom(await emptyProject());
  server = await serving(MODELS);
});
after(() => server.close());

/** Reads a table without quotes. */
async function table(pipeline, file) {
  const text = await readFile(new URL(`${pipeline}/${file}`, PIPELINES), "utf8");
  const [header, ...rows] = text.trimEnd().split("\n");
  const names = header.split(",");
  return rows.map((row) => Object.fromEntries(row.split(",").map((cell, place) => [names[place], cell])));
}

/** Returns a cell as a program has it: a number, a text, or nothing. */
function cell(text) {
  if (text === "") return null;
  return Number.isNaN(Number(text)) ? text : Number(text);
}

for (const [model, pipeline] of Object.entries(MODELS)) {
  test(`${pipeline} answers as what it was fitted with`, async () => {
    const client = await blindscore.Blindscore.connect(server.origin, { model });
    const expected = await table(pipeline, "expected.csv");
    const columns = client.model.inputs.encoding?.columns ?? client.model.inputs.features;
    const records = (await table(pipeline, "rows.csv")).map((row) => {
      const cells = Object.entries(row).map(([name, text]) => [name === "0" ? columns[0].name : name, cell(text)]);
      return Object.fromEntries(cells);
    });
    const answers = await client.predictMany(records);
    // The same values in the order of the columns.
    const [list] = await client.predictMany([columns.map(({ name }) => records[0][name])]);
    assert.equal(list.label, answers[0].label);
    answers.forEach(({ label, probabilities, values }, place) => {
      const right = expected[place];
      const shares = Object.keys(right).filter((name) => name.startsWith("proba_"));
      shares.forEach((name, index) => {
        assert.ok(Math.abs(probabilities[index] - Number(right[name])) < ALLOWED, `row ${place}: ${probabilities}`);
      });
      if (shares.length > 0) assert.equal(label, right.predicted, `row ${place}`);
      else assert.ok(Math.abs(values[0] - Number(right.predicted)) < ALLOWED, `row ${place}: ${values}`);
    });
    client.free();
  });
}

test("records that have no features are refused with the column's name, before anything is sent", async () => {
  const { Blindscore, InputError } = blindscore;
  const sent = [];
  const counting = (address, init) => {
    sent.push(`${init?.method ?? "GET"} ${new URL(address).pathname}`);
    return fetch(address, init);
  };
  const client = await Blindscore.connect(server.origin, { model: "mixed", fetch: counting });
  const fine = { age: 39, income: 41_000, "debt ratio": 0.2, visits: 3, job: "clerk" };
  const { visits, ...without } = fine;
  for (const [record, words] of [
    [{ ...fine, agee: 1 }, /no columns called "agee"; it has "age", "income"/],
    [without, /column "visits": is empty/],
    [{ ...fine, visits: Number.NaN }, /column "visits": is empty/],
    [{ ...fine, age: "39" }, /column "age": is text, and the model takes a number/],
    [{ ...fine, job: 3 }, /column "job": is a number, and the model takes text/],
    [{ ...fine, age: { years: 39 } }, /column "age" is of type object/],
    [{ ...fine, age: 1e6 }, /feature 0 \("age"\) is 1000000, outside/],
    [[39, 41_000], /the record has 2 values, the model takes 5/],
    [undefined, /undefined is not a record/],
    [null, /null is not a record/],
    [7, /7 is not a record/],
  ]) {
    await assert.rejects(client.predict(record), (error) => {
      assert.ok(error instanceof InputError, String(error));
      assert.match(error.message, words);
      return true;
    });
  }
  assert.deepEqual(sent, ["GET /v1/models/mixed"]);
  // An unknown category, and one that is missing, which the original ignores; a flag for a number.
  for (const record of [
    { ...fine, job: "pilot" },
    { ...fine, job: undefined },
    { ...fine, visits: true },
  ]) {
    const { probabilities } = await client.predict(record);
    assert.ok(Math.abs(probabilities[0] + probabilities[1] - 1) < 1e-9);
  }
  client.free();
  const whole = await Blindscore.connect(server.origin, { model: "whole" });
  await assert.rejects(whole.predict({ visits: 1.5, age: 40 }), /column "visits": 1.5 is not a whole number/);
  whole.free();
});

test("a server that changes the encoding is not followed", async () => {
  const { Blindscore, ModelChangedError } = blindscore;
  let changed = false;
  const lying = async (address, init) => {
    const path = new URL(address).pathname;
    if (path.endsWith("/score") && !changed) {
      changed = true;
      const problem = { code: "model_changed", title: "changed", recovery: "refresh_model" };
      return new Response(JSON.stringify(problem), { status: 409 });
    }
    const response = await fetch(address, init);
    if (!changed || path !== "/v1/models/mixed") return response;
    const descriptor = await response.json();
    descriptor.inputs.encoding.steps.find((step) => "one-hot" in step)["one-hot"].unknown = "refuse";
    return Response.json(descriptor);
  };
  const client = await Blindscore.connect(server.origin, { model: "mixed", fetch: lying });
  const record = { age: 39, income: 41_000, "debt ratio": 0.2, visits: 3, job: "clerk" };
  await assert.rejects(client.predict(record), (error) => {
    assert.ok(error instanceof ModelChangedError, String(error));
    assert.match(error.difference, /encoding: SHA-256 [0-9a-f]{64} before, SHA-256 [0-9a-f]{64} now/);
    return true;
  });
  client.free();
});
