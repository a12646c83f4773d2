import { type Answer, isFine, problem, read, refuseRedirect, SMALL_BYTES, text } from "./answer.js";
import { Deadline } from "./deadline.js";
import { BlindscoreError, InputError, NetworkError } from "./errors.js";
import { abortable } from "./shared.js";
import { send } from "./upload.js";

/**
 * Time limit of a request, plus the time that its bytes take: a server answers or refuses within
 * half of it.
 */
const TIMEOUT_MS = 60_000;
/** Lowest transfer rate to allow for, in bytes per millisecond. */
const RATE = 50;

/** Content of a request. */
export interface Call {
  method?: "GET" | "POST" | "PUT" | "DELETE";
  headers?: Record<string, string>;
  body?: Uint8Array;
  /** Whether to revalidate a cached response with the server. */
  fresh?: boolean;
  signal?: AbortSignal | undefined;
  /** Maximum size of the response's body, in bytes. */
  limit: number | Promise<number>;
  /** Statuses to return as answers, in addition to 2xx. */
  expected?: number[];
}

/** Requests to one server. Every failure becomes a `BlindscoreError`. */
export class Http {
  readonly base: string;
  readonly #fetch: typeof fetch;
  readonly #timeout: number;
  /**
   * Whether to upload with XMLHttpRequest, the only way in which browsers report upload progress.
   */
  readonly #tellsProgress: boolean;

  constructor(url: string, fetchFunction: typeof fetch | undefined, timeout = TIMEOUT_MS) {
    if (!(timeout > 0)) throw new InputError("timeout_range", `the timeout is ${timeout}, not a number of milliseconds above 0`);
    this.base = url.replace(/\/+$/, "");
    // The browser's own fetch throws when it is called unbound.
    this.#fetch = fetchFunction ?? globalThis.fetch.bind(globalThis);
    this.#timeout = timeout;
    this.#tellsProgress = !fetchFunction && typeof XMLHttpRequest !== "undefined";
  }

  /** Sends a request. Returns the answer if its status is 2xx or expected. */
  async request(path: string, call: Call): Promise<Answer> {
    const { method = "GET", headers = {}, body, fresh } = call;
    const answer = await this.#within(call, async (deadline) => {
      const response = await this.#fetch(this.base + path, {
        method,
        headers,
        redirect: "manual",
        signal: deadline.signal,
        ...(body && { body: body as Uint8Array<ArrayBuffer> }),
        ...(fresh && { cache: "no-cache" }),
      });
      try {
        refuseRedirect(this.base, response);
        return await this.#read(response, call, deadline);
      } finally {
        // The rest of an unread body isn't needed.
        if (response.body && !response.body.locked) void response.body.cancel().catch(() => {});
      }
    });
    if (isFine(answer) || call.expected?.includes(answer.status)) return answer;
    throw problem(answer);
  }

  /** Fetches the JSON at `path`, unchecked. */
  async json(path: string, call: Call): Promise<unknown> {
    const { body } = await this.request(path, call);
    try {
      return JSON.parse(text(body)) as unknown;
    } catch (cause) {
      throw new BlindscoreError("malformed_answer", `${this.base}${path} did not answer with JSON`, "retry", { cause });
    }
  }

  /** Uploads bytes with PUT. Reports progress where the platform does. */
  async upload(path: string, body: Uint8Array, onProgress: (fraction: number) => void, signal?: AbortSignal): Promise<Answer> {
    const headers = { "content-type": "application/octet-stream" };
    const call: Call = { method: "PUT", headers, body, limit: SMALL_BYTES, signal };
    onProgress(0);
    let answer: Answer;
    if (this.#tellsProgress) {
      const url = this.base + path;
      answer = await this.#within(call, (deadline) => send(url, headers, body, SMALL_BYTES, onProgress, deadline.signal));
      if (!isFine(answer)) throw problem(answer);
    } else {
      answer = await this.request(path, call);
    }
    onProgress(1);
    return answer;
  }

  /** Reads a response. The time limit grows with the maximum size. */
  async #read(response: Response, call: Call, deadline: Deadline): Promise<Answer> {
    const { status, headers } = response;
    if (isFine(response) || call.expected?.includes(status)) {
      const limit = await call.limit;
      deadline.extend(limit / RATE);
      return { status, headers, body: await read(response, limit, deadline.signal) };
    }
    // A proxy's body may be long or truncated: the status counts.
    const body = await read(response, SMALL_BYTES, deadline.signal).catch(() => new Uint8Array());
    return { status, headers, body };
  }

  /**
   * Runs `work` within the time limit. A failure without a reason of its own, which nobody aborted,
   * means that the server was not reached.
   */
  async #within({ body, signal }: Call, work: (deadline: Deadline) => Promise<Answer>): Promise<Answer> {
    const deadline = new Deadline(this.#timeout + (body?.length ?? 0) / RATE, signal);
    const started = performance.now();
    try {
      return await abortable(work(deadline), deadline.signal);
    } catch (cause) {
      if (signal?.aborted) throw signal.reason;
      if (deadline.signal.aborted) {
        const seconds = Math.round((performance.now() - started) / 1000);
        throw new NetworkError("timeout", `the server at ${this.base} has not answered within ${seconds} s`, "retry", { cause });
      }
      if (cause instanceof BlindscoreError) throw cause;
      throw new NetworkError("network", `the server at ${this.base} can't be reached`, "retry", { cause });
    } finally {
      deadline.clear();
    }
  }
}
