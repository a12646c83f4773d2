// A visitor's session with the worker. Only the newest request counts; older ones are cancelled.
import type { Answer, FromWorker, Input, KeyFacts, ModelFacts, Phase, Sent, ToWorker, Trouble } from "./messages";

export type State = "preparing" | "ready" | "scoring" | "answered" | "error";

export interface Listener {
  state(state: State): void;
  /** Progress of the model in use, or of one that is being prepared in the background. */
  progress(model: string, phase: Phase, fraction: number): void;
  models(models: ModelFacts[]): void;
  keys(model: string, keys: KeyFacts): void;
  warmed(model: string): void;
  cooled(model: string): void;
  sent(sent: Sent): void;
  took(model: string, ms: number): void;
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
  #model: string | null;
  #keyed = new Set<string>();
  #wantsAnswer = false;
  #forgetting = false;

  /** Starts with this model, or with the server's first digit model. */
  constructor(model: string | null, listener: Listener) {
    this.#model = model;
    this.#listener = listener;
    this.#worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    this.#worker.addEventListener("message", ({ data }: MessageEvent<FromWorker>) => this.#hear(data));
    this.#worker.addEventListener("error", (event) => {
      event.preventDefault();
      const message = event.message || "The worker did not start.";
      this.#fail({ code: "worker", recovery: "none", message, retryAfterMs: null });
    });
  }

  get state(): State {
    return this.#state;
  }

  /** Name of the model in use, once the server's models are known. */
  get model(): string | null {
    return this.#model;
  }

  /** Whether the newest request is to forget everything. */
  get forgetting(): boolean {
    return this.#forgetting;
  }

  /** Makes keys before the first query. */
  prepare() {
    this.#wantsAnswer = false;
    this.#enter("preparing");
    this.#say({ type: "prepare", id: this.#next(), model: this.#model });
  }

  /** Switches to another model, or to the server's first digit model. */
  use(model: string | null) {
    this.#model = model;
    this.#say({ type: "cancel" });
    this.prepare();
  }

  /** Makes another model's keys in the background. */
  warm(model: string) {
    this.#say({ type: "warm", model });
  }

  /** Stops making keys in the background. */
  cool() {
    this.#say({ type: "cool" });
  }

  /** Scores an input in place of any older one. */
  score(input: Input) {
    this.#wantsAnswer = true;
    this.#enter(this.#model !== null && this.#keyed.has(this.#model) ? "scoring" : "preparing");
    const transferred = "drawing" in input ? [input.drawing.pixels.buffer] : [];
    this.#say({ type: "score", id: this.#next(), model: this.#model, input }, transferred);
  }

  /** Drops the current request. */
  cancel() {
    const preparing = this.#state === "preparing";
    this.#wantsAnswer = false;
    this.#say({ type: "cancel" });
    if (preparing) this.prepare();
    else {
      this.#next();
      this.#enter("ready");
    }
  }

  /** Deletes the keys here and on the server. */
  forget() {
    this.#wantsAnswer = false;
    const id = this.#next();
    this.#forgetting = true;
    this.#say({ type: "forget", id });
  }

  #next(): number {
    this.#forgetting = false;
    return ++this.#newest;
  }

  #say(message: ToWorker, transfer: Transferable[] = []) {
    this.#worker.postMessage(message, transfer);
  }

  #enter(state: State) {
    this.#state = state;
    this.#listener.state(state);
  }

  #fail(trouble: Trouble) {
    this.#enter("error");
    this.#listener.failed(trouble);
  }

  #hear(message: FromWorker) {
    if ("id" in message && message.id !== this.#newest) return;
    switch (message.type) {
      case "models":
        this.#model ??= message.models.find(({ demo }) => demo === "digit")?.name ?? null;
        return this.#listener.models(message.models);
      case "progress":
        return this.#listener.progress(message.model, message.phase, message.fraction);
      case "keys":
        this.#keyed.add(message.model);
        this.#listener.keys(message.model, message.keys);
        if (this.#wantsAnswer && message.model === this.#model) this.#enter("scoring");
        return;
      case "warmed":
        return this.#listener.warmed(message.model);
      case "cooled":
        return this.#listener.cooled(message.model);
      case "sent":
        return this.#listener.sent(message.sent);
      case "took":
        return this.#listener.took(message.model, message.ms);
      case "prepared":
        return this.#enter("ready");
      case "answer":
        this.#enter("answered");
        return this.#listener.answer(message.answer);
      case "blank":
        this.#enter("ready");
        return this.#listener.blank();
      case "forgotten":
        this.#keyed.clear();
        this.#forgetting = false;
        this.#enter("ready");
        return this.#listener.forgotten();
      case "failed":
        return this.#fail(message.trouble);
    }
  }
}
