import start, * as bindings from "./blindscore.js";
import { BlindscoreError } from "./errors.js";
import { WASM_INTEGRITY } from "./integrity.js";
import { abortable } from "./shared.js";

/**
 * Source of the WebAssembly, if not the package: an address, a response, its bytes, or a compiled
 * module.
 *
 * It must be this version's `blindscore.wasm`. Anything else at an address is refused: the file's
 * hash is part of the package.
 */
export type WasmSource = string | URL | Response | BufferSource | WebAssembly.Module;

/**
 * Source of the package's own file: beside this one, where browsers and bundlers find it. Node's
 * entry point reads the file instead.
 */
export const packaged: { source: () => WasmSource | Promise<WasmSource> } = {
  source: () => new URL("./blindscore_bg.wasm", import.meta.url),
};

let loading: Promise<typeof bindings> | undefined;
let ready: typeof bindings | undefined;

/**
 * Loads the WebAssembly. Idempotent: later calls wait for the first one, or try again if it failed.
 * `Blindscore.connect` calls it automatically.
 */
export async function init(source?: WasmSource, { signal }: { signal?: AbortSignal } = {}): Promise<void> {
  await load(source, signal);
}

export function load(source?: WasmSource, signal?: AbortSignal): Promise<typeof bindings> {
  loading ??= instantiate(source).catch((error: unknown) => {
    loading = undefined;
    throw new BlindscoreError("wasm_load", `the WebAssembly can't be loaded: ${String(error)}`, "retry", { cause: error });
  });
  return abortable(loading, signal);
}

async function instantiate(source: WasmSource | undefined): Promise<typeof bindings> {
  const found = source ?? (await packaged.source());
  const address = typeof found === "string" || found instanceof URL;
  await start({ module_or_path: address ? fetch(found, { integrity: WASM_INTEGRITY }) : found });
  return (ready = bindings);
}

/** Returns the bindings, for functions that can't wait. */
export function loaded(): typeof bindings {
  if (!ready) throw new BlindscoreError("not_initialised", "call and await init() first");
  return ready;
}
