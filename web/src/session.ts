// One visitor's conversation with the worker. Only the newest request counts; older ones are cancelled.
import type { Answer, Drawing, FromWorker, KeyFacts, ModelFacts, ToWorker, Trouble } from "./messages";

export type State = "preparing" | "ready" | "scoring" | "answered" | "error";

export interface Listener {
  state(state: State): void;
  progress(phase: "generate" | "upload", fraction: number): void;
  model(model: ModelFacts): void;
  keys(keys: KeyFacts): void;
  answer(answer: Answer): void;
  blank(): void;
  forgotten(): void;
  failed(trouble: Trouble): void;
}

export class Session {
  #worker: Worker;
  #listener: Listener;
  #state: State = "preparing";
  #newest = 0;
  #hasKeys = false;
  #wantsAnswer = false;

  constructor(listener: Listener) {
    this.#listener = listener;
    this.#worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    this.#worker.addEventListener("message", ({ data }: MessageEvent<FromWorker>) => this.#hear(data));
    this.#worker.addEventListener("error", (event) => {
      event.preventDefault();
      this.#fail({ code: "worker", recovery: "none", message: event.message || "The worker did not start." });
    });
  }

  get state(): State {
    return this.#state;
  }

  /** Makes keys ahead of the first drawing. */
  prepare() {
    this.#wantsAnswer = false;
    this.#enter("preparing");
    this.#say({ type: "prepare", id: ++this.#newest });
  }

  /** Scores a drawing, in place of any older one. */
  score(drawing: Drawing) {
    this.#wantsAnswer = true;
    this.#enter(this.#hasKeys ? "scoring" : "preparing");
    this.#say({ type: "score", id: ++this.#newest, drawing }, [drawing.pixels.buffer]);
  }

  /** Drops the request under way. */
  cancel() {
    const preparing = this.#state === "preparing";
    this.#wantsAnswer = false;
    this.#say({ type: "cancel" });
    if (preparing) this.prepare();
    else {
      this.#newest += 1;
      this.#enter("ready");
    }
  }

  /** Deletes the key, on the server and here. */
  forget() {
    this.#wantsAnswer = false;
    this.#say({ type: "forget", id: ++this.#newest });
  }

  #say(message: ToWorker, transfer: Transferable[] = []) {
    this.#worker.postMessage(message, transfer);
  }

  #enter(state: State) {
    this.#state = state;
    this.#listener.state(state);
  }

  #fail(trouble: Trouble) {
    this.#listener.failed(trouble);
    this.#enter("error");
  }

  #hear(message: FromWorker) {
    if ("id" in message && message.id !== this.#newest) return;
    switch (message.type) {
      case "model":
        return this.#listener.model(message.model);
      case "progress":
        return this.#listener.progress(message.phase, message.fraction);
      case "keys":
        this.#hasKeys = true;
        this.#listener.keys(message.keys);
        if (this.#wantsAnswer) this.#enter("scoring");
        return;
      case "prepared":
        return this.#enter("ready");
      case "answer":
        this.#listener.answer(message.answer);
        return this.#enter("answered");
      case "blank":
        this.#enter("ready");
        return this.#listener.blank();
      case "forgotten":
        this.#hasKeys = false;
        this.#enter("ready");
        return this.#listener.forgotten();
      case "failed":
        return this.#fail(message.trouble);
    }
  }
}
