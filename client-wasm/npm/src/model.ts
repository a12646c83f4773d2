import type { Model, Pin } from "./blindscore.js";
import type { ModelDescriptor } from "./descriptor.js";
import { BlindscoreError, ModelChangedError, rethrow } from "./errors.js";
import type { Http } from "./http.js";
import { load, loaded } from "./wasm.js";

/** A descriptor, checked by the WebAssembly. */
export class LoadedModel {
  readonly descriptor: ModelDescriptor;
  readonly parsed: Model;
  /** To the letter. */
  readonly text: string;

  /** Takes whatever a server may give. */
  constructor(descriptor: unknown) {
    this.text = written(descriptor);
    this.parsed = rethrow(() => new (loaded().Model)(this.text));
    // It has every field that it must have, by name or by place.
    this.descriptor = descriptor as ModelDescriptor;
    if (hasNames(this.descriptor)) return;
    this.parsed.free();
    throw unreadable("there is a list in the place of an object");
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
  async fetch(signal: AbortSignal | undefined, known: LoadedModel): Promise<LoadedModel | undefined>;
  async fetch(signal: AbortSignal | undefined, known?: LoadedModel): Promise<LoadedModel | undefined> {
    const [descriptor] = await Promise.all([describe(this.#http, this.#name, signal), load(undefined, signal)]);
    const id = this.#id;
    if (id !== undefined) this.#pin ??= rethrow(() => new (loaded().Pin)(id));
    const model = new LoadedModel(descriptor);
    // Who left the choice to the server stays with what it chose.
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

/** Where a model of this name is. */
export function modelPath(name: string): string {
  // Half a character has no form in an address.
  return `/v1/models/${encodeURIComponent(name.replace(/[\ud800-\udfff]/gu, "\ufffd"))}`;
}

/** Asks a server for a model: the named one, or its first. What it gives is not checked yet. */
async function describe(http: Http, name: string | undefined, signal: AbortSignal | undefined): Promise<unknown> {
  const limit = load(undefined, signal).then((bindings) => bindings.descriptorBytes());
  // Whether it loads is the caller's business too.
  limit.catch(() => {});
  const call = { fresh: true, limit, signal };
  if (name !== undefined) return http.json(modelPath(name), call);
  const list = await http.json("/v1/models", call);
  const models: unknown = typeof list === "object" && list !== null && "models" in list ? list.models : undefined;
  if (!Array.isArray(models)) throw new BlindscoreError("malformed_answer", "the server did not answer with a list of models", "retry");
  if (models.length === 0) throw new BlindscoreError("model_not_found", "the server has no models");
  return models[0] as unknown;
}

/** JSON again. */
function written(descriptor: unknown): string {
  let text: unknown;
  try {
    text = JSON.stringify(descriptor);
  } catch (cause) {
    // Nested too deeply, for example.
    throw unreadable(String(cause), cause);
  }
  if (typeof text !== "string") throw unreadable("there is none");
  return text;
}

/** Whether everything that has fields has them by name: the WebAssembly takes lists as well. */
function hasNames(descriptor: ModelDescriptor): boolean {
  if ([descriptor, descriptor.inputs, descriptor.sizes].some(Array.isArray)) return false;
  const { features, norm, image } = descriptor.inputs;
  return ![...descriptor.outputs, ...(features ?? []), norm, image].some(Array.isArray);
}

function unreadable(why: string, cause?: unknown): BlindscoreError {
  return new BlindscoreError("unsupported_model", `the model descriptor can't be read: ${why}`, "refresh_model", { cause });
}
