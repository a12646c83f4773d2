import { readFile } from "node:fs/promises";
import { packaged } from "./wasm.js";

// Node's `fetch` can't read files, so the WebAssembly is read from the package's folder.
packaged.source = () => readFile(new URL("./blindscore_bg.wasm", import.meta.url));

export * from "./index.js";
