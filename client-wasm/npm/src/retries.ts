import { BlindscoreError, ServerError } from "./errors.js";

/** Number of times that a call is repeated. */
const MAX_RETRIES = 8;
/** Pause before the first retry. Each further pause is twice as long. */
const FIRST_PAUSE_MS = 500;
/** Longest pause between retries, before chance makes it longer and unless the server asks for more. */
const LONGEST_PAUSE_MS = 30_000;

/**
 * Returns how many milliseconds to wait before a call that failed with `error`, and was already
 * repeated `retries` times, is repeated; `null` if it should not be, because that can't help or has
 * been tried eight times.
 *
 * The pause is half a second at first, doubles up to half a minute, and is lengthened by chance, so
 * that clients that failed together don't return together. If the server asks for a longer one, it
 * is that, which may be a day.
 */
export function pauseBeforeRetry(error: unknown, retries: number): number | null {
  if (!(error instanceof BlindscoreError) || error.recovery !== "retry" || retries >= MAX_RETRIES) return null;
  const asked = error instanceof ServerError ? error.retryAfterMs : null;
  const own = Math.min(FIRST_PAUSE_MS * 2 ** retries, LONGEST_PAUSE_MS);
  return Math.max(own * (1 + Math.random()), asked ?? 0);
}
