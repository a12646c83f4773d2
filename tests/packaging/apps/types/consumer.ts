// Uses every export of the package. It is compiled in TypeScript's strict mode, not run.
import {
  Blindscore,
  BlindscoreError,
  type Cell,
  type ClientErrorCode,
  type ConnectOptions,
  decrypt,
  encrypt,
  type ErrorCode,
  generateKeys,
  generateKeysAsync,
  indexedDbStorage,
  init,
  InputError,
  type KeyPair,
  type KeyReport,
  type KeyStorage,
  memoryStorage,
  ModelChangedError,
  type ModelDescriptor,
  type ModelInput,
  type ModelRecord,
  NetworkError,
  normalizeDrawing,
  pauseBeforeRetry,
  type Prediction,
  type Progress,
  type Recovery,
  type RequestOptions,
  type Scores,
  ServerError,
  type ServerErrorCode,
  StorageError,
  type WasmSource,
} from "blindscore";
import address from "blindscore/blindscore.wasm";

const { signal } = new AbortController();

const sources: WasmSource[] = [address, new URL(address, location.href), new Uint8Array(8), new ArrayBuffer(8), new Response()];
for (const source of sources) await init(source, { signal });
await init(await WebAssembly.compileStreaming(fetch(address)));

class OneKey implements KeyStorage {
  readonly copies = false;
  readonly #keys = new Map<string, Uint8Array>();
  get = (name: string): Promise<Uint8Array | undefined> => Promise.resolve(this.#keys.get(name));
  set = (name: string, key: Uint8Array): Promise<void> => Promise.resolve(void this.#keys.set(name, key));
  delete = (name: string): Promise<void> => Promise.resolve(void this.#keys.delete(name));
}
const storages: KeyStorage[] = [new OneKey(), memoryStorage(), indexedDbStorage(), indexedDbStorage("mine")];

const options: ConnectOptions = { model: "mnist-linear", fetch, wasm: address, signal, timeout: 20_000 };
const client: Blindscore = await Blindscore.connect(new URL("https://scores.example"), options);
const pinned: string = client.pin;
await Blindscore.connect("https://scores.example", { model: "mnist-linear", id: pinned });
for (const storage of storages) await Blindscore.connect("https://scores.example", { storage, secretKey: client.exportSecretKey() });

const requestOptions: RequestOptions = { fetch, timeout: 1000, signal };
const listed: ModelDescriptor[] = await Blindscore.models("https://scores.example", requestOptions);
export const titles: string[] = listed.map(({ title }) => title);

const onProgress = ({ phase, fraction }: Progress): string => `${phase satisfies "generate" | "upload"} ${fraction.toFixed(2)}`;
const report: KeyReport = await client.ensureKeys({ onProgress, signal });
const times: number = report.keygenMs + report.uploadMs + report.publicKeyBytes;
const news: boolean = report.generated || report.uploaded || report.outdated;
const id: string | null = client.keyId;
export const keys = [times, news, id, report.keyId];

const prediction: Prediction = await client.predict(new Float32Array(784), { signal, trace: true });
const serverMs: number | null = prediction.timings.serverMs;
const traced: Uint8Array | undefined = prediction.trace?.query;
export const measured = [serverMs, traced, prediction.bytes.query + prediction.bytes.response];
const many: Scores[] = await client.predictMany([[0, 1], new Uint8Array(784)], { signal, onProgress: (done: number) => void done });
export const best: [string | null, number | null, number | undefined][] = many.map(({ label, index, probabilities }) => [
  label,
  index,
  probabilities[index ?? 0],
]);
// As `blindscore types` writes it.
type ChurnRecord = { age: number; "debt ratio"?: number | null; member: boolean; job: "clerk" | "nurse" };
const churn = await Blindscore.connect<ChurnRecord>("https://scores.example", { model: "churn" });
const values: Float64Array = (await churn.predict({ age: 39, member: true, job: "clerk" })).values;
// @ts-expect-error a misspelt column
await churn.predict({ agee: 39, member: true, job: "clerk" });
const cell: Cell = values[0];
const record: ModelRecord = { age: cell };
export const inputs: ModelInput[] = [record, [39, "clerk", null, false], new Float32Array(2)];
const changed: boolean = await client.refresh({ signal });
if (changed) await client.forget({ signal });
client.free();
client[Symbol.dispose]();

const model: ModelDescriptor = client.model;
export const formats: readonly number[] = model.formats;
const pair: KeyPair = generateKeys(model, { onProgress: (fraction: number) => void fraction });
const { secretKey, keyId }: KeyPair = await generateKeysAsync(model, { onProgress: (fraction: number) => void fraction, signal });
export const scores: Scores = decrypt(model, pair.secretKey, encrypt(model, secretKey, [keyId.length]), new Uint8Array());
export const images: (Uint8Array | null)[] = [normalizeDrawing(new ImageData(28, 28)), normalizeDrawing(new Uint8Array(4), 2, 2)];

export function advice(error: unknown): string {
  if (!(error instanceof BlindscoreError)) throw error;
  const code: ErrorCode = error.code;
  const recovery: Recovery = error.recovery;
  if (error instanceof ServerError) {
    const wait: number | null = pauseBeforeRetry(error, 0) ?? error.retryAfterMs;
    const request: string | null = error.requestId;
    return `${error.status satisfies number} ${code} ${wait ?? 0} ${request ?? ""}`;
  }
  if (error instanceof ModelChangedError) return error.difference;
  if (error instanceof InputError || error instanceof NetworkError || error instanceof StorageError) return error.message;
  // Editors complete known codes; unknown ones are allowed.
  const known: (ClientErrorCode | ServerErrorCode)[] = [
    "feature_range",
    "key_not_found",
    "unsupported_format",
    "overloaded",
    "redirected",
    "timeout",
    "timeout_range",
  ];
  const unknown: ErrorCode = "something_new";
  return [recovery, unknown, ...known].join(" ");
}

// The following must not compile.
// @ts-expect-error: a client is made by connect
new Blindscore();
// @ts-expect-error: cells are numbers, texts, truth values or missing
await client.predict([[1]]);
// @ts-expect-error: no such recovery
export const wrong: Recovery = "pray";
// @ts-expect-error: no such client code
export const misspelt: ClientErrorCode = "feature_rnage";
