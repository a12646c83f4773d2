// What the page's demos have in common: each has inputs and results of its own, and they share the
// session, the key and what the server sees.
import type { Answer, Input, KeyFacts, ModelFacts } from "../messages";
import type { Words } from "../panels/status";
import type { Session } from "../session";
import type { Status } from "../panels/status";

export interface Demo {
  /** Model that the demo uses; null before the server's models are known. */
  readonly model: string | null;
  readonly words: Words;
  models(all: ModelFacts[]): void;
  /** The model in use has a key. */
  keyed(): void;
  /** Returns what the visitor wants scored, if anything. */
  input(): Input | null;
  /** Shows an answer, and returns it as a sentence. */
  answer(answer: Answer): string;
  /** Takes the answer away. */
  clear(): void;
  /** Removes what the visitor has entered. */
  wipe(): void;
  /** The visitor has come to the demo, and its model is in use. */
  opened(): void;
  left(): void;
}

/** Parts of the page that the demos share. */
export interface Page {
  readonly session: Session;
  readonly status: Status;
  /** Keys by model. */
  readonly keys: ReadonlyMap<string, KeyFacts>;
  /** Switches to a model, and scores what there is to score. */
  use(model: string | null): void;
  /** Takes away the answer, and all that was shown with it. */
  takeAwayAnswer(): void;
}
