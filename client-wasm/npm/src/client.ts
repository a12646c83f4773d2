import { type Answer, serverTiming } from "./answer.js";
import type { ModelDescriptor, Scores } from "./descriptor.js";
import { BlindscoreError, ModelChangedError, rethrow } from "./errors.js";
import { Http } from "./http.js";
import { type KeyReport, KeyRing, type Progress } from "./keyring.js";
import { unpack, vector } from "./keys.js";
import { modelPath, type LoadedModel, Wanted } from "./model.js";
import type { KeyStorage } from "./storage.js";
import { load, type WasmSource } from "./wasm.js";

/** What `Blindscore.connect` takes. */
export interface ConnectOptions {
  /** Name of the model, or `name@version` to stay with a version; the server's first one if it is left out. */
  model?: string;
  /**
   * Pins the model: a client's `pin`, or the `id` of a descriptor. Any other model is refused with the code `model_changed`. An id alone is the
   * server's word; the `pin` also holds a fingerprint of what was agreed to, which the client makes itself.
   */
  id?: string;
  /** A key from `exportSecretKey`, to go on with instead of making a new one. It is copied; the array stays as it is, and yours to wipe. */
  secretKey?: Uint8Array;
  /** Where the secret key is kept between visits, such as `indexedDbStorage()`; nowhere if it is left out. */
  storage?: KeyStorage;
  /** Used instead of the global `fetch`. */
  fetch?: typeof fetch;
  /** Where to take the WebAssembly from, if not from the package. */
  wasm?: WasmSource;
  /** Gives up connecting. */
  signal?: AbortSignal;
  /**
   * Milliseconds that a request may take, of this client's and of `connect` itself, besides the time that its bytes take at 50 kB/s; 60,000 if it
   * is left out. Then the error has the code `timeout`.
   */
  timeout?: number;
}

/** A decrypted answer, with what it took. */
export interface Prediction extends Scores {
  /** Milliseconds. */
  timings: {
    encryptMs: number;
    /** The whole request, network and server. */
    requestMs: number;
    /** What the server says it spent on scoring. */
    serverMs: number | null;
    decryptMs: number;
  };
  /** Sizes on the wire. */
  bytes: { query: number; response: number };
  /** The bytes on the wire, when asked for. */
  trace?: { query: Uint8Array; response: Uint8Array };
}

/** Queries in one request of `predictMany`, if the model takes so many: a network needs some seconds for them. */
const BATCH = 16;

/**
 * A model on a server that scores encrypted features, and the key to them.
 *
 * The secret key never leaves this object, except by `exportSecretKey` and into the `storage`.
 */
export class Blindscore {
  readonly #http: Http;
  readonly #keys: KeyRing;
  readonly #wanted: Wanted;
  /** What the caller has agreed to, by `connect` or `refresh`. */
  #model: LoadedModel;
  #freed = false;

  private constructor(http: Http, keys: KeyRing, wanted: Wanted, model: LoadedModel) {
    this.#http = http;
    this.#keys = keys;
    this.#wanted = wanted;
    this.#model = model;
  }

  /**
   * Loads the WebAssembly and asks the server for the model. Makes no keys yet.
   *
   * Who goes on with the client agrees to what its `model` says, ranges included: whether a query follows tells the server that features lie
   * in them. Look at it, or give the `id`.
   */
  static async connect(url: string | URL, options: ConnectOptions = {}): Promise<Blindscore> {
    const { signal } = options;
    const http = new Http(String(url), options.fetch, options.timeout);
    const wanted = new Wanted(http, options.model, options.id);
    let model: LoadedModel | undefined;
    try {
      [, model] = await Promise.all([load(options.wasm, signal), wanted.fetch(signal)]);
      const keys = new KeyRing(http, options.storage, model);
      if (options.secretKey) keys.take(options.secretKey);
      else await keys.load();
      return new Blindscore(http, keys, wanted, model);
    } catch (error) {
      model?.free();
      wanted.free();
      throw error;
    }
  }

  /** What the server tells about the model. */
  get model(): ModelDescriptor {
    return this.#model.descriptor;
  }

  /** What `connect({ id })` takes to be given this model and no other: its id, and a fingerprint of what was agreed to. */
  get pin(): string {
    this.#assertAlive();
    return this.#model.pin;
  }

  /** Id of the public key in use, once there is one. */
  get keyId(): string | null {
    return this.#keys.secret?.keyId() ?? null;
  }

  /**
   * Makes sure that there is a secret key and that the server stores its public key. Does what is missing, and only that;
   * `predict` calls it by itself. Calls at the same time share one run; it is aborted when all of their signals are.
   *
   * If the server has lost the public key of an imported secret key, a new one is made for it, and `keyId` changes.
   */
  async ensureKeys(
    options: { onProgress?: (progress: Progress) => void; signal?: AbortSignal } = {},
  ): Promise<KeyReport> {
    this.#assertAlive();
    return this.#keys.ensure(options.onProgress ?? (() => {}), options.signal);
  }

  /**
   * Encrypts the features, has the server score them, decrypts the scores.
   *
   * Uploads the public key first if that has not happened. What can be recovered from is, once: a public key that the server has lost is
   * made and uploaded again, and a model that was replaced by one of the same ranges, encoding and outputs is asked in its place. If they
   * differ, the error is a `ModelChangedError`, and nothing more is sent.
   */
  async predict(
    features: ArrayLike<number>,
    options: { signal?: AbortSignal; trace?: boolean } = {},
  ): Promise<Prediction> {
    this.#assertAlive();
    const values = vector(features);
    this.#model.check(values);
    return this.#recovering(() => this.#predict(values, options), options.signal);
  }

  /**
   * Predicts for many feature vectors, some in each request. All of them are checked before the first one is sent.
   *
   * Keys are made and uploaded, and errors recovered from, as for `predict`.
   */
  async predictMany(
    list: readonly ArrayLike<number>[],
    options: { signal?: AbortSignal; onProgress?: (done: number) => void } = {},
  ): Promise<Scores[]> {
    this.#assertAlive();
    const values = list.map(vector);
    for (const features of values) this.#model.check(features);
    const scores: Scores[] = [];
    while (scores.length < values.length) {
      this.#assertAlive();
      // Asked each time: the model may change between two requests.
      const most = Math.min(BATCH, this.#model.parsed.queriesPerRequest());
      const part = values.slice(scores.length, scores.length + most);
      scores.push(...(await this.#recovering(() => this.#predictPart(part, options.signal), options.signal)));
      options.onProgress?.(scores.length);
    }
    return scores;
  }

  /**
   * Asks the server for the model again, and agrees to it as it is now; look at `model` before anything else is predicted. The key stays, unless
   * the model has other parameters now. Gives whether anything has changed.
   *
   * Don't call it in answer to each `model_changed` and go on with the same features: a server could then find them by narrowing ranges.
   */
  async refresh(options: { signal?: AbortSignal } = {}): Promise<boolean> {
    this.#assertAlive();
    return this.#renew(() => {}, options.signal);
  }

  /**
   * The secret key as some hundred bytes, for `connect({ secretKey })`. Whoever has them can read every query and answer made with this key:
   * keep them out of logs, cookies and anything that is sent, and `fill(0)` the array when you have put them where they belong.
   */
  exportSecretKey(): Uint8Array {
    this.#assertAlive();
    return this.#keys.require().toBytes();
  }

  /** Deletes the public key on the server, and the secret key here and in the storage. The object can be used on; it makes new keys. */
  async forget(options: { signal?: AbortSignal } = {}): Promise<void> {
    this.#assertAlive();
    await this.#keys.forget(options.signal);
  }

  /**
   * Wipes the secret key, and what was computed from it, from the WebAssembly's memory. It stays in a storage, and in arrays that
   * `exportSecretKey` gave or that `connect` was given; features and scores aren't wiped. The object can't be used afterwards.
   */
  free(): void {
    if (this.#freed) return;
    this.#freed = true;
    this.#keys.free();
    this.#model.free();
    this.#wanted.free();
  }

  /** The same as `free`, for `using`. */
  [Symbol.dispose](): void {
    this.free();
  }

  /** Does `work` with the public key on the server. Each kind of trouble that something can be done about is met once. */
  async #recovering<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    const met = new Set<string>();
    for (;;) {
      try {
        if (!this.#keys.onServer) await this.#keys.ensure(() => {}, signal);
        this.#assertAlive();
        return await work();
      } catch (error) {
        const recovery = error instanceof BlindscoreError ? error.recovery : "none";
        if (met.has(recovery) || !(await this.#recovered(recovery, signal))) throw error;
        met.add(recovery);
      }
    }
  }

  /** Does what a recovery asks for; false if nothing here can help. */
  async #recovered(recovery: string, signal: AbortSignal | undefined): Promise<boolean> {
    if (recovery === "refresh_model") return this.#renew((now) => this.#agreed(now), signal);
    if (recovery !== "upload_key") return false;
    this.#keys.lost();
    return true;
  }

  /** Whether another query follows must not depend on ranges that nobody has agreed to. */
  #agreed(now: LoadedModel): void {
    const difference = now.parsed.difference(this.#model.parsed);
    if (difference !== undefined) throw new ModelChangedError(difference);
  }

  /** Fetches the model again and goes on with it, if `check` lets it pass. */
  async #renew(check: (now: LoadedModel) => void, signal: AbortSignal | undefined): Promise<boolean> {
    const model = await this.#wanted.fetch(signal, this.#model);
    if (!model) return false;
    try {
      this.#assertAlive();
      check(model);
    } catch (error) {
      model.free();
      throw error;
    }
    const old = this.#model;
    this.#model = model;
    await this.#keys.adopt(model);
    old.free();
    return true;
  }

  async #predict(features: Float64Array, options: { signal?: AbortSignal; trace?: boolean }): Promise<Prediction> {
    const started = performance.now();
    const query = rethrow(() => this.#keys.require().encrypt(this.#model.parsed, features));
    const encrypted = performance.now();
    const { headers, body } = await this.#score(query, 1, options.signal);
    const received = performance.now();
    const scores = this.#decrypt(query, body);
    const decrypted = performance.now();
    return {
      ...scores,
      timings: {
        encryptMs: encrypted - started,
        requestMs: received - encrypted,
        serverMs: serverTiming(headers.get("server-timing"), "score"),
        decryptMs: decrypted - received,
      },
      bytes: { query: query.length, response: body.length },
      ...(options.trace && { trace: { query, response: body } }),
    };
  }

  async #predictPart(part: Float64Array[], signal?: AbortSignal): Promise<Scores[]> {
    const secret = this.#keys.require();
    const queries = part.map((features) => rethrow(() => secret.encrypt(this.#model.parsed, features)));
    const { body } = await this.#score(concatenated(queries), queries.length, signal);
    const size = body.length / queries.length;
    return queries.map((query, index) => this.#decrypt(query, body.subarray(index * size, (index + 1) * size)));
  }

  /** Sends queries, one after the other; gives as many responses. */
  async #score(body: Uint8Array, count: number, signal?: AbortSignal): Promise<Answer> {
    const size = count * this.#model.parsed.responseBytes();
    const answer = await this.#http.request(`${modelPath(this.model.name)}/score`, {
      method: "POST",
      headers: { "content-type": "application/octet-stream", "blindscore-key": this.#keys.require().keyId() },
      body,
      limit: size,
      signal,
    });
    if (answer.body.length !== size) {
      throw new BlindscoreError("malformed_answer", `${answer.body.length} bytes are not ${count} responses, which take ${size}`, "retry");
    }
    return answer;
  }

  /** Decrypts the response to a query, with the key and the model as they are now: either may have changed since the query was made. */
  #decrypt(query: Uint8Array, response: Uint8Array): Scores {
    this.#assertAlive();
    const secret = this.#keys.require();
    return unpack(this.model, rethrow(() => secret.decrypt(this.#model.parsed, query, response)));
  }

  #assertAlive() {
    if (this.#freed) throw new BlindscoreError("freed", "this client was freed");
  }
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
