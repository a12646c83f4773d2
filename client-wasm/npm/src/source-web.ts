/** Where browsers and bundlers find the WebAssembly: beside this file. */
export function wasmSource(): URL {
  return new URL("./blindscore_bg.wasm", import.meta.url);
}
