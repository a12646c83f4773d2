// Loads the WebAssembly twice from the kind of source that the first argument names, and uses it.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { init, normalizeDrawing } from "blindscore";

const file = fileURLToPath(import.meta.resolve("blindscore/blindscore.wasm"));
const bytes = await readFile(file);
const sources = {
  package: undefined,
  bytes,
  buffer: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length),
  module: await WebAssembly.compile(bytes),
  response: new Response(bytes, { headers: { "content-type": "application/wasm" } }),
  address: `data:application/wasm;base64,${bytes.toString("base64")}`,
};
const source = sources[process.argv[2]];
await Promise.all([init(source), init(source)]);
await init();
console.log(normalizeDrawing(new Uint8Array(100).fill(255), 10, 10).length);
