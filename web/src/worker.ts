// All secret work: keys, normalising, encrypting, decrypting.
import { Blindscore, BlindscoreError, type ModelInput, normalizeDrawing, ServerError } from "blindscore";
import { Connection } from "./connection";
import type { FromWorker, Input, ModelFacts, ToWorker, Trouble } from "./messages";
import { found, usable } from "./models";

let listing: Promise<ModelFacts[]> | null = null;
const connections = new Map<string, Connection>();
let current = new AbortController();
let warming = new AbortController();

function say(message: FromWorker) {
  postMessage(message);
}

/** Returns the server's models for the demos. A failed request is retried at the next call. */
function models(): Promise<ModelFacts[]> {
  listing ??= list().catch((error: unknown) => {
    listing = null;
    throw error;
  });
  return listing;
}

async function list(): Promise<ModelFacts[]> {
  const facts = usable(await Blindscore.models(location.origin));
  say({ type: "models", models: facts });
  return facts;
}

/** Returns the connection to a model, or to the first digit model. */
async function connection(model: string | null): Promise<Connection> {
  const name = found(await models(), model);
  let known = connections.get(name);
  if (!known) {
    const relist = () => {
      listing = null;
      // On failure, the page may show old facts until the next request; nothing else depends on
      // them.
      models().catch(() => {});
    };
    connections.set(name, (known = new Connection(name, say, relist)));
  }
  return known;
}

async function prepare(id: number, model: string | null) {
  await (await connection(model)).keyed();
  say({ type: "prepared", id });
}

/**
 * Scores an input in place of an older one. Key generation continues even if something else is
 * asked.
 */
async function score(id: number, model: string | null, input: Input) {
  current.abort();
  const { signal } = (current = new AbortController());
  try {
    const to = await connection(model);
    await to.keyed();
    if (signal.aborted) return;
    const normalized = "drawing" in input ? normalizeDrawing(input.drawing.pixels, input.drawing.width, input.drawing.height) : null;
    if ("drawing" in input && !normalized) return say({ type: "blank", id });
    const values: ModelInput = "application" in input ? input.application : Float64Array.from(normalized!, (value) => value / 255);
    const { trace, label, index, ...prediction } = await to.predict(values, signal);
    if (signal.aborted) return;
    const all = await models();
    const facts = all.find(({ name }) => name === found(all, model));
    if (label === null && !facts?.labelOnly) throw new BlindscoreError("unsupported_model", "the model decides for no class");
    const { query, response } = trace ?? { query: new Uint8Array(), response: new Uint8Array() };
    say({ type: "answer", id, answer: { ...prediction, label, index, normalized: normalized ?? null, query, response } });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** Prepares a model's key in the background. */
async function warm(model: string) {
  const { signal } = warming;
  try {
    const all = await models();
    await (await connection(model)).keyed(signal);
    await tryBlank(model, all, signal);
    say({ type: "warmed", model });
  } catch {
    // Choosing the model tries again and shows the error.
    say({ type: "cooled", model });
  }
}

/**
 * Has a blank sheet scored by a model and those that share its key. The server then has the key
 * ready, so that the first drawing needn't wait, and the page knows each model's latency.
 */
async function tryBlank(model: string, all: ModelFacts[], signal: AbortSignal) {
  const set = all.find(({ name }) => name === model)?.parameterSet;
  const others = all.filter(({ name, demo, parameterSet }) => name !== model && demo === "digit" && parameterSet === set);
  // The first model is measured again at the end: its first query also waits for the server to
  // prepare the key.
  for (const name of [model, ...others.map(({ name }) => name), model]) {
    const to = await connection(name);
    await to.keyed(signal);
    await to.predict(new Float64Array(784), signal, true);
  }
}

function cool() {
  warming.abort();
  warming = new AbortController();
}

async function forget(id: number) {
  current.abort();
  cool();
  // Includes keys of earlier visits, which no connection has asked for yet.
  for (const { name } of await models()) await (await connection(name)).forget();
  connections.clear();
  say({ type: "forgotten", id });
}

function trouble(error: unknown): Trouble {
  if (error instanceof BlindscoreError) {
    const { code, recovery, message } = error;
    return { code, recovery, message, retryAfterMs: error instanceof ServerError ? error.retryAfterMs : null };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { code: "unexpected", recovery: "none", message, retryAfterMs: null };
}

addEventListener("message", async ({ data }: MessageEvent<ToWorker>) => {
  if (data.type === "cancel") return current.abort();
  if (data.type === "warm") return warm(data.model);
  if (data.type === "cool") return cool();
  try {
    if (data.type === "prepare") await prepare(data.id, data.model);
    else if (data.type === "score") await score(data.id, data.model, data.input);
    else await forget(data.id);
  } catch (error) {
    say({ type: "failed", id: data.id, trouble: trouble(error) });
  }
});
