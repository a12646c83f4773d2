import { BlindscoreError, type Recovery } from "./errors.js";

/** Requests to one server; every failure becomes a `BlindscoreError`. */
export class Http {
  readonly #base: string;
  readonly #fetch: typeof fetch;

  constructor(url: string, fetchFunction: typeof fetch | undefined) {
    this.#base = url.replace(/\/+$/, "");
    // Called unbound, the browser's own fetch throws.
    this.#fetch = fetchFunction ?? globalThis.fetch.bind(globalThis);
  }

  /** Gives the answer if its status is fine or listed in `expected`. */
  async request(path: string, init: RequestInit, expected: number[] = []): Promise<Response> {
    let response: Response;
    try {
      response = await this.#fetch(this.#base + path, init);
    } catch (error) {
      if (init.signal?.aborted) throw error;
      const message = `the server at ${this.#base} can't be reached`;
      throw new BlindscoreError("network", message, "retry", undefined, { cause: error });
    }
    if (response.ok || expected.includes(response.status)) return response;
    throw await problem(response);
  }
}

/** Reads problem details (RFC 9457), if that is what the server sent. */
async function problem(response: Response): Promise<BlindscoreError> {
  const body: unknown = await response.json().catch(() => undefined);
  const { code, detail, title, recovery } = (body ?? {}) as Record<string, unknown>;
  const fallback: Recovery = response.status >= 500 || response.status === 429 ? "retry" : "none";
  return new BlindscoreError(
    typeof code === "string" ? code : `http_${response.status}`,
    [title, detail].filter((part) => typeof part === "string").join(": ") || `the server answered ${response.status}`,
    isRecovery(recovery) ? recovery : fallback,
    response.status,
  );
}

function isRecovery(value: unknown): value is Recovery {
  return value === "upload_key" || value === "refresh_model" || value === "retry" || value === "none";
}

/** The duration that a `Server-Timing` header gives for a metric, in milliseconds. */
export function serverTiming(header: string | null, metric: string): number | null {
  const entry = header?.split(",").map((part) => part.trim().split(";")).find(([name]) => name === metric);
  const duration = entry?.find((part) => part.trim().startsWith("dur="));
  const value = Number(duration?.trim().slice("dur=".length) ?? NaN);
  return Number.isFinite(value) ? value : null;
}
