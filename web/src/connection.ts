// The client of one model, with its key, and what can be done when either gets lost.
import {
  Blindscore,
  BlindscoreError,
  indexedDbStorage,
  memoryStorage,
  type KeyReport,
  type KeyStorage,
  type Prediction,
} from "blindscore";
import type { FromWorker } from "./messages";

/** Whether keys outlive the page: not where the browser refuses to store anything. */
let kept = true;
const storage = withFallback(indexedDbStorage(), memoryStorage());

export class Connection {
  readonly #model: string;
  readonly #say: (message: FromWorker) => void;
  #client: Promise<Blindscore> | null = null;
  #keys: Promise<Blindscore> | null = null;
  #report: KeyReport | null = null;

  constructor(model: string, say: (message: FromWorker) => void) {
    this.#model = model;
    this.#say = say;
  }

  /** The client, with its key on the server; what failed is tried again by the next call. */
  keyed(signal?: AbortSignal): Promise<Blindscore> {
    this.#keys ??= this.#makeKeys(signal).catch((error: unknown) => {
      this.#keys = null;
      throw error;
    });
    return this.#keys;
  }

  async predict(normalized: Uint8Array, signal: AbortSignal): Promise<Prediction> {
    const features = Float64Array.from(normalized, (value) => value / 255);
    const attempt = async () => {
      const client = await this.keyed();
      const prediction = await client.predict(features, { signal, trace: true });
      // If the server had lost the key, the client has made another one.
      if (client.keyId && client.keyId !== this.#report?.keyId) this.#tell(await client.ensureKeys({ signal }), true);
      return prediction;
    };
    try {
      return await attempt();
    } catch (error) {
      if (signal.aborted || !(await this.#recovered(error))) throw error;
      return await attempt();
    }
  }

  /** Deletes the key, here and on the server. */
  async forget() {
    const client = await this.#connected();
    await client.forget();
    this.#client = this.#keys = null;
    client.free();
  }

  #connected(secretKey?: Uint8Array): Promise<Blindscore> {
    this.#client ??= Blindscore.connect(location.origin, { model: this.#model, secretKey, storage }).catch(
      (error: unknown) => {
        this.#client = null;
        throw error;
      },
    );
    return this.#client;
  }

  async #makeKeys(signal?: AbortSignal): Promise<Blindscore> {
    const client = await this.#connected();
    const report = await client.ensureKeys({
      onProgress: (progress) => this.#say({ type: "progress", model: this.#model, ...progress }),
      signal,
    });
    this.#tell(report, report.uploaded);
    return client;
  }

  #tell(report: KeyReport, uploaded: boolean) {
    this.#report = report;
    this.#say({ type: "keys", model: this.#model, keys: { ...report, uploaded, kept } });
  }

  /** Does what the error asks for. False if nothing here can help. */
  async #recovered(error: unknown): Promise<boolean> {
    if (!(error instanceof BlindscoreError)) return false;
    if (error.recovery === "upload_key") {
      this.#keys = null;
      await this.keyed();
      return true;
    }
    if (error.recovery === "refresh_model") {
      const old = await this.#connected();
      const secretKey = old.keyId === null ? undefined : old.exportSecretKey();
      this.#client = this.#keys = null;
      old.free();
      await this.#connected(secretKey);
      await this.keyed();
      return true;
    }
    return false;
  }
}

function withFallback(first: KeyStorage, second: KeyStorage): KeyStorage {
  async function either<T>(work: (storage: KeyStorage) => Promise<T>): Promise<T> {
    if (kept) {
      try {
        return await work(first);
      } catch {
        kept = false;
      }
    }
    return work(second);
  }
  return {
    get: (name) => either((storage) => storage.get(name)),
    set: (name, key) => either((storage) => storage.set(name, key)),
    delete: (name) => either((storage) => storage.delete(name)),
  };
}
