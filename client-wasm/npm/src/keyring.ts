import { type Answer, details, SMALL_BYTES } from "./answer.js";
import type { SecretKey } from "./blindscore.js";
import { BlindscoreError, rethrow } from "./errors.js";
import { generate } from "./generation.js";
import type { Http } from "./http.js";
import type { LoadedModel } from "./model.js";
import { Shared } from "./shared.js";
import type { KeyStorage } from "./storage.js";
import { loaded } from "./wasm.js";

/** How far `ensureKeys` is. */
export interface Progress {
  /** Making the public key, or uploading it. */
  phase: "generate" | "upload";
  /** From 0 to 1, within the phase. */
  fraction: number;
}

/** What `ensureKeys` found or did. */
export interface KeyReport {
  /** Id of the public key that the server stores now. */
  keyId: string;
  /** Whether a secret key was made just now. */
  generated: boolean;
  /**
   * Whether secret keys of an earlier version were in the storage. They are of no use any more, SECURITY.md of the project says why, and were
   * deleted.
   */
  outdated: boolean;
  /** Whether the public key was uploaded just now. */
  uploaded: boolean;
  /** Milliseconds spent on making keys. */
  keygenMs: number;
  /** Milliseconds spent on the upload. */
  uploadMs: number;
  /** Size of the public key. */
  publicKeyBytes: number;
  /** When the server will delete the public key, unless it says nothing of that. */
  expiresAt: Date | null;
}

/** The key of one client: the secret half here and in a storage, the public half on the server. */
export class KeyRing {
  readonly #http: Http;
  readonly #storage: KeyStorage | undefined;
  readonly #ensuring = new Shared<KeyReport, Progress>((tell, signal) => this.#ensure(tell, signal));
  #model: LoadedModel;
  #secret: SecretKey | undefined;
  /** Kept until it is uploaded. */
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

  /** Whether the server has the public key, as far as is known here. */
  get onServer(): boolean {
    return this.#onServer;
  }

  /** The secret key; throws if there is none. */
  require(): SecretKey {
    if (!this.#secret) throw new BlindscoreError("no_key", "there is no key yet: await ensureKeys() first");
    return this.#secret;
  }

  /** Takes over an exported key. */
  take(bytes: Uint8Array): void {
    this.#secret = rethrow(() => loaded().SecretKey.fromBytes(bytes));
  }

  /** Takes the secret key from the storage, if there is one that can be read. */
  async load(): Promise<void> {
    for (const set of loaded().retiredParameterSets()) await this.#deleteOutdated(this.#storageName(set));
    const bytes = await this.#storage?.get(this.#storageName());
    if (!bytes) return;
    try {
      this.#secret = loaded().SecretKey.fromBytes(bytes);
    } catch {
      // Of an older version, or damaged: of no use any more.
      await this.#deleteOutdated(this.#storageName());
    } finally {
      this.#wipe(bytes);
    }
  }

  /** Makes sure that there is a key for the model and that the server has its public half. Calls at the same time share one run. */
  ensure(listener: (progress: Progress) => void, signal: AbortSignal | undefined): Promise<KeyReport> {
    return this.#ensuring.join(listener, signal);
  }

  /** The server said that it has lost the public key. */
  lost(): void {
    this.#onServer = false;
  }

  /** Goes on with another descriptor: with the same key, if it has the same parameters. */
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

  /** Wipes the secret key here. */
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
    // Another client of the same models may have made a key meanwhile.
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
    const receipt = await this.#http.upload(
      `/v1/keys/${secret.keyId()}`,
      this.#publicKey,
      (fraction) => tell({ phase: "upload", fraction }),
      signal,
    );
    signal.throwIfAborted();
    await this.#store(secret);
    this.#publicKey = undefined;
    this.#onServer = true;
    const times = { keygenMs: made - started, uploadMs: performance.now() - made };
    return this.#report(secret, receipt, { generated, uploaded: true, ...times });
  }

  /** Deletes what is in the storage under a name that nothing will be read from. */
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

  /** Overwrites what passed between here and the storage, unless the storage keeps that array itself. */
  #wipe(bytes: Uint8Array): void {
    if (this.#storage?.copies) bytes.fill(0);
  }

  /** What the server tells of a key, if it has it. */
  async #stored(keyId: string, signal: AbortSignal): Promise<Answer | undefined> {
    const answer = await this.#http.request(`/v1/keys/${keyId}`, { limit: SMALL_BYTES, expected: [404], signal });
    return answer.status === 404 ? undefined : answer;
  }

  #report(
    secret: SecretKey,
    answer: Answer,
    done: Omit<KeyReport, "keyId" | "publicKeyBytes" | "expiresAt" | "outdated">,
  ): KeyReport {
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

  /** One key serves all models of a parameter set. */
  #storageName(set = this.#model.descriptor.parameter_set): string {
    return `${this.#http.base} ${set}`;
  }
}
