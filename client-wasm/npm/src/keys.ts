import type { SecretKey } from "./blindscore.js";
import type { ModelDescriptor, Scores } from "./descriptor.js";
import { rethrow } from "./errors.js";
import { generate, generateNow } from "./generation.js";
import { LoadedModel } from "./model.js";
import type { ModelInput } from "./record.js";
import { load, loaded } from "./wasm.js";

/** Secret key and its public key, as bytes. */
export interface KeyPair {
  /**
   * Secret key, which decrypts everything. Keep it where only its owner can read it, and never send
   * it anywhere.
   */
  secretKey: Uint8Array;
  /** Public key to upload: `PUT /v1/keys/{keyId}`. */
  publicKey: Uint8Array;
  /** Id of the public key: its SHA-256, in hexadecimal. */
  keyId: string;
}

/**
 * Generates keys for models that share this model's parameter set. `init()` must have been awaited.
 *
 * Keys for a network take about half a second, during which the thread is blocked: call this in a
 * worker, or use `generateKeysAsync`.
 */
export function generateKeys(model: ModelDescriptor, { onProgress = () => {} }: { onProgress?: (fraction: number) => void } = {}): KeyPair {
  return withModel(model, ({ parsed }) => freeing(loaded().SecretKey.generate(parsed), (secret) => pair(secret, generateNow(secret, onProgress))));
}

/**
 * Generates keys like `generateKeys`, but in steps of a few milliseconds, so that the thread stays
 * responsive. Loads the WebAssembly automatically.
 */
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

/** Encrypts one record or feature vector. Returns the body of a score request. */
export function encrypt(model: ModelDescriptor, secretKey: Uint8Array, input: ModelInput): Uint8Array {
  return withModel(model, (loadedModel) => {
    const features = loadedModel.features(input);
    return freeing(loaded().SecretKey.fromBytes(secretKey), (secret) => secret.encrypt(loadedModel.parsed, features));
  });
}

/**
 * Decrypts the response to a query. Throws if it belongs to another query, key or model, or was
 * damaged.
 */
export function decrypt(model: ModelDescriptor, secretKey: Uint8Array, query: Uint8Array, response: Uint8Array): Scores {
  return withModel(model, ({ parsed }) =>
    freeing(loaded().SecretKey.fromBytes(secretKey), (secret) => unpack(model, secret.decrypt(parsed, query, response))),
  );
}

/** Converts `[index, scores..., probabilities..., values...]` to an object. */
export function unpack(model: ModelDescriptor, flat: Float64Array): Scores {
  const count = model.outputs.length;
  const decided = flat[0] ?? -1;
  const index = decided < 0 ? null : decided;
  const label = index === null ? null : (model.classes?.[index] ?? model.outputs[index]?.label ?? null);
  const values = flat.length - (model.task === "regression" ? count : 0);
  return { label, index, scores: flat.slice(1, 1 + count), probabilities: flat.slice(1 + count, values), values: flat.slice(values) };
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
