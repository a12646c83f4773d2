// Demo of digits: a sheet to draw on, the models that read it, their ten scores.
import { byId } from "../dom";
import { percent, size } from "../format";
import { labelOnly } from "../models";
import type { Answer, Input, ModelFacts, Phase } from "../messages";
import { DrawingSheet } from "../panels/drawing";
import { type Example, Examples } from "../panels/examples";
import { ModelChoice, short } from "../panels/models";
import { KeyboardPen } from "../panels/pen";
import { confidence, Scores } from "../panels/scores";
import type { Demo, Page } from "./demo";

/**
 * Time between the last stroke and scoring: minimal where answers are fast, otherwise long enough
 * for another stroke.
 */
const PAUSE_MS = { fast: 40, slow: 250 };
/** Longest time of an answer that counts as fast. */
const FAST_MS = 60;

export class DigitDemo implements Demo {
  readonly words = { ready: "Draw a digit.", scoring: "Scoring the encrypted drawing" };
  #page: Page;
  #scores = new Scores([..."0123456789"]);
  #undo = byId<HTMLButtonElement>("undo");
  #choice: ModelChoice;
  #all: ModelFacts[] = [];
  /** Switch between all scores and only the digit. */
  #only = byId<HTMLInputElement>("only-label");
  #sheet: DrawingSheet;
  #model: string | null;
  /** Whether the page may change to a better model on its own. */
  #mayChange: boolean;
  #isOpen = false;
  /** Example on the sheet, if nothing was drawn on it. */
  #example: Example | null = null;
  #timer = 0;

  /** Starts with a model that the page then keeps, or with the server's first one. */
  constructor(page: Page, asked: string | null) {
    this.#page = page;
    this.#model = asked;
    this.#mayChange = asked === null;
    this.#choice = new ModelChoice({
      chosen: (model) => {
        this.#mayChange = false;
        this.#use(this.#served(model));
      },
      stopped: () => {
        this.#mayChange = false;
        page.session.cool();
        page.status.announce("Stopped. Choose the model to make its key.");
      },
    });
    this.#only.addEventListener("change", () => {
      this.#mayChange = false;
      const card = this.#card();
      if (card) this.#use(this.#served(card.name));
    });
    const canvas = byId<HTMLCanvasElement>("drawing");
    this.#sheet = new DrawingSheet(canvas, {
      started: () => {
        clearTimeout(this.#timer);
        this.#example = null;
        page.status.notice("");
        byId("hint").hidden = true;
        page.session.cancel();
      },
      finished: () => {
        this.#undo.disabled = false;
        this.#scoreSoon();
      },
    });
    new KeyboardPen(canvas, byId("pen"), this.#sheet, { clear: () => this.#clearSheet(), undo: () => this.#takeBack() });
    const title = (model: string) => short(this.#all.find(({ name }) => name === model)?.title ?? model);
    new Examples(byId("examples"), byId<HTMLButtonElement>("try-example"), title, (image, chosen) => {
      this.#sheet.show(image);
      this.#example = chosen;
    });
    byId("clear").addEventListener("click", () => this.#clearSheet());
    this.#undo.addEventListener("click", () => this.#takeBack());
    addEventListener("keydown", (event) => {
      if (!this.#isOpen || event.key !== "z" || event.shiftKey || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      this.#takeBack();
    });
  }

  get model(): string | null {
    return this.#model;
  }

  models(all: ModelFacts[]) {
    const digits = all.filter(({ demo }) => demo === "digit");
    this.#all = digits;
    this.#model ??= digits[0]?.name ?? null;
    const others = new Set(digits.map((model) => labelOnly(digits, model)?.name));
    const cards = digits.filter(({ name }) => !others.has(name));
    this.#only.checked = others.has(this.#model ?? "");
    this.#choice.show(cards, this.#card()?.name ?? this.#model);
    this.#describe();
  }

  keyed() {
    this.#prepareBetter();
  }

  input(): Input | null {
    return this.#sheet.blank ? null : { drawing: this.#sheet.ink() };
  }

  answer(answer: Answer): string {
    const verdict = this.#example === null ? "" : judge(answer.label, this.#example.label);
    this.#scores.show(answer, verdict);
    const reading = answer.label === null ? "No digit" : `Read as ${answer.label}`;
    return [`${reading}, ${confidence(answer)}`, verdict].filter(Boolean).join(". ");
  }

  clear() {
    this.#scores.clear();
  }

  wipe() {
    this.#sheet.wipe();
    this.#forgetDrawing();
  }

  opened() {
    this.#isOpen = true;
    this.#prepareBetter();
  }

  /** Stops what goes on in the background: another demo's key is more urgent. */
  left() {
    this.#isOpen = false;
    clearTimeout(this.#timer);
    this.#page.session.cool();
  }

  /** Keeps the model from now on. */
  keepModel() {
    clearTimeout(this.#timer);
    this.#mayChange = false;
  }

  warming(model: string, phase: Phase, fraction: number) {
    this.#choice.warming(model, phase, fraction);
  }

  warmed(model: string) {
    this.#choice.settled(model);
    this.#change(model);
  }

  cooled(model: string) {
    this.#choice.settled(model);
  }

  took(model: string, ms: number) {
    this.#choice.took(model, ms);
  }

  /** Returns the card of the model in use: its own, or that of the model whose scores it doesn't send. */
  #card(): ModelFacts | undefined {
    const used = this.#all.find(({ name }) => name === this.#model);
    return used?.labelOnly ? (this.#all.find((model) => labelOnly(this.#all, model) === used) ?? used) : used;
  }

  /** Returns the model to ask if a card is chosen, as the switch says. */
  #served(card: string): string {
    const facts = this.#all.find(({ name }) => name === card);
    const only = facts && this.#only.checked ? labelOnly(this.#all, facts) : undefined;
    return only?.name ?? card;
  }

  #use(model: string) {
    this.#model = model;
    this.#describe();
    this.#page.use(model);
  }

  /** Changes to a better model that is ready, unless the visitor has chosen one. */
  #change(model: string) {
    if (!this.#mayChange || !this.#isOpen) return;
    this.#mayChange = false;
    this.#choice.select(model);
    this.#use(model);
    this.#page.status.announce(`${short(this.#choice.of(model)?.title ?? model)}: ready, and in use now.`);
  }

  /** Prepares the best model in the background, unless the visitor wants to save data. */
  #prepareBetter() {
    const { keys, session } = this.#page;
    // The model in use comes first.
    if (!this.#mayChange || !this.#isOpen || this.#model === null || !keys.has(this.#model)) return;
    const better = this.#choice.better(this.#model);
    const { connection } = navigator as Navigator & { connection?: { saveData?: boolean } };
    if (!better || connection?.saveData) return;
    if (keys.has(better.name)) return this.#change(better.name);
    this.#choice.warming(better.name, "generate", 0);
    session.warm(better.name);
  }

  /** Shows facts about the model in use. */
  #describe() {
    const model = this.#all.find(({ name }) => name === this.#model);
    const card = this.#card();
    if (!model || !card) return;
    this.#scores.label(model.labels);
    const only = labelOnly(this.#all, card);
    byId("only").hidden = !only;
    if (only) byId("only-note").textContent = `no scores, nor how sure it is; with a ${size(only.publicKeyBytes)} key of its own`;
    for (const element of document.querySelectorAll<HTMLElement>("[data-answer]")) {
      element.hidden = (element.dataset.answer === "label") !== model.labelOnly;
    }
    const line = byId("accuracy");
    line.hidden = model.accuracy === null;
    if (model.accuracy !== null) {
      line.textContent = `The model reads ${percent(model.accuracy)} of MNIST’s test digits correctly, so it will misread some of yours.`;
    }
  }

  #scoreSoon() {
    clearTimeout(this.#timer);
    const fast = (this.#choice.time(this.#model) ?? 0) <= FAST_MS;
    const score = () => this.#page.session.score({ drawing: this.#sheet.ink() });
    this.#timer = window.setTimeout(score, fast ? PAUSE_MS.fast : PAUSE_MS.slow);
  }

  /** Removes everything that comes from a drawing. */
  #forgetDrawing() {
    clearTimeout(this.#timer);
    this.#example = null;
    this.#page.takeAwayAnswer();
    this.#page.status.notice("");
    byId("hint").hidden = false;
    this.#undo.disabled = !this.#sheet.undoable;
  }

  #clearSheet() {
    this.#sheet.clear();
    this.#forgetDrawing();
    this.#page.session.cancel();
  }

  #takeBack() {
    if (!this.#sheet.undoable) return;
    this.#sheet.undo();
    this.#forgetDrawing();
    this.#page.session.cancel();
    if (this.#sheet.blank) return this.#page.status.announce("The sheet is empty.");
    byId("hint").hidden = true;
    this.#scoreSoon();
  }
}

/** Compares an answer with the example's label. */
function judge(answer: string | null, label: string): string {
  return answer === label ? `Right: MNIST calls it a ${label}` : `Wrong: MNIST calls it a ${label}`;
}
