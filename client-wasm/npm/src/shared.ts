/** Lets the caller stop waiting for `promise` when its signal says so; the work itself goes on. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason as Error);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    // Also where nobody waits any more: else a failure would count as one that nobody has heard of.
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

interface Run<T, P> {
  promise: Promise<T>;
  stop: AbortController;
  listeners: Set<(progress: P) => void>;
  waiting: number;
}

/** Work that callers at the same time share. Each may give up by itself; when the last one does, the work is aborted. */
export class Shared<T, P> {
  readonly #work: (tell: (progress: P) => void, signal: AbortSignal) => Promise<T>;
  #run: Run<T, P> | undefined;
  /** Ends when the last run has, whether it was aborted or not: two never work at a time. */
  #ended: Promise<unknown> = Promise.resolve();

  constructor(work: (tell: (progress: P) => void, signal: AbortSignal) => Promise<T>) {
    this.#work = work;
  }

  /** Waits for the run under way, or for a new one. */
  async join(listener: (progress: P) => void, signal: AbortSignal | undefined): Promise<T> {
    signal?.throwIfAborted();
    const run = (this.#run ??= this.#start());
    // A function of its own: two callers may pass the same one.
    const hear = (progress: P) => listener(progress);
    run.listeners.add(hear);
    run.waiting += 1;
    try {
      return await abortable(run.promise, signal);
    } finally {
      run.listeners.delete(hear);
      run.waiting -= 1;
      if (run.waiting === 0 && this.#run === run) this.#abort(signal?.reason);
    }
  }

  /** Aborts the run under way, for all who wait, and waits for its end. */
  async stop(reason: unknown): Promise<void> {
    this.#abort(reason);
    await this.#ended;
  }

  #start(): Run<T, P> {
    const stop = new AbortController();
    const listeners = new Set<(progress: P) => void>();
    const tell = (progress: P) => {
      for (const hear of listeners) hear(progress);
    };
    const promise = this.#ended.then(() => this.#work(tell, stop.signal));
    const run = { promise, stop, listeners, waiting: 0 };
    this.#ended = promise
      .catch(() => {})
      .then(() => {
        if (this.#run === run) this.#run = undefined;
      });
    return run;
  }

  #abort(reason: unknown) {
    this.#run?.stop.abort(reason);
    this.#run = undefined;
  }
}
