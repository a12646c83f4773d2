// Form of a loan application: one row per field, with words beside a number that is not right.
import { make } from "../dom";
import { EXAMPLES, FIELDS, type Field, START } from "../fields";
import { count } from "../format";

export interface ApplicationEvents {
  /** A number was changed. */
  changed(): void;
  /** All numbers are right, and the visitor wants them scored. */
  submitted(numbers: Record<string, number>): void;
  /** The visitor wants them scored, but so many are not right. */
  refused(problems: number): void;
}

interface Row {
  field: Field;
  input: HTMLInputElement;
  hint: HTMLElement;
}

export class Application {
  #rows: Row[];
  #events: ApplicationEvents;

  constructor(form: HTMLFormElement, events: ApplicationEvents) {
    this.#events = events;
    this.#rows = FIELDS.map((field) => this.#row(form, field));
    this.reset();
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    for (const button of form.ownerDocument.querySelectorAll<HTMLButtonElement>("[data-example]")) {
      const numbers = EXAMPLES[button.dataset.example as keyof typeof EXAMPLES];
      button.addEventListener("click", () => {
        this.#fill(numbers);
        this.#events.changed();
        this.#submit();
      });
    }
  }

  /** Returns the numbers in the order of the fields; null where there is none that is right. */
  numbers(): (number | null)[] {
    return this.#rows.map(({ field, input }) => {
      const parsed = parse(input.value, field);
      return typeof parsed === "number" ? parsed : null;
    });
  }

  reset() {
    this.#fill(START);
  }

  #fill(numbers: readonly number[]) {
    this.#rows.forEach((row, i) => {
      row.input.value = String(numbers[i]);
      check(row);
    });
  }

  #submit() {
    const wrong = this.#rows.filter((row) => !check(row));
    wrong[0]?.input.focus();
    if (wrong.length > 0) return this.#events.refused(wrong.length);
    const numbers = this.numbers().map((value, i) => [FIELDS[i]!.name, value] as [string, number]);
    this.#events.submitted(Object.fromEntries(numbers));
  }

  /** Adds the row of a field to the form. */
  #row(form: HTMLFormElement, field: Field): Row {
    const row = make("div", "field");
    const label = make("label", "", field.label);
    const input = make("input", "");
    input.id = label.htmlFor = `field-${field.name}`;
    input.type = "text";
    input.inputMode = "numeric";
    input.autocomplete = "off";
    const hint = make("p", "field-hint");
    hint.id = `${input.id}-hint`;
    input.setAttribute("aria-describedby", hint.id);
    const made = { field, input, hint };
    input.addEventListener("input", () => {
      // A number that is being typed isn't wrong yet, but one that was wrong may be right now.
      if (input.getAttribute("aria-invalid") === "true") check(made);
      this.#events.changed();
    });
    input.addEventListener("change", () => check(made));
    row.append(label, hint, input);
    form.append(row);
    return made;
  }
}

/** Says whether a row's number is right, and shows what is wrong with it. */
function check({ field, input, hint }: Row): boolean {
  const parsed = parse(input.value, field);
  const isRight = typeof parsed === "number";
  input.setAttribute("aria-invalid", String(!isRight));
  hint.textContent = isRight ? range(field) : parsed;
  return isRight;
}

/** Formats a field's range: "€800 to 12,000", "6 to 84 months" */
function range({ unit, min, max }: Field): string {
  const numbers = `${count(min)} to ${count(max)}`;
  return unit === "€" ? `€${numbers}` : `${numbers} ${unit}`.trim();
}

/** Returns the number that a text means, or what is wrong with it. Thousands may be grouped. */
function parse(text: string, { min, max }: Field): number | string {
  const digits = text.trim().replace(/(?<=\d)[,\u00a0\u202f ’'](?=\d{3}(?!\d))/g, "");
  if (digits === "") return "Enter a number";
  if (!/^\d{1,9}$/.test(digits)) return "Enter a whole number";
  const value = Number(digits);
  if (value < min) return `At least ${count(min)}`;
  return value > max ? `At most ${count(max)}` : value;
}
