import { BlindscoreError, type Recovery, ServerError } from "./errors.js";
import { quoted } from "./text.js";

/** Response of the server, read completely. */
export interface Answer {
  status: number;
  headers: Headers;
  body: Uint8Array<ArrayBuffer>;
}

/** Maximum size of problem details and of a key's receipt, in bytes. */
export const SMALL_BYTES = 1 << 16;

const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const CODE = /^[a-z][a-z0-9_]{0,63}$/;
/** A date as servers write it (RFC 9110, section 5.6.7); `Date.parse` also takes `1.5` for one. */
const DATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;
/** Longest time that a server has a reason to ask for: a day, after which a daily budget is new. */
const MAX_RETRY_AFTER_MS = 24 * 3_600_000;

/** Returns the error for a response that is longer than allowed. */
export function tooLong(limit: number): BlindscoreError {
  return new BlindscoreError("malformed_answer", `the server's answer is longer than ${limit} bytes`, "retry");
}

/** Reads a body of at most `limit` bytes, counted after decompression. */
export async function read(response: Response, limit: number, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
  if (!response.body) {
    // No body, or a custom `fetch` without streams, which has all of it already.
    const whole = new Uint8Array(await response.arrayBuffer());
    if (whole.length > limit) throw tooLong(limit);
    return whole;
  }
  const reader = response.body.getReader();
  const cancel = () => void reader.cancel().catch(() => {});
  signal.addEventListener("abort", cancel, { once: true });
  try {
    // Collected in one array: a body may arrive byte by byte, and an object per chunk would take
    // far more memory.
    let bytes = new Uint8Array(Math.min(limit, 1 << 14));
    let length = 0;
    for (;;) {
      const { done, value } = await reader.read();
      signal.throwIfAborted();
      if (done) return bytes.slice(0, length);
      if (length + value.length > limit) throw tooLong(limit);
      if (length + value.length > bytes.length) {
        const larger = new Uint8Array(Math.min(limit, Math.max(2 * bytes.length, length + value.length)));
        larger.set(bytes);
        bytes = larger;
      }
      bytes.set(value, length);
      length += value.length;
    }
  } finally {
    signal.removeEventListener("abort", cancel);
    cancel();
  }
}

/** Refuses redirects: the caller has not chosen the other server. */
export function refuseRedirect(base: string, { status, type, redirected, headers, url }: Response): void {
  if (type !== "opaqueredirect" && !REDIRECTS.has(status) && !redirected) return;
  // Browsers don't reveal the target.
  const place = headers.get("location") ?? (redirected ? url : "another address");
  throw new BlindscoreError(
    "redirected",
    `${base} redirects to ${quoted(place)}: redirects are not followed; if that is the right server, connect to its address`,
  );
}

export function isFine({ status }: { status: number }): boolean {
  return status >= 200 && status < 300;
}

export function text(body: Uint8Array): string {
  return new TextDecoder().decode(body);
}

/** Reads problem details (RFC 9457), if that is what the server sent. */
export function problem({ status, headers, body }: Answer): ServerError {
  const { code, detail, title, recovery } = details(body);
  const fallback: Recovery = status >= 500 || status === 429 ? "retry" : "none";
  const words = [title, detail].filter((part) => typeof part === "string").join(": ");
  return new ServerError(
    typeof code === "string" && CODE.test(code) ? code : `http_${status}`,
    words === "" ? `the server answered ${status}` : quoted(words),
    isRecovery(recovery) ? recovery : fallback,
    status,
    retryAfter(headers.get("retry-after")),
    headers.get("x-request-id"),
  );
}

/** Returns the fields of a JSON object, or none if the body isn't one. */
export function details(body: Uint8Array): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(text(body));
    return typeof parsed === "object" && parsed !== null ? (parsed as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** Returns the milliseconds to wait, from seconds or a date (RFC 9110, section 10.2.3); a day at most. */
function retryAfter(value: string | null): number | null {
  if (value === null) return null;
  const date = DATE.test(value) ? Date.parse(value) - Date.now() : NaN;
  const wait = /^\d+$/.test(value) ? 1000 * Number(value) : date;
  return Number.isNaN(wait) ? null : Math.min(Math.max(0, wait), MAX_RETRY_AFTER_MS);
}

function isRecovery(value: unknown): value is Recovery {
  return value === "upload_key" || value === "refresh_model" || value === "retry" || value === "none";
}

/** Returns the duration that a `Server-Timing` header gives for a metric, in milliseconds. */
export function serverTiming(header: string | null, metric: string): number | null {
  const entry = header
    ?.split(",")
    .map((part) => part.trim().split(";"))
    .find(([name]) => name === metric);
  const duration = entry?.find((part) => part.trim().startsWith("dur="));
  const value = Number(duration?.trim().slice("dur=".length) ?? NaN);
  return Number.isFinite(value) ? value : null;
}
