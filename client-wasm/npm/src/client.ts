import { type Answer, serverTiming } from "./answer.js";
import type { ModelDescriptor, Scores } from "./descriptor.js";
import { BlindscoreError, ModelChangedError, rethrow } from "./errors.js";
import { Http } from "./http.js";
import { type KeyReport, KeyRing, type Progress } from "./keyring.js";
import { unpack } from "./keys.js";
import { listModels, modelPath, type LoadedModel, Wanted } from "./model.js";
import type { ModelInput } from "./record.js";
import type { KeyStorage } from "./storage.js";
import { load, type WasmSource } from "./wasm.js";

/** Options of requests to a server. */
export interface RequestOptions {
  /** Replacement for the global `fetch`. */
  fetch?: typeof fetch;
  /** Source of the WebAssembly. Default: the package. */
  wasm?: WasmSource;
  /** Aborts the call. */
  signal?: AbortSignal;
  /**
   * Time limit in milliseconds for each request, plus the time that the request's bytes take at 50
   * kB/s. Default: 60,000. A request that exceeds it fails with the code `timeout`.
   */
  timeout?: number;
}

/** Options of `Blindscore.connect`. The time limit also holds for the client's later requests. */
export interface ConnectOptions extends RequestOptions {
  /**
   * Name of the model, or `name@version` to stay with one version. Default: the server's first
   * model.
   */
  model?: string;
  /**
   * Pins the model: a client's `pin`, or the `id` of a descriptor. Any other model is refused with
   * the code `model_changed`. An id alone relies on the server's word; a `pin` also holds a
   * fingerprint of what was agreed to, which the client computes itself.
   */
  id?: string;
  /**
   * Existing key from `exportSecretKey`, used instead of a new one. The array is copied and left
   * unchanged; wiping it is up to you.
   */
  secretKey?: Uint8Array;
  /** Storage for the secret key between visits, such as `indexedDbStorage()`. Default: none. */
  storage?: KeyStorage;
}

/** Decrypted answer, with timings and sizes. */
export interface Prediction extends Scores {
  /** Durations in milliseconds. */
  timings: {
    encryptMs: number;
    /** Duration of the whole request, network and server included. */
    requestMs: number;
    /** Time that the server reports for scoring. */
    serverMs: number | null;
    decryptMs: number;
  };
  /** Sizes on the wire, in bytes. */
  bytes: { query: number; response: number };
  /** Bytes on the wire, if `trace` was set. */
  trace?: { query: Uint8Array; response: Uint8Array };
}

/**
 * Maximum number of queries in one request of `predictMany`, if the model takes that many: a
 * network needs a few seconds for them.
 */
const BATCH = 16;

/**
 * Client for one model, with the key to its answers. The server that hosts the model sees only
 * encrypted features.
 *
 * The secret key leaves this object only through `exportSecretKey` and into the `storage`.
 */
export class Blindscore<Input extends ModelInput = ModelInput> {
  readonly #http: Http;
  readonly #keys: KeyRing;
  readonly #wanted: Wanted;
  /** Model that the caller has agreed to, by `connect` or `refresh`. */
  #model: LoadedModel;
  #freed = false;

  private constructor(http: Http, keys: KeyRing, wanted: Wanted, model: LoadedModel) {
    this.#http = http;
    this.#keys = keys;
    this.#wanted = wanted;
    this.#model = model;
  }

  /**
   * Loads the WebAssembly and fetches the model. Makes no keys yet.
   *
   * By using the client you agree to its `model`, ranges included: whether a query follows tells
   * the server whether features lie in them. Check the model, or pass its `id`.
   */
  static async connect<Input extends ModelInput = ModelInput>(url: string | URL, options: ConnectOptions = {}): Promise<Blindscore<Input>> {
    const { signal } = options;
    const http = new Http(String(url), options.fetch, options.timeout);
    const wanted = new Wanted(http, options.model, options.id);
    let model: LoadedModel | undefined;
    try {
      [, model] = await Promise.all([load(options.wasm, signal), wanted.fetch(signal)]);
      const keys = new KeyRing(http, options.storage, model);
      if (options.secretKey) keys.take(options.secretKey);
      else await keys.load();
      return new Blindscore<Input>(http, keys, wanted, model);
    } catch (error) {
      model?.free();
      wanted.free();
      throw error;
    }
  }

  /**
   * Lists the models that a server offers, for a choice of the `model` to connect to. All of them
   * are checked: a model that this version can't use is an error.
   */
  static async models(url: string | URL, options: RequestOptions = {}): Promise<ModelDescriptor[]> {
    const { signal } = options;
    const http = new Http(String(url), options.fetch, options.timeout);
    await load(options.wasm, signal);
    return listModels(http, signal);
  }

  /** Descriptor of the model, as the server sent it. */
  get model(): ModelDescriptor {
    return this.#model.descriptor;
  }

  /**
   * Pin of the model: its id, and a fingerprint of what was agreed to. Pass it as `connect({ id })`
   * to accept this model and no other.
   */
  get pin(): string {
    this.#assertAlive();
    return this.#model.pin;
  }

  /** Id of the public key in use, or `null` before there is one. */
  get keyId(): string | null {
    return this.#keys.secret?.keyId() ?? null;
  }

  /**
   * Ensures that there is a secret key and that the server stores its public key. Does only what is
   * missing; `predict` calls it automatically. Concurrent calls share one run, which is aborted
   * when all of their signals are.
   *
   * If the server has lost the public key of an imported secret key, a new one is made, and `keyId`
   * changes.
   */
  async ensureKeys(options: { onProgress?: (progress: Progress) => void; signal?: AbortSignal } = {}): Promise<KeyReport> {
    this.#assertAlive();
    return this.#keys.ensure(options.onProgress ?? (() => {}), options.signal);
  }

  /**
   * Encrypts a record or a list of features, has the server score it, and decrypts the scores.
   *
   * A model with an encoding takes records: an object with the names of its columns, or their values
   * in order. The public part of the model runs here: missing values are filled in, categories and
   * texts become numbers, as the model's encoding says.
   *
   * Uploads the public key first if necessary. Recovers from two failures, once each: a public key
   * that the server has lost is made and uploaded again, and a model that was replaced by one with
   * the same ranges, encoding and outputs is used in its place. If they differ, a
   * `ModelChangedError` is thrown, and nothing more is sent.
   */
  async predict(input: Input, options: { signal?: AbortSignal; trace?: boolean } = {}): Promise<Prediction> {
    this.#assertAlive();
    const values = this.#model.features(input);
    return this.#recovering(() => this.#predict(values, options), options.signal);
  }

  /**
   * Predicts for many records or feature vectors, several in each request. Checks all of them before it sends
   * the first one.
   *
   * Makes and uploads keys, and recovers from failures, like `predict`.
   */
  async predictMany(list: readonly Input[], options: { signal?: AbortSignal; onProgress?: (done: number) => void } = {}): Promise<Scores[]> {
    this.#assertAlive();
    const values = list.map((input) => this.#model.features(input));
    const scores: Scores[] = [];
    while (scores.length < values.length) {
      this.#assertAlive();
      // Computed each time: the model may change between two requests.
      const most = Math.min(BATCH, this.#model.parsed.queriesPerRequest());
      const part = values.slice(scores.length, scores.length + most);
      scores.push(...(await this.#recovering(() => this.#predictPart(part, options.signal), options.signal)));
      options.onProgress?.(scores.length);
    }
    return scores;
  }

  /**
   * Fetches the model again and agrees to it as it is now; check `model` before you predict
   * anything else. The key is kept, unless the model now has other parameters. Returns whether
   * anything has changed.
   *
   * Don't call it after every `model_changed` to continue with the same features: a server could
   * find them by narrowing ranges.
   */
  async refresh(options: { signal?: AbortSignal } = {}): Promise<boolean> {
    this.#assertAlive();
    return this.#renew(() => {}, options.signal);
  }

  /**
   * Returns the secret key as a few hundred bytes, for `connect({ secretKey })`. Whoever has them
   * can read every query and answer made with this key: keep them out of logs, cookies and anything
   * that is sent, and `fill(0)` the array once you have stored them.
   */
  exportSecretKey(): Uint8Array {
    this.#assertAlive();
    return this.#keys.require().toBytes();
  }

  /**
   * Deletes the public key on the server, and the secret key here and in the storage. The client
   * remains usable and will make new keys.
   */
  async forget(options: { signal?: AbortSignal } = {}): Promise<void> {
    this.#assertAlive();
    await this.#keys.forget(options.signal);
  }

  /**
   * Wipes the secret key, and what was computed from it, from the WebAssembly's memory. The key
   * stays in a storage, and in arrays returned by `exportSecretKey` or passed to `connect`;
   * features and scores aren't wiped. The object can't be used afterwards.
   */
  free(): void {
    if (this.#freed) return;
    this.#freed = true;
    this.#keys.free();
    this.#model.free();
    this.#wanted.free();
  }

  /** Calls `free`, for `using`. */
  [Symbol.dispose](): void {
    this.free();
  }

  /**
   * Runs `work` with the public key on the server. Recovers from each recoverable kind of failure
   * once.
   */
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

  /** Carries out a recovery; returns false if nothing here can help. */
  async #recovered(recovery: string, signal: AbortSignal | undefined): Promise<boolean> {
    if (recovery === "refresh_model") return this.#renew((now) => this.#agreed(now), signal);
    if (recovery !== "upload_key") return false;
    this.#keys.lost();
    return true;
  }

  /**
   * Throws if the model differs in what was agreed to: whether another query follows must not
   * depend on ranges that nobody has agreed to.
   */
  #agreed(now: LoadedModel): void {
    const difference = now.parsed.difference(this.#model.parsed);
    if (difference !== undefined) throw new ModelChangedError(difference);
  }

  /** Fetches the model again and continues with it if `check` doesn't throw. */
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

  /** Sends `count` concatenated queries and returns as many responses. */
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

  /**
   * Decrypts the response to a query with the current key and model: either may have changed since
   * the query was made.
   */
  #decrypt(query: Uint8Array, response: Uint8Array): Scores {
    this.#assertAlive();
    const secret = this.#keys.require();
    return unpack(
      this.model,
      rethrow(() => secret.decrypt(this.#model.parsed, query, response)),
    );
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
