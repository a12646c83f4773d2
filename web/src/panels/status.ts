// Status line under the input, announcements for screen readers, and notices to the visitor.
import { byId } from "../dom";
import type { Phase } from "../messages";
import type { State } from "../session";

/** What the line says in a demo. */
export interface Words {
  /** What the visitor can do. */
  ready: string;
  scoring: string;
}

export class Status {
  words: Words = { ready: "", scoring: "" };
  #main = document.querySelector("main")!;
  #line = byId("status");
  #progress = byId<HTMLProgressElement>("progress");
  #notice = byId("notice");
  #announce = byId("announce");

  state(state: State) {
    const before = this.#main.dataset.state;
    this.#main.dataset.state = state;
    this.#progress.hidden = state !== "preparing";
    if (state === "preparing" && before !== "preparing") this.#preparing();
    if (state === "ready") this.#line.textContent = "Ready";
    if (state === "ready" && before === "preparing") this.say(`Ready. ${this.words.ready}`);
    if (state === "scoring") this.#line.textContent = this.words.scoring;
    if (state === "error") this.#line.textContent = "Not done yet";
  }

  progress(phase: Phase, fraction: number) {
    this.#line.textContent = phase === "generate" ? "Making your keys" : "Uploading your public key";
    this.#progress.value = fraction;
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

  /** Shows a notice until the next input. */
  notice(text: string) {
    this.#notice.textContent = text;
    this.#notice.hidden = text === "";
  }

  #preparing() {
    this.#line.textContent = "Preparing keys";
    this.#progress.removeAttribute("value");
  }
}
