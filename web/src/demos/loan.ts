// Demo of loans: a form, the trees that score it, the probability that the loan is not repaid.
import { LOAN_MODEL } from "../fields";
import { byId } from "../dom";
import { percent } from "../format";
import type { Answer, Input, ModelFacts } from "../messages";
import { Application } from "../panels/application";
import { Bits } from "../panels/bits";
import { Risk } from "../panels/risk";
import type { Demo, Page } from "./demo";

export class LoanDemo implements Demo {
  readonly model = LOAN_MODEL;
  readonly words = { ready: "Fill in the form, or take an example.", scoring: "Scoring the encrypted application" };
  #page: Page;
  #form: Application;
  #bits = new Bits(byId("bits"), byId("grid"));
  #risk = new Risk();
  /** Numbers that were handed in, until one of them changes. */
  #asked: Record<string, number> | null = null;

  constructor(page: Page) {
    this.#page = page;
    this.#form = new Application(byId<HTMLFormElement>("application"), {
      changed: () => this.#changed(),
      submitted: (numbers) => this.#submit(numbers),
      refused: (problems) => page.status.say(problems === 1 ? "One number is not right yet." : `${problems} numbers are not right yet.`),
    });
    this.#bits.show(this.#form.numbers());
  }

  models(all: ModelFacts[]) {
    const model = all.find(({ name }) => name === LOAN_MODEL);
    if (!model) return;
    this.#risk.precision(model.scoreError);
    this.#bits.grid(model.grid, model.features);
    this.#bits.show(this.#form.numbers());
  }

  keyed() {}

  input(): Input | null {
    return this.#asked && { application: this.#asked };
  }

  answer({ probabilities, scores }: Answer): string {
    const probability = probabilities[1] ?? 0;
    this.#risk.show(probability, scores[0] ?? 0);
    return `Not repaid with a probability of ${percent(probability)}`;
  }

  clear() {
    this.#risk.clear();
  }

  wipe() {
    this.#asked = null;
    this.#form.reset();
    this.#bits.show(this.#form.numbers());
  }

  opened() {}

  left() {}

  #changed() {
    this.#bits.show(this.#form.numbers());
    this.#page.status.notice("");
    if (this.#asked === null) return;
    this.#asked = null;
    // The answer was to other numbers.
    this.#page.takeAwayAnswer();
    this.#page.session.cancel();
  }

  #submit(numbers: Record<string, number>) {
    this.#asked = numbers;
    this.#page.takeAwayAnswer();
    this.#page.session.score({ application: numbers });
  }
}
