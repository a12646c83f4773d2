import type { Model, SecretKey } from "./blindscore.js";
import type { ModelDescriptor, Scores } from "./descriptor.js";
import { BlindscoreError, fromWasm } from "./errors.js";
import { generate } from "./generation.js";
import { Http, serverTiming } from "./http.js";
import { unpack, vector } from "./keys.js";
import type { KeyStorage } from "./storage.js";
import { load, loaded, type WasmSource } from "./wasm.js";

export interface ConnectOptions {
  /** Name of the model; the server's first one if it is left out. */
  model?: string;
  /** A key from `exportSecretKey`, to go on with instead of making a new one. */
  secretKey?: Uint8Array;
  /** Where the secret key is kept between visits, such as `indexedDbStorage()`; nowhere if it is left out. */
  storage?: KeyStorage;
  /** Used instead of the global `fetch`. */
  fetch?: typeof fetch;
  /** Where to take the WebAssembly from, if not from the package. */
  wasm?: WasmSource;
  signal?: AbortSignal;
}

export interface Progress {
  phase: "generate" | "upload";
  /** From 0 to 1. */
  fraction: number;
}

export interface KeyReport {
  keyId: string;
  /** Whether a secret key was made just now. */
  generated: boolean;
  /** Whether the public key was uploaded just now. */
  uploaded: boolean;
  keygenMs: number;
  uploadMs: number;
  publicKeyBytes: number;
}

export interface Prediction extends Scores {
  timings: {
    encryptMs: number;
    /** The whole request, network and server. */
    requestMs: number;
    /** What the server says it spent on scoring. */
    serverMs: number | null;
    decryptMs: number;
  };
  bytes: { query: number; response: number };
  /** The bytes on the wire, when asked for. */
  trace?: { query: Uint8Array; response: Uint8Array };
}

/** Queries in one request of `predictMany`: a network takes some seconds for so many. */
const BATCH = 16;

/**
 * A model on a server that scores encrypted features, and the key to them.
 *
 * The secret key never leaves this object, except by `exportSecretKey`.
 */
export class Blindscore {
  /** What the server tells about the model. */
  readonly model: ModelDescriptor;
  readonly #http: Http;
  readonly #parsed: Model;
  readonly #storage: KeyStorage | undefined;
  #secret: SecretKey | undefined;
  /** Kept until it is uploaded. */
  #publicKey: Uint8Array | undefined;
  #ensuring: Promise<KeyReport> | undefined;
  #stored = false;

  private constructor(http: Http, model: ModelDescriptor, parsed: Model, storage: KeyStorage | undefined) {
    this.#http = http;
    this.model = model;
    this.#parsed = parsed;
    this.#storage = storage;
  }

  /** Loads the WebAssembly and asks the server for the model. Makes no keys yet. */
  static async connect(url: string | URL, options: ConnectOptions = {}): Promise<Blindscore> {
    const http = new Http(String(url), options.fetch);
    const [bindings, model] = await Promise.all([load(options.wasm), describe(http, options)]);
    try {
      const client = new Blindscore(http, model, new bindings.Model(JSON.stringify(model)), options.storage);
      if (options.secretKey) client.#secret = bindings.SecretKey.fromBytes(options.secretKey);
      else await client.#load();
      return client;
    } catch (error) {
      throw fromWasm(error);
    }
  }

  /** Id of the public key in use, once there is one. */
  get keyId(): string | null {
    return this.#secret?.keyId() ?? null;
  }

  /**
   * Makes sure that there is a secret key and that the server stores its public key. Does what is missing, and only that;
   * `predict` calls it by itself. Calls at the same time share one run.
   *
   * If the server has lost the public key of an imported secret key, a new one is made for it, and `keyId` changes.
   */
  ensureKeys(options: { onProgress?: (progress: Progress) => void; signal?: AbortSignal } = {}): Promise<KeyReport> {
    this.#ensuring ??= this.#ensureKeys(options.onProgress ?? (() => {}), options.signal).finally(() => {
      this.#ensuring = undefined;
    });
    return this.#ensuring;
  }

  async #ensureKeys(onProgress: (progress: Progress) => void, signal?: AbortSignal): Promise<KeyReport> {
    const report = { generated: false, uploaded: false, keygenMs: 0, uploadMs: 0 };
    const publicKeyBytes = this.model.sizes.public_key;
    // Another client of the same models may have made a key meanwhile.
    if (!this.#secret) await this.#load();
    if (this.#secret && (await this.#isStored(this.#secret.keyId(), signal))) {
      this.#stored = true;
      return { keyId: this.#secret.keyId(), publicKeyBytes, ...report };
    }
    const started = performance.now();
    report.generated = this.#secret === undefined;
    const [secret, publicKey] = await this.#makeKeys((fraction) => onProgress({ phase: "generate", fraction }), signal);
    report.keygenMs = performance.now() - started;

    const uploading = performance.now();
    await this.#http.upload(
      `/v1/keys/${secret.keyId()}`,
      publicKey,
      (fraction) => onProgress({ phase: "upload", fraction }),
      signal,
    );
    await this.#storage?.set(this.#storageName(), secret.toBytes());
    report.uploaded = true;
    report.uploadMs = performance.now() - uploading;
    this.#publicKey = undefined;
    this.#stored = true;
    return { keyId: secret.keyId(), publicKeyBytes, ...report };
  }

  /** One key serves all models of a parameter set. */
  #storageName(): string {
    return `${this.#http.base} ${this.model.parameter_set}`;
  }

  /** Takes the secret key from the storage, if there is one that can be read. */
  async #load(): Promise<void> {
    const bytes = await this.#storage?.get(this.#storageName());
    if (!bytes) return;
    try {
      this.#secret = loaded().SecretKey.fromBytes(bytes);
    } catch {
      // Of an older version, or damaged: of no use any more.
      await this.#storage?.delete(this.#storageName());
    }
  }

  async #isStored(keyId: string, signal?: AbortSignal): Promise<boolean> {
    const init: RequestInit = { method: "HEAD", ...(signal && { signal }) };
    const response = await this.#http.request(`/v1/keys/${keyId}`, init, [404]);
    return response.ok;
  }

  /** The secret key with a public key to upload, made as far as they are missing. */
  async #makeKeys(onProgress: (fraction: number) => void, signal?: AbortSignal): Promise<[SecretKey, Uint8Array]> {
    try {
      this.#secret ??= loaded().SecretKey.generate(this.#parsed);
      this.#publicKey ??= await generate(this.#secret, onProgress, signal);
      return [this.#secret, this.#publicKey];
    } catch (error) {
      throw fromWasm(error);
    }
  }

  /**
   * Encrypts the features, has the server score them, decrypts the scores.
   *
   * Uploads the public key first if that has not happened, and once more if the server has lost it meanwhile.
   */
  async predict(
    features: ArrayLike<number>,
    options: { signal?: AbortSignal; trace?: boolean } = {},
  ): Promise<Prediction> {
    const values = vector(features);
    return this.#withKeys(() => this.#predict(values, options), options);
  }

  /**
   * Predicts for many feature vectors, some in each request. All of them are checked before the first one is sent.
   *
   * Keys are made and uploaded as for `predict`.
   */
  async predictMany(
    list: readonly ArrayLike<number>[],
    options: { signal?: AbortSignal; onProgress?: (done: number) => void } = {},
  ): Promise<Scores[]> {
    const values = list.map(vector);
    for (const features of values) this.#check(features);
    const scores: Scores[] = [];
    while (scores.length < values.length) {
      const part = values.slice(scores.length, scores.length + BATCH);
      scores.push(...(await this.#withKeys(() => this.#predictPart(part, options.signal), options)));
      options.onProgress?.(scores.length);
    }
    return scores;
  }

  /** Refuses what `encrypt` would. */
  #check(features: Float64Array): void {
    const { count, min, max } = this.model.inputs;
    if (features.length !== count) {
      throw new BlindscoreError("feature_count", `the model takes ${count} features, got ${features.length}`);
    }
    const index = features.findIndex((value) => !(value >= min && value <= max));
    if (index < 0) return;
    throw new BlindscoreError("feature_range", `feature ${index} is ${features[index]}, outside ${min} to ${max}`);
  }

  /** Does `work` with the public key on the server, and once more if the server has lost it meanwhile. */
  async #withKeys<T>(work: () => Promise<T>, options: { signal?: AbortSignal }): Promise<T> {
    const signal = options.signal && { signal: options.signal };
    if (!this.#stored) await this.ensureKeys(signal);
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof BlindscoreError) || error.recovery !== "upload_key") throw error;
      this.#stored = false;
      await this.ensureKeys(signal);
      return await work();
    }
  }

  async #predictPart(part: Float64Array[], signal?: AbortSignal): Promise<Scores[]> {
    const secret = this.#requireSecret();
    const queries = part.map((features) => rethrow(() => secret.encrypt(this.#parsed, features)));
    const response = await this.#score(secret, concatenated(queries), signal);
    const answers = new Uint8Array(await response.arrayBuffer());
    const { response: size } = this.model.sizes;
    if (answers.length !== size * part.length) {
      throw new BlindscoreError("malformed_blob", `${answers.length} bytes are not ${part.length} responses`);
    }
    return part.map((_, index) => {
      const answer = answers.subarray(index * size, (index + 1) * size);
      return unpack(this.model, rethrow(() => secret.decrypt(this.#parsed, answer)));
    });
  }

  #score(secret: SecretKey, body: Uint8Array, signal?: AbortSignal): Promise<Response> {
    return this.#http.request(`/v1/models/${encodeURIComponent(this.model.name)}/score`, {
      method: "POST",
      headers: { "content-type": "application/octet-stream", "blindscore-key": secret.keyId() },
      body: body as Uint8Array<ArrayBuffer>,
      ...(signal && { signal }),
    });
  }

  async #predict(features: Float64Array, options: { signal?: AbortSignal; trace?: boolean }): Promise<Prediction> {
    const secret = this.#requireSecret();
    const started = performance.now();
    const query = rethrow(() => secret.encrypt(this.#parsed, features));
    const encrypted = performance.now();
    const response = await this.#score(secret, query, options.signal);
    const answer = new Uint8Array(await response.arrayBuffer());
    const received = performance.now();
    const flat = rethrow(() => secret.decrypt(this.#parsed, answer));
    const decrypted = performance.now();
    return {
      ...unpack(this.model, flat),
      timings: {
        encryptMs: encrypted - started,
        requestMs: received - encrypted,
        serverMs: serverTiming(response.headers.get("server-timing"), "score"),
        decryptMs: decrypted - received,
      },
      bytes: { query: query.length, response: answer.length },
      ...(options.trace && { trace: { query, response: answer } }),
    };
  }

  /**
   * The secret key as some hundred bytes, for `connect({ secretKey })`. Whoever has them can read every query and answer made with this key:
   * keep them out of logs, cookies and anything that is sent.
   */
  exportSecretKey(): Uint8Array {
    return this.#requireSecret().toBytes();
  }

  /** Deletes the public key on the server, and the secret key here and in the storage. The object can be used on; it makes new keys. */
  async forget(options: { signal?: AbortSignal } = {}): Promise<void> {
    await this.#ensuring?.catch(() => {});
    if (!this.#secret) await this.#load();
    const secret = this.#secret;
    if (!secret) return;
    const init: RequestInit = { method: "DELETE", ...(options.signal && { signal: options.signal }) };
    await this.#http.request(`/v1/keys/${secret.keyId()}`, init, [404]);
    await this.#storage?.delete(this.#storageName());
    this.#secret = undefined;
    this.#publicKey = undefined;
    this.#stored = false;
    secret.free();
  }

  /** Wipes the secret key from the WebAssembly's memory. The object can't be used afterwards. */
  free(): void {
    this.#secret?.free();
    this.#secret = undefined;
    this.#parsed.free();
  }

  #requireSecret(): SecretKey {
    if (!this.#secret) throw new BlindscoreError("no_key", "there is no key yet: await ensureKeys() first");
    return this.#secret;
  }
}

async function describe(http: Http, { model, signal }: ConnectOptions): Promise<ModelDescriptor> {
  const init: RequestInit = signal ? { signal } : {};
  if (model !== undefined) {
    const response = await http.request(`/v1/models/${encodeURIComponent(model)}`, init);
    return (await response.json()) as ModelDescriptor;
  }
  const response = await http.request("/v1/models", init);
  const { models } = (await response.json()) as { models: ModelDescriptor[] };
  if (!models[0]) throw new BlindscoreError("model_not_found", "the server has no models");
  return models[0];
}

function concatenated(parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function rethrow<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw fromWasm(error);
  }
}
