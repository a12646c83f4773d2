// All secret work: keys, normalising, encrypting, decrypting.
import { Blindscore, BlindscoreError, normalizeDrawing, ServerError } from "blindscore";
import { Connection } from "./connection";
import type { Drawing, FromWorker, ModelFacts, ToWorker, Trouble } from "./messages";

let listing: Promise<ModelFacts[]> | null = null;
const connections = new Map<string, Connection>();
let current = new AbortController();
let warming = new AbortController();

function say(message: FromWorker) {
  postMessage(message);
}

/** Returns the server's digit models. A failed request is retried at the next call. */
function models(): Promise<ModelFacts[]> {
  listing ??= list().catch((error: unknown) => {
    listing = null;
    throw error;
  });
  return listing;
}

async function list(): Promise<ModelFacts[]> {
  const all = await Blindscore.models(location.origin);
  const digits = all.filter(({ inputs, outputs, task, classes }) => {
    const takesDrawings = inputs.image?.width === 28 && inputs.image.height === 28;
    return takesDrawings && outputs.length === 10 && task === "classification" && !classes;
  });
  const facts = digits.map(({ name, title, outputs, accuracy, sizes, parameter_set }) => ({
    name,
    title,
    labels: outputs.map((output) => output.label),
    accuracy: accuracy ?? null,
    publicKeyBytes: sizes.public_key,
    parameterSet: parameter_set,
  }));
  if (facts.length === 0) throw new BlindscoreError("model_not_found", "the server has no digit model");
  say({ type: "models", models: facts });
  return facts;
}

/** Returns the connection to a model, or to the first one. */
async function connection(model: string | null): Promise<Connection> {
  const name = model ?? (await models())[0]!.name;
  let found = connections.get(name);
  if (!found) {
    const relist = () => {
      listing = null;
      // On failure, the page may show old facts until the next request; nothing else depends on
      // them.
      models().catch(() => {});
    };
    connections.set(name, (found = new Connection(name, say, relist)));
  }
  return found;
}

async function prepare(id: number, model: string | null) {
  await models();
  await (await connection(model)).keyed();
  say({ type: "prepared", id });
}

/**
 * Scores a drawing in place of an older one. Key generation continues even if something else is
 * drawn.
 */
async function score(id: number, model: string | null, drawing: Drawing) {
  current.abort();
  const { signal } = (current = new AbortController());
  try {
    await models();
    const to = await connection(model);
    await to.keyed();
    if (signal.aborted) return;
    const normalized = normalizeDrawing(drawing.pixels, drawing.width, drawing.height);
    if (!normalized) return say({ type: "blank", id });
    const features = Float64Array.from(normalized, (value) => value / 255);
    const { trace, label, index, ...prediction } = await to.predict(features, signal);
    if (signal.aborted) return;
    if (label === null || index === null) throw new BlindscoreError("unsupported_model", "the model decides for no digit");
    const { query, response } = trace ?? { query: new Uint8Array(), response: new Uint8Array() };
    say({ type: "answer", id, answer: { ...prediction, label, index, normalized, query, response } });
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
  const others = all.filter(({ name, parameterSet }) => name !== model && parameterSet === set);
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
    else if (data.type === "score") await score(data.id, data.model, data.drawing);
    else await forget(data.id);
  } catch (error) {
    say({ type: "failed", id: data.id, trouble: trouble(error) });
  }
});
