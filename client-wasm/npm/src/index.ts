/// <reference lib="esnext.disposable" preserve="true" />
/** Have a server score your data without showing it the data. See the README for a tour. */
export { Blindscore } from "./client.js";
export type { ConnectOptions, Prediction, RequestOptions } from "./client.js";
export type { ModelDescriptor, Scores } from "./descriptor.js";
export { normalizeDrawing } from "./drawing.js";
export {
  BlindscoreError,
  type ClientErrorCode,
  type ErrorCode,
  InputError,
  ModelChangedError,
  NetworkError,
  type Recovery,
  ServerError,
  type ServerErrorCode,
  StorageError,
} from "./errors.js";
export type { KeyReport, Progress } from "./keyring.js";
export { decrypt, encrypt, generateKeys, generateKeysAsync, type KeyPair } from "./keys.js";
export type { Cell, ModelInput, ModelRecord } from "./record.js";
export { pauseBeforeRetry } from "./retries.js";
export { indexedDbStorage, memoryStorage, type KeyStorage } from "./storage.js";
export { init, type WasmSource } from "./wasm.js";
