// Duration of each step, as text and as bars on one scale.
import { byId, make } from "../dom";
import { duration } from "../format";
import type { Answer, KeyFacts } from "../messages";

type Step = "keys" | "encrypt" | "network" | "score" | "decrypt";

export class Timings {
  #cells = new Map<Step, HTMLElement>();
  #bars = new Map<Step, HTMLElement>();

  constructor() {
    for (const cell of byId("timings").querySelectorAll<HTMLElement>("[data-timing]")) {
      const step = cell.dataset.timing as Step;
      this.#cells.set(step, cell);
      if (step === "keys") continue;
      const track = make("dd", "span");
      const bar = make("span", "");
      track.setAttribute("aria-hidden", "true");
      track.append(bar);
      cell.after(track);
      this.#bars.set(step, bar);
    }
  }

  keys({ generated, uploaded, keygenMs, uploadMs }: KeyFacts) {
    if (!uploaded) return this.#write("keys", "kept from an earlier visit");
    if (!generated) return this.#write("keys", "made again");
    this.#write("keys", `${duration(keygenMs)}, upload ${duration(uploadMs)}`);
  }

  show({ timings }: Answer) {
    const { encryptMs, requestMs, serverMs, decryptMs } = timings;
    const steps: [Step, number | null][] = [
      ["encrypt", encryptMs],
      ["network", Math.max(0, requestMs - (serverMs ?? 0))],
      ["score", serverMs],
      ["decrypt", decryptMs],
    ];
    const longest = Math.max(...steps.map(([, ms]) => ms ?? 0), Number.MIN_VALUE);
    for (const [step, ms] of steps) {
      this.#write(step, ms === null ? "not reported" : duration(ms));
      this.#bars.get(step)!.style.width = `${(100 * (ms ?? 0)) / longest}%`;
    }
  }

  clear() {
    for (const [step, bar] of this.#bars) {
      this.#write(step, "–");
      bar.style.width = "0";
    }
  }

  forgetKeys() {
    this.#write("keys", "–");
  }

  #write(step: Step, text: string) {
    this.#cells.get(step)!.textContent = text;
  }
}
