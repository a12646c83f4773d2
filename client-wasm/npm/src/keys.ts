import type { SecretKey } from "./blindscore.js";
import type { ModelDescriptor, Scores } from "./descriptor.js";
import { InputError, rethrow } from "./errors.js";
import { generate, generateNow } from "./generation.js";
import { LoadedModel } from "./model.js";
import { load, loaded } from "./wasm.js";

/** A secret key and its public key, as bytes. */
export interface KeyPair {
  /** Decrypts everything. Keep it where only its owner can read it, and never send it anywhere. */
  secretKey: Uint8Array;
  /** Goes to the server: `PUT /v1/keys/{keyId}`. */
  publicKey: Uint8Array;
  /** SHA-256 of the public key, in hexadecimal. */
  keyId: string;
}

/**
 * Makes keys for models of this one's parameter set. `init()` must have been awaited.
 *
 * A network's take about half a second, in which the thread does nothing else: call it in a worker, or use `generateKeysAsync`.
 */
export function generateKeys(
  model: ModelDescriptor,
  { onProgress = () => {} }: { onProgress?: (fraction: number) => void } = {},
): KeyPair {
  return withModel(model, ({ parsed }) =>
    freeing(loaded().SecretKey.generate(parsed), (secret) => pair(secret, generateNow(secret, onProgress))),
  );
}

/** The same in steps of some milliseconds, so that the thread stays responsive. Loads the WebAssembly by itself. */
export async function generateKeysAsync(
  model: ModelDescriptor,
  { onProgress = () => {}, signal }: { onProgress?: (fraction: number) => void; signal?: AbortSignal } = {},
): Promise<KeyPair> {
  const bindings = await load(undefined, signal);
  const secret = withModel(model, ({ parsed }) => bindings.SecretKey.generate(parsed));
  try {
    return pair(secret, await generate(secret, onProgress, signal));
  } finally {
    secret.free();
  }
}

/** Encrypts one feature vector: the body of a score request. */
export function encrypt(model: ModelDescriptor, secretKey: Uint8Array, features: ArrayLike<number>): Uint8Array {
  const values = vector(features);
  return withModel(model, ({ parsed }) =>
    freeing(loaded().SecretKey.fromBytes(secretKey), (secret) => secret.encrypt(parsed, values)),
  );
}

/** Decrypts one response. Throws if it belongs to another key or model, or was damaged. */
export function decrypt(
  model: ModelDescriptor,
  secretKey: Uint8Array,
  query: Uint8Array,
  response: Uint8Array,
): Scores {
  return withModel(model, ({ parsed }) =>
    freeing(loaded().SecretKey.fromBytes(secretKey), (secret) => unpack(model, secret.decrypt(parsed, query, response))),
  );
}

/** `[index, scores..., probabilities...]` as an object. */
export function unpack(model: ModelDescriptor, flat: Float64Array): Scores {
  const count = model.outputs.length;
  const decided = flat[0] ?? -1;
  const index = decided < 0 ? null : decided;
  const label = index === null ? null : (model.classes?.[index] ?? model.outputs[index]?.label ?? null);
  return { label, index, scores: flat.slice(1, 1 + count), probabilities: flat.slice(1 + count) };
}

/** Features as the WebAssembly takes them; refuses what isn't a list of numbers. */
export function vector(features: ArrayLike<number>): Float64Array {
  const copy = new Float64Array(features.length);
  for (let index = 0; index < features.length; index++) {
    const value: unknown = features[index];
    // An undefined or a string would become NaN or 0 in a Float64Array without a word.
    if (typeof value !== "number") {
      throw new InputError("feature_range", `feature ${index} is ${String(value)}, not a number`);
    }
    copy[index] = value;
  }
  return copy;
}

function pair(secret: SecretKey, publicKey: Uint8Array): KeyPair {
  return { secretKey: secret.toBytes(), publicKey, keyId: secret.keyId() };
}

function withModel<T>(descriptor: ModelDescriptor, use: (model: LoadedModel) => T): T {
  return freeing(new LoadedModel(descriptor), (model) => rethrow(() => use(model)));
}

function freeing<H extends { free(): void }, T>(handle: H, use: (handle: H) => T): T {
  try {
    return use(handle);
  } finally {
    handle.free();
  }
}
