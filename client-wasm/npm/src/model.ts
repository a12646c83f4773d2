import type { Model, Pin } from "./blindscore.js";
import type { ModelDescriptor } from "./descriptor.js";
import { BlindscoreError, ModelChangedError, rethrow } from "./errors.js";
import type { Http } from "./http.js";
import { load, loaded } from "./wasm.js";

/** A descriptor, checked by the WebAssembly. */
export class LoadedModel {
  readonly descriptor: ModelDescriptor;
  readonly parsed: Model;

  constructor(descriptor: ModelDescriptor) {
    this.descriptor = descriptor;
    this.parsed = rethrow(() => new (loaded().Model)(JSON.stringify(descriptor)));
  }

  /** Refuses what encryption would. */
  check(features: Float64Array): void {
    rethrow(() => this.parsed.check(features));
  }

  /** What pins it. */
  get pin(): string {
    return this.parsed.pin();
  }

  free(): void {
    this.parsed.free();
  }
}

/** Asks a server for the model that a caller wants. If one is pinned, no other is given. */
export class Wanted {
  readonly #http: Http;
  readonly #id: string | undefined;
  #pin: Pin | undefined;
  #name: string | undefined;

  constructor(http: Http, name: string | undefined, id: string | undefined) {
    this.#http = http;
    this.#name = name;
    this.#id = id;
  }

  /** Asks for the model. Gives nothing if it is the same, to the letter, as `known`. */
  async fetch(signal: AbortSignal | undefined): Promise<LoadedModel>;
  async fetch(signal: AbortSignal | undefined, known: ModelDescriptor): Promise<LoadedModel | undefined>;
  async fetch(signal: AbortSignal | undefined, known?: ModelDescriptor): Promise<LoadedModel | undefined> {
    const [descriptor] = await Promise.all([describe(this.#http, this.#name, signal), load(undefined, signal)]);
    const id = this.#id;
    if (id !== undefined) this.#pin ??= rethrow(() => new (loaded().Pin)(id));
    // Who left the choice to the server stays with what it chose.
    this.#name ??= descriptor.name;
    if (JSON.stringify(descriptor) === JSON.stringify(known)) return undefined;
    const model = new LoadedModel(descriptor);
    const refusal = this.#pin?.refusal(model.parsed);
    if (refusal === undefined) return model;
    model.free();
    throw new ModelChangedError(refusal);
  }

  free(): void {
    this.#pin?.free();
  }
}

/** Asks a server for a model: the named one, or its first. */
async function describe(http: Http, name: string | undefined, signal?: AbortSignal): Promise<ModelDescriptor> {
  const init: RequestInit = { cache: "no-cache", ...(signal && { signal }) };
  if (name !== undefined) return http.json<ModelDescriptor>(`/v1/models/${encodeURIComponent(name)}`, init);
  const { models } = await http.json<{ models?: ModelDescriptor[] }>("/v1/models", init);
  if (!models?.[0]) throw new BlindscoreError("model_not_found", "the server has no models");
  return models[0];
}
