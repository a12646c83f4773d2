import type { Model, SecretKey } from "./blindscore.js";
import type { ModelDescriptor, Scores } from "./descriptor.js";
import { BlindscoreError, fromWasm } from "./errors.js";
import { generateNow } from "./generation.js";
import { loaded } from "./wasm.js";

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
 * A network's take about a second, in which the thread does nothing else: call it in a worker, or use `Blindscore.ensureKeys`.
 */
export function generateKeys(
  model: ModelDescriptor,
  { onProgress = () => {} }: { onProgress?: (fraction: number) => void } = {},
): KeyPair {
  return withModel(model, (parsed) => {
    const secret = loaded().SecretKey.generate(parsed);
    try {
      const publicKey = generateNow(secret, onProgress);
      return { secretKey: secret.toBytes(), publicKey, keyId: secret.keyId() };
    } finally {
      secret.free();
    }
  });
}

/** Encrypts one feature vector: the body of a score request. */
export function encrypt(model: ModelDescriptor, secretKey: Uint8Array, features: ArrayLike<number>): Uint8Array {
  return withModel(model, (parsed) => withSecret(secretKey, (secret) => secret.encrypt(parsed, vector(features))));
}

/** Decrypts one response. Throws if it belongs to another key or model, or was damaged. */
export function decrypt(model: ModelDescriptor, secretKey: Uint8Array, response: Uint8Array): Scores {
  return withModel(model, (parsed) => withSecret(secretKey, (secret) => unpack(model, secret.decrypt(parsed, response))));
}

/** `[index, scores..., probabilities...]` as an object. */
export function unpack(model: ModelDescriptor, flat: Float64Array): Scores {
  const count = model.outputs.length;
  const index = flat[0] ?? 0;
  const label = model.outputs[Math.min(index, count - 1)]?.label ?? "";
  return { label, index, scores: flat.slice(1, 1 + count), probabilities: flat.slice(1 + count) };
}

/** Features as the WebAssembly takes them; refuses what isn't a list of numbers. */
export function vector(features: ArrayLike<number>): Float64Array {
  const copy = new Float64Array(features.length);
  for (let index = 0; index < features.length; index++) {
    const value: unknown = features[index];
    // An undefined or a string would become NaN or 0 in a Float64Array without a word.
    if (typeof value !== "number") {
      throw new BlindscoreError("feature_range", `feature ${index} is ${String(value)}, not a number`);
    }
    copy[index] = value;
  }
  return copy;
}

function withModel<T>(model: ModelDescriptor, use: (parsed: Model) => T): T {
  try {
    const parsed = new (loaded().Model)(JSON.stringify(model));
    try {
      return use(parsed);
    } finally {
      parsed.free();
    }
  } catch (error) {
    throw fromWasm(error);
  }
}

function withSecret<T>(bytes: Uint8Array, use: (secret: SecretKey) => T): T {
  const secret = loaded().SecretKey.fromBytes(bytes);
  try {
    return use(secret);
  } finally {
    secret.free();
  }
}
