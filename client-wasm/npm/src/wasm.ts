import { wasmSource } from "#wasm-source";
import start, * as bindings from "./blindscore.js";
import { BlindscoreError } from "./errors.js";

/** Where to take the WebAssembly from, if not from the package: an address, or its bytes. */
export type WasmSource = string | URL | BufferSource | WebAssembly.Module;

let loading: Promise<typeof bindings> | undefined;

/**
 * Loads the WebAssembly. Idempotent: later calls wait for the first one, or try again if it failed.
 * `Blindscore.connect` calls it by itself.
 */
export async function init(source?: WasmSource): Promise<void> {
  await load(source);
}

export async function load(source?: WasmSource): Promise<typeof bindings> {
  loading ??= (async () => {
    try {
      await start({ module_or_path: source ?? (await wasmSource()) });
      return bindings;
    } catch (error) {
      loading = undefined;
      throw new BlindscoreError("wasm_load", `the WebAssembly can't be loaded: ${String(error)}`, "retry", undefined, {
        cause: error,
      });
    }
  })();
  const loaded = await loading;
  ready = loaded;
  return loaded;
}

let ready: typeof bindings | undefined;

/** The bindings, for functions that can't wait. */
export function loaded(): typeof bindings {
  if (!ready) throw new BlindscoreError("not_initialised", "call and await init() first");
  return ready;
}
