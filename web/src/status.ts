// The line under the sheet, and what a screen reader hears.
import { advice } from "./advice";
import { byId } from "./dom";
import { percent } from "./format";
import type { Answer, Phase, Trouble } from "./messages";
import type { State } from "./session";

export class Status {
  #main = document.querySelector("main")!;
  #line = byId("status");
  #progress = byId<HTMLProgressElement>("progress");
  #trouble = byId("trouble");
  #announce = byId("announce");

  state(state: State) {
    const before = this.#main.dataset.state;
    this.#main.dataset.state = state;
    this.#progress.hidden = state !== "preparing";
    this.#trouble.hidden = state !== "error";
    if (state === "preparing") this.#preparing();
    if (state === "ready") this.#line.textContent = "Ready";
    if (state === "ready" && before === "preparing") this.say("Ready. Draw a digit.");
    if (state === "scoring") this.#line.textContent = "Scoring the encrypted drawing";
    if (state === "error") this.#line.textContent = "Something went wrong";
  }

  progress(phase: Phase, fraction: number) {
    this.#line.textContent = phase === "generate" ? "Making your keys" : "Uploading your public key";
    this.#progress.value = fraction;
  }

  answer(answer: Answer) {
    const probability = percent(answer.probabilities[answer.index] ?? 0);
    this.say(`Read as ${answer.label}, probability ${probability}`);
  }

  failed(trouble: Trouble) {
    byId("trouble-text").textContent = advice(trouble);
  }

  /** Shows a line and has it read aloud. */
  say(text: string) {
    this.#line.textContent = text;
    this.announce(text);
  }

  /** Has a line read aloud. */
  announce(text: string) {
    this.#announce.textContent = text;
  }

  #preparing() {
    this.#line.textContent = "Preparing keys";
    this.#progress.removeAttribute("value");
  }
}
