/** What can be done about an error: see `BlindscoreError.recovery`. */
export type Recovery = "upload_key" | "refresh_model" | "retry" | "none";

/**
 * Every error this package throws, whether it comes from the server, the network or the client's own checks.
 *
 * `code` is stable and meant for programs, `message` for people.
 */
export class BlindscoreError extends Error {
  override readonly name = "BlindscoreError";

  constructor(
    /** Stable name of what went wrong, such as `key_not_found` or `feature_range`. */
    readonly code: string,
    message: string,
    /** What can be done: upload the key again, connect again, repeat later, or nothing. */
    readonly recovery: Recovery = "none",
    /** HTTP status, when a server answered. */
    readonly status?: number,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Errors of the WebAssembly side carry a `code`; all of them are about the arguments or the answer at hand. */
export function fromWasm(error: unknown): unknown {
  if (error instanceof BlindscoreError || !(error instanceof Error)) return error;
  const code: unknown = (error as { code?: unknown }).code;
  if (typeof code !== "string") return error;
  const recovery = code === "model_mismatch" || code === "unsupported_model" ? "refresh_model" : "none";
  return new BlindscoreError(code, error.message, recovery, undefined, { cause: error });
}
