import type { Model } from "./blindscore.js";
import type { ModelDescriptor } from "./descriptor.js";
import { BlindscoreError, rethrow } from "./errors.js";
import type { Http } from "./http.js";
import { loaded } from "./wasm.js";

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

  free(): void {
    this.parsed.free();
  }
}

/** Asks a server for a model: the named one, or its first. */
export async function describe(http: Http, name: string | undefined, signal?: AbortSignal): Promise<ModelDescriptor> {
  const init: RequestInit = { cache: "no-cache", ...(signal && { signal }) };
  if (name !== undefined) return http.json<ModelDescriptor>(`/v1/models/${encodeURIComponent(name)}`, init);
  const { models } = await http.json<{ models?: ModelDescriptor[] }>("/v1/models", init);
  if (!models?.[0]) throw new BlindscoreError("model_not_found", "the server has no models");
  return models[0];
}
