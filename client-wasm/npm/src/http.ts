import { BlindscoreError, type Recovery } from "./errors.js";

/** Requests to one server; every failure becomes a `BlindscoreError`. */
export class Http {
  readonly base: string;
  readonly #fetch: typeof fetch;
  /** Browsers tell how an upload gets on through XMLHttpRequest only. */
  readonly #tellsProgress: boolean;

  constructor(url: string, fetchFunction: typeof fetch | undefined) {
    this.base = url.replace(/\/+$/, "");
    // Called unbound, the browser's own fetch throws.
    this.#fetch = fetchFunction ?? globalThis.fetch.bind(globalThis);
    this.#tellsProgress = !fetchFunction && typeof XMLHttpRequest !== "undefined";
  }

  /** Gives the answer if its status is fine or listed in `expected`. */
  async request(path: string, init: RequestInit, expected: number[] = []): Promise<Response> {
    let response: Response;
    try {
      response = await this.#fetch(this.base + path, init);
    } catch (error) {
      if (init.signal?.aborted) throw error;
      throw this.#unreachable(error);
    }
    if (response.ok || expected.includes(response.status)) return response;
    throw await problem(response);
  }

  /** PUTs bytes, and tells how far it is where the platform does. */
  async upload(
    path: string,
    body: Uint8Array,
    onProgress: (fraction: number) => void,
    signal?: AbortSignal,
  ): Promise<void> {
    const headers = { "content-type": "application/octet-stream" };
    onProgress(0);
    if (this.#tellsProgress) {
      const response = await send(this.base + path, headers, body, onProgress, signal).catch((error: unknown) => {
        throw signal?.aborted ? error : this.#unreachable(error);
      });
      if (!response.ok) throw await problem(response);
    } else {
      const init = { method: "PUT", headers, body: body as Uint8Array<ArrayBuffer>, ...(signal && { signal }) };
      await this.request(path, init);
    }
    onProgress(1);
  }

  #unreachable(cause: unknown): BlindscoreError {
    return new BlindscoreError("network", `the server at ${this.base} can't be reached`, "retry", undefined, { cause });
  }
}

/** A PUT by XMLHttpRequest. */
function send(
  url: string,
  headers: Record<string, string>,
  body: Uint8Array,
  onProgress: (fraction: number) => void,
  signal?: AbortSignal,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    signal?.addEventListener("abort", abort);
    request.onloadend = () => signal?.removeEventListener("abort", abort);
    request.onload = () => resolve(new Response(request.responseText, { status: request.status }));
    request.onerror = () => reject(new Error("the request failed"));
    request.onabort = () => reject(signal?.reason ?? new Error("the request was aborted"));
    request.upload.onprogress = ({ loaded, total }) => onProgress(loaded / Math.max(total, 1));
    request.open("PUT", url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.send(body as Uint8Array<ArrayBuffer>);
  });
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
