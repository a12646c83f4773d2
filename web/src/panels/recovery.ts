// Handling of failures: a message, and retries with backoff where they may help.
import { advice } from "./advice";
import { byId } from "../dom";
import type { Trouble } from "../messages";

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 30_000;

export class Recovery {
  #box = byId("trouble");
  #text = byId("trouble-text");
  #next = byId("trouble-next");
  #again: () => void;
  #failures = 0;
  #ticking = 0;

  /** `again` repeats the action that failed. */
  constructor(again: () => void) {
    this.#again = again;
    byId("retry").addEventListener("click", () => this.#try());
    addEventListener("online", () => {
      if (!this.#box.hidden) this.#try();
    });
  }

  /**
   * Shows what is wrong, and retries later if that may help. `prefix` says what has not been done.
   */
  failed(trouble: Trouble, prefix = "") {
    const offline = ["network", "timeout"].includes(trouble.code) && !navigator.onLine;
    this.#text.textContent = [prefix, advice(offline ? { ...trouble, code: "offline" } : trouble)].filter(Boolean).join(" ");
    this.#box.dataset.code = offline ? "offline" : trouble.code;
    this.#box.hidden = false;
    this.#stop();
    if (offline) this.#next.textContent = "This page continues automatically when you are online again.";
    else if (trouble.recovery === "retry") this.#countDown(this.#wait(trouble.retryAfterMs));
    else this.#next.textContent = "";
  }

  /** Hides the message once something works or is being tried. */
  quiet() {
    this.#stop();
    this.#box.hidden = true;
  }

  /** Resets the backoff, since everything works again. */
  recovered() {
    this.#failures = 0;
    this.quiet();
  }

  /**
   * Returns the server's `Retry-After`, or a randomised wait that doubles each time, so that many
   * pages don't return at once.
   */
  #wait(retryAfterMs: number | null): number {
    const grown = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#failures);
    this.#failures += 1;
    return Math.min(LONGEST_WAIT_MS, Math.max(retryAfterMs ?? 0, grown * (0.75 + 0.5 * Math.random())));
  }

  #countDown(ms: number) {
    const end = performance.now() + ms;
    const tick = () => {
      const left = end - performance.now();
      if (left <= 0) return this.#try();
      this.#next.textContent = `Trying again in ${Math.ceil(left / 1000)} s.`;
      this.#ticking = window.setTimeout(tick, Math.min(left, 250));
    };
    tick();
  }

  #try() {
    this.quiet();
    this.#again();
  }

  #stop() {
    clearTimeout(this.#ticking);
  }
}
