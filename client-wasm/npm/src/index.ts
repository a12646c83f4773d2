/** Have a server score your data without showing it the data. See the README for a tour. */
export { Blindscore } from "./client.js";
export type { ConnectOptions, KeyReport, Prediction, Progress } from "./client.js";
export type { ModelDescriptor, Scores } from "./descriptor.js";
export { normalizeDrawing } from "./drawing.js";
export { BlindscoreError, type Recovery } from "./errors.js";
export { decrypt, encrypt, generateKeys, type KeyPair } from "./keys.js";
export { indexedDbStorage, memoryStorage, type KeyStorage } from "./storage.js";
export { init, type WasmSource } from "./wasm.js";
