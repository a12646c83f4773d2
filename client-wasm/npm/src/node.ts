import { readFile } from "node:fs/promises";
import { packaged } from "./wasm.js";

// Node's `fetch` can't read files, so the WebAssembly is read from the package's folder.
packaged.source = () => {
  const file = new URL("./blindscore_bg.wasm", import.meta.url);
  if (file.protocol === "file:") return readFile(file);
  // Some bundlers put the file where browsers find it, and this code where it can't be read.
  throw new Error(
    `it was bundled for browsers, as ${String(file)}: leave this package out of the server's bundle (in Next.js: serverExternalPackages: ["blindscore"]), or pass the file's bytes as wasm`,
  );
};

export * from "./index.js";
