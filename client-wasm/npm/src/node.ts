import { readFile } from "node:fs/promises";
import { packaged } from "./wasm.js";

// `fetch` reads no files, so the WebAssembly comes from the package's folder by other means.
packaged.source = () => readFile(new URL("./blindscore_bg.wasm", import.meta.url));

export * from "./index.js";
