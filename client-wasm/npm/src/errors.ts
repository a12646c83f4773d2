import { escaped, quoted } from "./text.js";

/** Action that can help after an error; see `BlindscoreError.recovery`. */
export type Recovery = "upload_key" | "refresh_model" | "retry" | "none";

/** Codes of errors that this package detects. */
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
  | "record"
  | "redirected"
  | "storage"
  | "timeout"
  | "timeout_range"
  | "unsupported_format"
  | "unsupported_model"
  | "wasm_load";

/** Codes that a Blindscore server sends in its problem details. */
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
  | "model_exists"
  | "model_not_found"
  | "model_refused"
  | "model_retired"
  | "models_broken"
  | "models_unavailable"
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
 * Stable, machine-readable code of an error. Servers newer than this package may send codes that
 * are not listed here, and an intermediary such as a proxy may send only a status: `http_502`.
 */
export type ErrorCode = ClientErrorCode | ServerErrorCode | `http_${number}` | (string & {});

/**
 * Base class of every error that this package throws, whether it comes from the server, the network
 * or the client's own checks.
 *
 * `code` is stable and meant for programs, `message` for people. No error holds features, scores or
 * keys, except for the one feature that an `InputError` reports.
 */
export class BlindscoreError extends Error {
  override readonly name: string = "BlindscoreError";

  constructor(
    /** Stable, machine-readable code, such as `key_not_found` or `feature_range`. */
    readonly code: ErrorCode,
    message: string,
    /**
     * Action that can help: upload the key again, fetch the model again, repeat later, or nothing.
     */
    readonly recovery: Recovery = "none",
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Unusable features, drawing or bytes from the caller. Nothing was sent. */
export class InputError extends BlindscoreError {
  override readonly name: string = "InputError";
}

/** No answer from the server, or not in time. */
export class NetworkError extends BlindscoreError {
  override readonly name: string = "NetworkError";
}

/** Failure of the storage for secret keys. */
export class StorageError extends BlindscoreError {
  override readonly name: string = "StorageError";
}

/**
 * The server's model is not the one that was agreed to, by `connect` or `refresh`, or by its `id`.
 * Nothing was sent to it.
 *
 * A client that continued with ranges that the server has just chosen would tell the server whether
 * features lie in them. People should therefore look at the difference; `refresh()`, or another
 * `id`, agrees to it.
 */
export class ModelChangedError extends BlindscoreError {
  override readonly name: string = "ModelChangedError";

  constructor(
    /** Description of what differs. */
    readonly difference: string,
  ) {
    super("model_changed", `the model is not the one that was agreed to, so nothing was sent: ${escaped(difference)}`);
  }
}

/** Error response from the server. */
export class ServerError extends BlindscoreError {
  override readonly name: string = "ServerError";

  constructor(
    code: ErrorCode,
    message: string,
    recovery: Recovery,
    /** HTTP status of the response. */
    readonly status: number,
    /** Time that the server asks to wait before a retry, in milliseconds; a day at most. */
    readonly retryAfterMs: number | null = null,
    /** Id of the request in the server's log. */
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
const INPUT = new Set([
  "drawing_size",
  "feature_count",
  "feature_norm",
  "feature_range",
  "malformed_blob",
  "malformed_id",
  "parameter_set_mismatch",
  "record",
  "timeout_range",
]);

/**
 * Converts an error from the WebAssembly. Such errors carry a `code`, and concern the arguments or
 * the answer at hand.
 */
export function fromWasm(error: unknown): unknown {
  if (error instanceof BlindscoreError || !(error instanceof Error)) return error;
  if (error instanceof WebAssembly.RuntimeError) {
    return new BlindscoreError("internal", `the WebAssembly failed: ${error.message}`, "none", { cause: error });
  }
  const code: unknown = (error as { code?: unknown }).code;
  if (typeof code !== "string") return error;
  const Kind = INPUT.has(code) ? InputError : BlindscoreError;
  // Some messages quote the server.
  return new Kind(code, quoted(error.message), RECOVERIES[code] ?? "none", { cause: error });
}

/** Runs `work` and converts errors from the WebAssembly. */
export function rethrow<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw fromWasm(error);
  }
}
