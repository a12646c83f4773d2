// Everything secret happens here: keys, normalising, encrypting, decrypting.
import { BlindscoreError, normalizeDrawing, type ModelDescriptor } from "blindscore";
import { Connection } from "./connection";
import type { Drawing, FromWorker, ModelFacts, ToWorker, Trouble } from "./messages";

let listing: Promise<ModelFacts[]> | null = null;
const connections = new Map<string, Connection>();
let current = new AbortController();
let warming = new AbortController();

function say(message: FromWorker, transfer: Transferable[] = []) {
  postMessage(message, { transfer });
}

/** The digit models that the server has; a failed question is asked again. */
function models(): Promise<ModelFacts[]> {
  listing ??= list().catch((error: unknown) => {
    listing = null;
    throw error;
  });
  return listing;
}

async function list(): Promise<ModelFacts[]> {
  const response = await fetch("/v1/models").catch(() => {
    throw new BlindscoreError("network", "the server can't be reached", "retry");
  });
  if (!response.ok) throw new BlindscoreError(`http_${response.status}`, "no list of models", "retry");
  const all = ((await response.json()) as { models: ModelDescriptor[] }).models;
  const digits = all.filter(({ inputs, outputs }) => {
    return inputs.image?.width === 28 && inputs.image.height === 28 && outputs.length === 10;
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

/** The connection to a model, or to the first one. */
async function connection(model: string | null): Promise<Connection> {
  const name = model ?? (await models())[0]!.name;
  let found = connections.get(name);
  if (!found) connections.set(name, (found = new Connection(name, say)));
  return found;
}

async function prepare(model: string | null, signal?: AbortSignal) {
  await models();
  await (await connection(model)).keyed(signal);
}

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
    const { trace, ...prediction } = await to.predict(normalized, signal);
    if (signal.aborted) return;
    const { query, response } = trace ?? { query: new Uint8Array(), response: new Uint8Array() };
    say({ type: "answer", id, answer: { ...prediction, normalized, query, response } });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** Gets a model's key ready in the background. */
async function warm(model: string) {
  const { signal } = warming;
  try {
    await prepare(model, signal);
    say({ type: "warmed", model });
  } catch {
    // Choosing the model tries again, and says what is wrong.
    say({ type: "cooled", model });
  }
}

async function forget() {
  current.abort();
  warming.abort();
  warming = new AbortController();
  // Also keys of earlier visits, which no connection has asked for yet.
  for (const { name } of await models()) await (await connection(name)).forget();
  connections.clear();
}

function trouble(error: unknown): Trouble {
  if (error instanceof BlindscoreError) {
    return { code: error.code, recovery: error.recovery, message: error.message };
  }
  return { code: "unexpected", recovery: "none", message: error instanceof Error ? error.message : String(error) };
}

addEventListener("message", async ({ data }: MessageEvent<ToWorker>) => {
  if (data.type === "cancel") return current.abort();
  if (data.type === "warm") return warm(data.model);
  const { id } = data;
  try {
    if (data.type === "score") return await score(id, data.model, data.drawing);
    if (data.type === "forget") {
      await forget();
      return say({ type: "forgotten", id });
    }
    await prepare(data.model);
    say({ type: "prepared", id });
  } catch (error) {
    say({ type: "failed", id, trouble: trouble(error) });
  }
});
