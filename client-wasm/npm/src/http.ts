import { BlindscoreError, NetworkError, type Recovery, ServerError } from "./errors.js";

/** A whole answer. */
export interface Answer {
  status: number;
  headers: Headers;
  body: Uint8Array<ArrayBuffer>;
}

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
  async request(path: string, init: RequestInit, expected: number[] = []): Promise<Answer> {
    const answer = await this.#reached(init.signal, async () => {
      const response = await this.#fetch(this.base + path, init);
      const body = new Uint8Array(await response.arrayBuffer());
      return { status: response.status, headers: response.headers, body };
    });
    if (isFine(answer) || expected.includes(answer.status)) return answer;
    throw problem(answer);
  }

  /** Gives the JSON at `path`. */
  async json<T>(path: string, init: RequestInit): Promise<T> {
    const { body } = await this.request(path, init);
    try {
      return JSON.parse(text(body)) as T;
    } catch (cause) {
      throw new BlindscoreError("malformed_answer", `${this.base}${path} did not answer with JSON`, "retry", { cause });
    }
  }

  /** PUTs bytes, and tells how far it is where the platform does. */
  async upload(
    path: string,
    body: Uint8Array,
    onProgress: (fraction: number) => void,
    signal?: AbortSignal,
  ): Promise<Answer> {
    const headers = { "content-type": "application/octet-stream" };
    onProgress(0);
    let answer: Answer;
    if (this.#tellsProgress) {
      answer = await this.#reached(signal, () => send(this.base + path, headers, body, onProgress, signal));
      if (!isFine(answer)) throw problem(answer);
    } else {
      const init = { method: "PUT", headers, body: body as Uint8Array<ArrayBuffer>, ...(signal && { signal }) };
      answer = await this.request(path, init);
    }
    onProgress(1);
    return answer;
  }

  /** What `work` gives; if it fails and nobody aborted it, the server was not reached. */
  async #reached(signal: AbortSignal | null | undefined, work: () => Promise<Answer>): Promise<Answer> {
    try {
      return await work();
    } catch (cause) {
      if (signal?.aborted) throw cause;
      throw new NetworkError("network", `the server at ${this.base} can't be reached`, "retry", { cause });
    }
  }
}

/** A PUT by XMLHttpRequest. */
function send(
  url: string,
  headers: Record<string, string>,
  body: Uint8Array,
  onProgress: (fraction: number) => void,
  signal?: AbortSignal,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    signal?.addEventListener("abort", abort);
    request.responseType = "arraybuffer";
    request.onloadend = () => signal?.removeEventListener("abort", abort);
    request.onload = () => {
      const body = new Uint8Array(request.response as ArrayBuffer);
      resolve({ status: request.status, headers: headersOf(request), body });
    };
    request.onerror = () => reject(new Error("the request failed"));
    request.onabort = () => reject((signal?.reason as Error | undefined) ?? new Error("the request was aborted"));
    request.upload.onprogress = ({ loaded, total }) => onProgress(loaded / Math.max(total, 1));
    request.open("PUT", url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.send(body as Uint8Array<ArrayBuffer>);
  });
}

function headersOf(request: XMLHttpRequest): Headers {
  const lines = request.getAllResponseHeaders().split("\r\n").filter(Boolean);
  return new Headers(lines.map((line): [string, string] => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon), line.slice(colon + 1).trim()];
  }));
}

function isFine({ status }: Answer): boolean {
  return status >= 200 && status < 300;
}

function text(body: Uint8Array): string {
  return new TextDecoder().decode(body);
}

/** Reads problem details (RFC 9457), if that is what the server sent. */
function problem({ status, headers, body }: Answer): ServerError {
  const { code, detail, title, recovery } = details(body);
  const fallback: Recovery = status >= 500 || status === 429 ? "retry" : "none";
  return new ServerError(
    typeof code === "string" ? code : `http_${status}`,
    [title, detail].filter((part) => typeof part === "string").join(": ") || `the server answered ${status}`,
    isRecovery(recovery) ? recovery : fallback,
    status,
    retryAfter(headers.get("retry-after")),
    headers.get("x-request-id"),
  );
}

/** A JSON object's fields, or none if the body isn't one. */
export function details(body: Uint8Array): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(text(body));
    return typeof parsed === "object" && parsed !== null ? (parsed as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** Milliseconds to wait, from seconds or a date (RFC 9110, section 10.2.3). */
function retryAfter(value: string | null): number | null {
  if (value === null) return null;
  const wait = /^\d+$/.test(value) ? 1000 * Number(value) : Date.parse(value) - Date.now();
  return Number.isFinite(wait) ? Math.max(0, wait) : null;
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
