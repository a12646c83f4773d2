import { escaped, quoted } from "./text.js";

/** What can be done about an error: see `BlindscoreError.recovery`. */
export type Recovery = "upload_key" | "refresh_model" | "retry" | "none";

/** Codes of errors that this package finds by itself. */
export type ClientErrorCode =
  | "drawing_size"
  | "feature_count"
  | "feature_norm"
  | "feature_range"
  | "freed"
  | "internal"
  | "key_mismatch"
  | "malformed_answer"
  | "malformed_blob"
  | "malformed_id"
  | "model_changed"
  | "model_mismatch"
  | "network"
  | "no_entropy"
  | "no_key"
  | "not_initialised"
  | "parameter_set_mismatch"
  | "query_mismatch"
  | "redirected"
  | "storage"
  | "timeout"
  | "timeout_range"
  | "unsupported_format"
  | "unsupported_model"
  | "wasm_load";

/** Codes that a Blindscore server gives in its problem details. */
export type ServerErrorCode =
  | "forbidden"
  | "format_unsupported"
  | "host_not_allowed"
  | "internal"
  | "key_hash_mismatch"
  | "key_mismatch"
  | "key_not_found"
  | "malformed_ciphertext"
  | "malformed_key"
  | "malformed_request"
  | "method_not_allowed"
  | "model_changed"
  | "model_not_found"
  | "model_retired"
  | "not_found"
  | "overloaded"
  | "parameters_retired"
  | "payload_too_large"
  | "quota_exceeded"
  | "query_budget_spent"
  | "rate_limited"
  | "request_timeout"
  | "store_full"
  | "store_unavailable"
  | "unauthorized"
  | "unsupported_media_type";

/**
 * Stable name of what went wrong. Servers newer than this package may give codes that are not listed, and something between here and the
 * server, such as a proxy, may give only a status: `http_502`.
 */
export type ErrorCode = ClientErrorCode | ServerErrorCode | `http_${number}` | (string & {});

/**
 * Every error this package throws, whether it comes from the server, the network or the client's own checks.
 *
 * `code` is stable and meant for programs, `message` for people. No error holds features, scores or keys, save the one feature that an
 * `InputError` complains of.
 */
export class BlindscoreError extends Error {
  override readonly name: string = "BlindscoreError";

  constructor(
    /** Stable name of what went wrong, such as `key_not_found` or `feature_range`. */
    readonly code: ErrorCode,
    message: string,
    /** What can be done: upload the key again, fetch the model again, repeat later, or nothing. */
    readonly recovery: Recovery = "none",
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The caller gave features, a drawing or bytes that can't be used. Nothing was sent. */
export class InputError extends BlindscoreError {
  override readonly name: string = "InputError";
}

/** The server did not answer, or not in time. */
export class NetworkError extends BlindscoreError {
  override readonly name: string = "NetworkError";
}

/** The storage for secret keys failed. */
export class StorageError extends BlindscoreError {
  override readonly name: string = "StorageError";
}

/**
 * The server's model is not the one that was agreed to, by `connect` or `refresh`, or by its `id`. Nothing was sent to it.
 *
 * Whether a client goes on with ranges that the server has just chosen would tell the server whether features lie in them. So it is for
 * people to look at the difference: `refresh()`, or another `id`, agrees to it.
 */
export class ModelChangedError extends BlindscoreError {
  override readonly name: string = "ModelChangedError";

  constructor(
    /** What differs, in words. */
    readonly difference: string,
  ) {
    super("model_changed", `the model is not the one that was agreed to, so nothing was sent: ${escaped(difference)}`);
  }
}

/** The server answered with an error. */
export class ServerError extends BlindscoreError {
  override readonly name: string = "ServerError";

  constructor(
    code: ErrorCode,
    message: string,
    recovery: Recovery,
    /** HTTP status. */
    readonly status: number,
    /** How long the server asks to wait before the request is repeated, in milliseconds. */
    readonly retryAfterMs: number | null = null,
    /** Name of the request in the server's log. */
    readonly requestId: string | null = null,
  ) {
    super(code, message, recovery);
  }
}

const RECOVERIES: Record<string, Recovery> = {
  model_mismatch: "refresh_model",
  unsupported_format: "refresh_model",
  unsupported_model: "refresh_model",
};
const INPUT = new Set(["drawing_size", "feature_count", "feature_norm", "feature_range", "malformed_blob", "malformed_id", "parameter_set_mismatch", "timeout_range"]);

/** Errors of the WebAssembly side carry a `code`; all of them are about the arguments or the answer at hand. */
export function fromWasm(error: unknown): unknown {
  if (error instanceof BlindscoreError || !(error instanceof Error)) return error;
  if (error instanceof WebAssembly.RuntimeError) {
    return new BlindscoreError("internal", `the WebAssembly failed: ${error.message}`, "none", { cause: error });
  }
  const code: unknown = (error as { code?: unknown }).code;
  if (typeof code !== "string") return error;
  const Kind = INPUT.has(code) ? InputError : BlindscoreError;
  // Some messages quote what the server gave.
  return new Kind(code, quoted(error.message), RECOVERIES[code] ?? "none", { cause: error });
}

/** Runs `work` with the errors of the WebAssembly side made ours. */
export function rethrow<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw fromWasm(error);
  }
}
