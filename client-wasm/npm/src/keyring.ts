import { type Answer, details, SMALL_BYTES } from "./answer.js";
import type { SecretKey } from "./blindscore.js";
import { BlindscoreError, rethrow } from "./errors.js";
import { generate } from "./generation.js";
import type { Http } from "./http.js";
import type { LoadedModel } from "./model.js";
import { Shared } from "./shared.js";
import type { KeyStorage } from "./storage.js";
import { loaded } from "./wasm.js";

/** Progress of `ensureKeys`. */
export interface Progress {
  /** Whether the public key is being generated or uploaded. */
  phase: "generate" | "upload";
  /** Share of the phase that is done, from 0 to 1. */
  fraction: number;
}

/** Result of `ensureKeys`. */
export interface KeyReport {
  /** Id of the public key that the server stores now. */
  keyId: string;
  /** Whether this call made a secret key. */
  generated: boolean;
  /**
   * Whether the storage had secret keys of an earlier version. They can't be used any more (the
   * project's SECURITY.md says why), and were deleted.
   */
  outdated: boolean;
  /** Whether this call uploaded the public key. */
  uploaded: boolean;
  /** Milliseconds spent on making keys. */
  keygenMs: number;
  /** Milliseconds spent on the upload. */
  uploadMs: number;
  /** Size of the public key, in bytes. */
  publicKeyBytes: number;
  /** Time when the server will delete the public key; `null` if the server doesn't say. */
  expiresAt: Date | null;
}

/** Key of one client: the secret half here and in a storage, the public half on the server. */
export class KeyRing {
  readonly #http: Http;
  readonly #storage: KeyStorage | undefined;
  readonly #ensuring = new Shared<KeyReport, Progress>((tell, signal) => this.#ensure(tell, signal));
  #model: LoadedModel;
  #secret: SecretKey | undefined;
  /** Public key, kept until it is uploaded. */
  #publicKey: Uint8Array | undefined;
  #onServer = false;
  #outdated = false;

  constructor(http: Http, storage: KeyStorage | undefined, model: LoadedModel) {
    this.#http = http;
    this.#storage = storage;
    this.#model = model;
  }

  get secret(): SecretKey | undefined {
    return this.#secret;
  }

  /** Whether the server has the public key, as far as this client knows. */
  get onServer(): boolean {
    return this.#onServer;
  }

  /** Returns the secret key; throws if there is none. */
  require(): SecretKey {
    if (!this.#secret) throw new BlindscoreError("no_key", "there is no key yet: await ensureKeys() first");
    return this.#secret;
  }

  /** Imports an exported key. */
  take(bytes: Uint8Array): void {
    this.#secret = rethrow(() => loaded().SecretKey.fromBytes(bytes));
  }

  /** Loads the secret key from the storage, if there is one that can be read. */
  async load(): Promise<void> {
    for (const set of loaded().retiredParameterSets()) await this.#deleteOutdated(this.#storageName(set));
    const bytes = await this.#storage?.get(this.#storageName());
    if (!bytes) return;
    try {
      this.#secret = loaded().SecretKey.fromBytes(bytes);
    } catch {
      // From an older version, or damaged: it can't be used any more.
      await this.#deleteOutdated(this.#storageName());
    } finally {
      this.#wipe(bytes);
    }
  }

  /**
   * Ensures that there is a key for the model and that the server has its public half. Concurrent
   * calls share one run.
   */
  ensure(listener: (progress: Progress) => void, signal: AbortSignal | undefined): Promise<KeyReport> {
    return this.#ensuring.join(listener, signal);
  }

  /** Records that the server has lost the public key. */
  lost(): void {
    this.#onServer = false;
  }

  /** Switches to another descriptor. The key is kept if the parameters are the same. */
  async adopt(model: LoadedModel): Promise<void> {
    const fits = model.descriptor.parameter_set === this.#model.descriptor.parameter_set;
    this.#model = model;
    if (fits) return;
    await this.#ensuring.stop(new DOMException("the model's parameters have changed", "AbortError"));
    this.#drop();
    await this.load();
  }

  /** Deletes the public key on the server, then the secret key in the storage and here. */
  async forget(signal: AbortSignal | undefined): Promise<void> {
    await this.#ensuring.stop(new DOMException("the key was forgotten", "AbortError"));
    if (!this.#secret) await this.load();
    if (!this.#secret) return;
    await this.#http.request(`/v1/keys/${this.#secret.keyId()}`, { method: "DELETE", limit: SMALL_BYTES, expected: [404], signal });
    await this.#storage?.delete(this.#storageName());
    this.#drop();
  }

  /** Wipes the secret key in memory. */
  free(): void {
    void this.#ensuring.stop(new DOMException("the client was freed", "AbortError"));
    this.#drop();
  }

  #drop() {
    this.#secret?.free();
    this.#secret = this.#publicKey = undefined;
    this.#onServer = false;
  }

  async #ensure(tell: (progress: Progress) => void, signal: AbortSignal): Promise<KeyReport> {
    // Another client of the same models may have stored a key since.
    if (!this.#secret) await this.load();
    const stored = this.#secret && (await this.#stored(this.#secret.keyId(), signal));
    if (this.#secret && stored) {
      this.#onServer = true;
      return this.#report(this.#secret, stored, { generated: false, uploaded: false, keygenMs: 0, uploadMs: 0 });
    }
    const started = performance.now();
    const generated = this.#secret === undefined;
    const secret = (this.#secret ??= rethrow(() => loaded().SecretKey.generate(this.#model.parsed)));
    this.#publicKey ??= await generate(secret, (fraction) => tell({ phase: "generate", fraction }), signal);
    const made = performance.now();
    const receipt = await this.#http.upload(`/v1/keys/${secret.keyId()}`, this.#publicKey, (fraction) => tell({ phase: "upload", fraction }), signal);
    signal.throwIfAborted();
    await this.#store(secret);
    this.#publicKey = undefined;
    this.#onServer = true;
    const times = { keygenMs: made - started, uploadMs: performance.now() - made };
    return this.#report(secret, receipt, { generated, uploaded: true, ...times });
  }

  /** Deletes a key that can't be used any more from the storage, if it is there. */
  async #deleteOutdated(name: string): Promise<void> {
    const bytes = await this.#storage?.get(name);
    if (!bytes) return;
    this.#wipe(bytes);
    await this.#storage?.delete(name);
    this.#outdated = true;
  }

  async #store(secret: SecretKey): Promise<void> {
    if (!this.#storage) return;
    const bytes = secret.toBytes();
    try {
      await this.#storage.set(this.#storageName(), bytes);
    } finally {
      this.#wipe(bytes);
    }
  }

  /**
   * Overwrites an array passed to or from the storage, unless the storage keeps that array itself.
   */
  #wipe(bytes: Uint8Array): void {
    if (this.#storage?.copies) bytes.fill(0);
  }

  /** Fetches the receipt of a key, if the server has the key. */
  async #stored(keyId: string, signal: AbortSignal): Promise<Answer | undefined> {
    const answer = await this.#http.request(`/v1/keys/${keyId}`, { limit: SMALL_BYTES, expected: [404], signal });
    return answer.status === 404 ? undefined : answer;
  }

  #report(secret: SecretKey, answer: Answer, done: Omit<KeyReport, "keyId" | "publicKeyBytes" | "expiresAt" | "outdated">): KeyReport {
    const { expires_at } = details(answer.body);
    const expires = typeof expires_at === "string" ? Date.parse(expires_at) : NaN;
    return {
      keyId: secret.keyId(),
      publicKeyBytes: this.#model.descriptor.sizes.public_key,
      expiresAt: Number.isNaN(expires) ? null : new Date(expires),
      outdated: this.#outdated,
      ...done,
    };
  }

  /** Returns the key's name in the storage. One key serves all models of a parameter set. */
  #storageName(set = this.#model.descriptor.parameter_set): string {
    return `${this.#http.base} ${set}`;
  }
}
