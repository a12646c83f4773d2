import { readFile } from "node:fs/promises";

/** Node reads the WebAssembly from the package's own folder. */
export function wasmSource(): Promise<Uint8Array<ArrayBuffer>> {
  return readFile(new URL("./blindscore_bg.wasm", import.meta.url));
}
