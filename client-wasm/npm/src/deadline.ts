/** Timers wait no longer than this. */
const LONGEST_MS = 2 ** 31 - 1;

/** The time that some work may take, and its caller's patience: whichever ends first aborts the `signal`. */
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

  /** Gives more time. */
  extend(ms: number): void {
    clearTimeout(this.#timer);
    this.#end += ms;
    const left = Math.min(Math.max(0, this.#end - performance.now()), LONGEST_MS);
    this.#timer = setTimeout(() => this.#stop.abort(new DOMException("it took too long", "TimeoutError")), left);
  }

  /** The work is over. */
  clear(): void {
    clearTimeout(this.#timer);
    this.#caller?.removeEventListener("abort", this.#giveUp);
  }
}
