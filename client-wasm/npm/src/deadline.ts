/** Longest delay that timers support. */
const LONGEST_MS = 2 ** 31 - 1;

/**
 * Time limit of some work combined with its caller's signal: whichever ends first aborts the
 * `signal`.
 */
export class Deadline {
  readonly #stop = new AbortController();
  readonly #caller: AbortSignal | undefined;
  readonly #giveUp = () => this.#stop.abort(this.#caller?.reason);
  #end: number;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(ms: number, caller: AbortSignal | undefined) {
    this.#caller = caller;
    this.#end = performance.now() + ms;
    if (caller?.aborted) this.#giveUp();
    else caller?.addEventListener("abort", this.#giveUp, { once: true });
    this.extend(0);
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Extends the time limit. */
  extend(ms: number): void {
    clearTimeout(this.#timer);
    this.#end += ms;
    const left = Math.min(Math.max(0, this.#end - performance.now()), LONGEST_MS);
    this.#timer = setTimeout(() => this.#stop.abort(new DOMException("it took too long", "TimeoutError")), left);
  }

  /** Ends the time limit, once the work is done. */
  clear(): void {
    clearTimeout(this.#timer);
    this.#caller?.removeEventListener("abort", this.#giveUp);
  }
}
