// Everything secret happens here: keys, normalising, encrypting, decrypting.
import { Blindscore, BlindscoreError, normalizeDrawing, type Prediction } from "blindscore";
import type { Drawing, FromWorker, ToWorker, Trouble } from "./messages";

const MODEL = "mnist-linear";

let client: Promise<Blindscore> | null = null;
let keys: Promise<Blindscore> | null = null;
let current = new AbortController();

function say(message: FromWorker, transfer: Transferable[] = []) {
  postMessage(message, { transfer });
}

/** The connection; a failed one is forgotten, so the next call tries again. */
function connected(secretKey?: Uint8Array): Promise<Blindscore> {
  client ??= Blindscore.connect(location.origin, { model: MODEL, secretKey }).then(
    (made) => {
      const { outputs, accuracy } = made.model;
      const labels = outputs.map((output) => output.label);
      say({ type: "model", model: { labels, accuracy: accuracy ?? null } });
      return made;
    },
    (error: unknown) => {
      client = null;
      throw error;
    },
  );
  return client;
}

/** The connection with its key on the server. */
function keyed(): Promise<Blindscore> {
  keys ??= makeKeys().catch((error: unknown) => {
    keys = null;
    throw error;
  });
  return keys;
}

async function makeKeys(): Promise<Blindscore> {
  const made = await connected();
  const report = await made.ensureKeys({ onProgress: (progress) => say({ type: "progress", ...progress }) });
  say({ type: "keys", keys: report });
  return made;
}

/** Does what the error asks for. False if nothing here can help. */
async function recovered(error: unknown): Promise<boolean> {
  if (!(error instanceof BlindscoreError)) return false;
  if (error.recovery === "upload_key") {
    keys = null;
    await keyed();
    return true;
  }
  if (error.recovery === "refresh_model") {
    const old = await connected();
    const secretKey = old.keyId === null ? undefined : old.exportSecretKey();
    client = keys = null;
    old.free();
    await connected(secretKey);
    await keyed();
    return true;
  }
  return false;
}

async function predict(normalized: Uint8Array, signal: AbortSignal): Promise<Prediction> {
  const features = Float64Array.from(normalized, (value) => value / 255);
  const attempt = async () => (await keyed()).predict(features, { signal, trace: true });
  try {
    return await attempt();
  } catch (error) {
    if (signal.aborted || !(await recovered(error))) throw error;
    return await attempt();
  }
}

async function score(id: number, drawing: Drawing) {
  current.abort();
  const { signal } = (current = new AbortController());
  try {
    await keyed();
    if (signal.aborted) return;
    const normalized = normalizeDrawing(drawing.pixels, drawing.width, drawing.height);
    if (!normalized) return say({ type: "blank", id });
    const { trace, ...prediction } = await predict(normalized, signal);
    if (signal.aborted) return;
    const { query, response } = trace ?? { query: new Uint8Array(), response: new Uint8Array() };
    say({ type: "answer", id, answer: { ...prediction, normalized, query, response } });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

async function forget() {
  current.abort();
  const old = await connected();
  await old.forget();
  client = keys = null;
  old.free();
}

function trouble(error: unknown): Trouble {
  if (error instanceof BlindscoreError) {
    return { code: error.code, recovery: error.recovery, message: error.message };
  }
  return { code: "unexpected", recovery: "none", message: error instanceof Error ? error.message : String(error) };
}

addEventListener("message", async ({ data }: MessageEvent<ToWorker>) => {
  if (data.type === "cancel") return current.abort();
  const { id } = data;
  try {
    if (data.type === "score") return await score(id, data.drawing);
    if (data.type === "forget") {
      await forget();
      return say({ type: "forgotten", id });
    }
    await keyed();
    say({ type: "prepared", id });
  } catch (error) {
    say({ type: "failed", id, trouble: trouble(error) });
  }
});
