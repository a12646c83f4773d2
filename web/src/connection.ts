// Client of one model, and its key. The client recovers automatically where it can; the page is
// told what has changed.
import { Blindscore, indexedDbStorage, memoryStorage, type KeyReport, type KeyStorage, type ModelInput, type Prediction } from "blindscore";
import type { FromWorker } from "./messages";

/** Whether keys outlive the page; false where the browser refuses to store anything. */
let kept = true;
const storage = withFallback(indexedDbStorage(), memoryStorage());

export class Connection {
  readonly #model: string;
  readonly #say: (message: FromWorker) => void;
  readonly #modelChanged: () => void;
  #client: Promise<Blindscore> | null = null;
  #keyId: string | null = null;

  constructor(model: string, say: (message: FromWorker) => void, modelChanged: () => void) {
    this.#model = model;
    this.#say = say;
    this.#modelChanged = modelChanged;
  }

  /** Connects, then makes and uploads the key if necessary. */
  async keyed(signal?: AbortSignal): Promise<void> {
    const client = await this.#connected();
    if (this.#keyId !== null) return;
    const report = await client.ensureKeys({
      onProgress: (progress) => this.#say({ type: "progress", model: this.#model, ...progress }),
      ...(signal && { signal }),
    });
    this.#tell(report);
  }

  /**
   * Scores features or a record, or a blank sheet that nobody has drawn on. Needs the key.
   */
  async predict(input: ModelInput, signal: AbortSignal, blank = false): Promise<Prediction> {
    const client = await this.#connected();
    const { id, sizes } = client.model;
    this.#say({ type: "sent", sent: { model: this.#model, bytes: sizes.query, blank } });
    const prediction = await client.predict(input, { signal, trace: true });
    this.#say({ type: "took", model: this.#model, ms: prediction.timings.requestMs });
    if (client.model.id !== id) this.#modelChanged();
    if (client.keyId !== this.#keyId) {
      const report = await client.ensureKeys({ signal });
      // The server had lost the public key, so another one was made for the same secret key.
      this.#tell({ ...report, uploaded: true });
    }
    return prediction;
  }

  /** Deletes the key here and on the server, even if it is from an earlier visit. */
  async forget() {
    const client = await this.#connected();
    await client.forget();
    this.#client = this.#keyId = null;
    client.free();
  }

  #connected(): Promise<Blindscore> {
    this.#client ??= Blindscore.connect(location.origin, { model: this.#model, storage }).catch((error: unknown) => {
      this.#client = null;
      throw error;
    });
    return this.#client;
  }

  #tell(report: KeyReport) {
    this.#keyId = report.keyId;
    this.#say({ type: "keys", model: this.#model, keys: { ...report, kept } });
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
    copies: true,
    get: (name) => either((storage) => storage.get(name)),
    set: (name, key) => either((storage) => storage.set(name, key)),
    delete: (name) => either((storage) => storage.delete(name)),
  };
}
