import type { Model, Pin } from "./blindscore.js";
import type { ModelDescriptor } from "./descriptor.js";
import { BlindscoreError, ModelChangedError, rethrow } from "./errors.js";
import type { Http } from "./http.js";
import { cells, type ModelInput } from "./record.js";
import { vector } from "./vector.js";
import { load, loaded } from "./wasm.js";

/** Descriptor that the WebAssembly has checked. */
export class LoadedModel {
  readonly descriptor: ModelDescriptor;
  readonly parsed: Model;
  /** Exact JSON text of the descriptor. */
  readonly text: string;

  /** Checks a descriptor, which may be anything that a server sends. */
  constructor(descriptor: unknown) {
    this.text = written(descriptor);
    // Plain data, whatever getters the descriptor has.
    this.parsed = rethrow(() => new (loaded().Model)(JSON.parse(this.text)));
    // All required fields are present.
    this.descriptor = descriptor as ModelDescriptor;
  }

  /** Returns the features of a record, or a list of features, and refuses those that can't be encrypted. */
  features(input: ModelInput): Float64Array {
    const record = cells(this.descriptor, input);
    return rethrow(() => {
      const features = record ? this.parsed.encode(record.numbers, record.texts) : vector(input as ArrayLike<number>);
      this.parsed.check(features);
      return features;
    });
  }

  /** Pin of the model. */
  get pin(): string {
    return this.parsed.pin();
  }

  free(): void {
    this.parsed.free();
  }
}

/**
 * The model that a caller wants, fetched from a server. If it is pinned, any other model is
 * refused.
 */
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

  /** Fetches the model. Returns nothing if its text is the same as that of `known`. */
  async fetch(signal: AbortSignal | undefined): Promise<LoadedModel>;
  async fetch(signal: AbortSignal | undefined, known: LoadedModel): Promise<LoadedModel | undefined>;
  async fetch(signal: AbortSignal | undefined, known?: LoadedModel): Promise<LoadedModel | undefined> {
    const [descriptor] = await Promise.all([describe(this.#http, this.#name, signal), load(undefined, signal)]);
    const id = this.#id;
    if (id !== undefined) this.#pin ??= rethrow(() => new (loaded().Pin)(id));
    const model = new LoadedModel(descriptor);
    // A caller who left the choice to the server stays with its choice.
    this.#name ??= model.descriptor.name;
    const refusal = this.#pin?.refusal(model.parsed);
    if (refusal === undefined && model.text !== known?.text) return model;
    model.free();
    if (refusal === undefined) return undefined;
    throw new ModelChangedError(refusal);
  }

  free(): void {
    this.#pin?.free();
  }
}

/** Returns the path of the model with this name. */
export function modelPath(name: string): string {
  // Lone surrogates can't be encoded in an address.
  return `/v1/models/${encodeURIComponent(name.replace(/[\ud800-\udfff]/gu, "\ufffd"))}`;
}

/** Fetches a model: the named one, or the server's first. The result is not checked yet. */
async function describe(http: Http, name: string | undefined, signal: AbortSignal | undefined): Promise<unknown> {
  if (name !== undefined) return http.json(modelPath(name), { fresh: true, limit: descriptorBytes(signal), signal });
  const models = await fetchList(http, signal);
  if (models.length === 0) throw new BlindscoreError("model_not_found", "the server has no models");
  return models[0];
}

/** Fetches the list of models, unchecked. */
async function fetchList(http: Http, signal: AbortSignal | undefined): Promise<unknown[]> {
  const list = await http.json("/v1/models", { fresh: true, limit: descriptorBytes(signal), signal });
  const models: unknown = typeof list === "object" && list !== null && "models" in list ? list.models : undefined;
  if (!Array.isArray(models)) throw new BlindscoreError("malformed_answer", "the server did not answer with a list of models", "retry");
  return models;
}

/** Fetches the descriptors of all models that a server offers, and checks them. */
export async function listModels(http: Http, signal: AbortSignal | undefined): Promise<ModelDescriptor[]> {
  const models = await fetchList(http, signal);
  return models.map((descriptor) => {
    const model = new LoadedModel(descriptor);
    model.free();
    return model.descriptor;
  });
}

/** Returns the maximum size of a descriptor, and of the list of them, in bytes. */
function descriptorBytes(signal: AbortSignal | undefined): Promise<number> {
  const limit = load(undefined, signal).then((bindings) => bindings.descriptorBytes());
  // The caller handles a failure to load as well.
  limit.catch(() => {});
  return limit;
}

/** Converts the descriptor back to JSON. */
function written(descriptor: unknown): string {
  let text: unknown;
  try {
    text = JSON.stringify(descriptor);
  } catch (cause) {
    // For example because it is nested too deeply.
    throw unreadable(String(cause), cause);
  }
  if (typeof text !== "string") throw unreadable("there is none");
  return text;
}

function unreadable(why: string, cause?: unknown): BlindscoreError {
  return new BlindscoreError("unsupported_model", `the model descriptor can't be read: ${why}`, "refresh_model", { cause });
}
