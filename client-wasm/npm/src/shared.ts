/** Lets the caller stop waiting for `promise` when its signal aborts; the work itself continues. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason as Error);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    // Handled even if nobody waits any more: otherwise a failure would be an unhandled rejection.
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

interface Run<T, P> {
  promise: Promise<T>;
  stop: AbortController;
  listeners: Set<(progress: P) => void>;
  waiting: number;
}

/**
 * Work that concurrent callers share. Each can stop waiting on its own; when the last one does, the
 * work is aborted.
 */
export class Shared<T, P> {
  readonly #work: (tell: (progress: P) => void, signal: AbortSignal) => Promise<T>;
  #run: Run<T, P> | undefined;
  /** Settles when the last run has ended, aborted or not: two runs never work at once. */
  #ended: Promise<unknown> = Promise.resolve();

  constructor(work: (tell: (progress: P) => void, signal: AbortSignal) => Promise<T>) {
    this.#work = work;
  }

  /** Waits for the current run, or for a new one. */
  async join(listener: (progress: P) => void, signal: AbortSignal | undefined): Promise<T> {
    signal?.throwIfAborted();
    const run = (this.#run ??= this.#start());
    // A separate function per caller: two callers may pass the same one.
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

  /** Aborts the current run for all who wait, and waits until it has ended. */
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
