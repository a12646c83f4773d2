// The choice between the server's models.
import { byId, make } from "./dom";
import { percent, size } from "./format";
import type { ModelFacts, Phase } from "./messages";

/** What distinguishes a model: "Handwritten digits, neural network" is a neural network. */
export function short(title: string): string {
  const part = title.slice(title.indexOf(",") + 1).trim();
  return part.charAt(0).toUpperCase() + part.slice(1);
}

export class ModelChoice {
  #field = byId("models");
  #notes = new Map<string, HTMLElement>();
  #facts = new Map<string, ModelFacts>();
  #chosen: (model: string) => void;

  /** `chosen` hears of the visitor's choices only. */
  constructor(chosen: (model: string) => void) {
    this.#chosen = chosen;
  }

  show(models: ModelFacts[], used: string | null) {
    this.#field.hidden = models.length < 2;
    this.#field.querySelectorAll("label").forEach((label) => label.remove());
    for (const model of models) {
      this.#facts.set(model.name, model);
      const label = make("label", "model");
      const radio = make("input", "");
      radio.type = "radio";
      radio.name = "model";
      radio.value = model.name;
      radio.checked = model.name === used;
      radio.addEventListener("change", () => this.#chosen(model.name));
      const title = make("span", "model-title");
      title.textContent = short(model.title);
      const note = make("span", "model-note");
      this.#notes.set(model.name, note);
      label.append(radio, title, note);
      this.#field.append(label);
      this.note(model.name);
    }
  }

  /** The facts of a model. */
  of(model: string | null): ModelFacts | undefined {
    return model === null ? undefined : this.#facts.get(model);
  }

  /** The most accurate model with another key than `used`, to be prepared while that one is in use. */
  better(used: string | null): ModelFacts | undefined {
    const accuracy = (model: ModelFacts | undefined) => model?.accuracy ?? 0;
    const others = [...this.#facts.values()].filter((model) => model.parameterSet !== this.of(used)?.parameterSet);
    const best = others.sort((a, b) => accuracy(b) - accuracy(a))[0];
    return accuracy(best) > accuracy(this.of(used)) ? best : undefined;
  }

  select(model: string) {
    for (const radio of this.#field.querySelectorAll("input")) radio.checked = radio.value === model;
  }

  progress(model: string, phase: Phase, fraction: number) {
    this.note(model, `${phase === "generate" ? "making its key" : "uploading its key"}: ${Math.floor(100 * fraction)}\u00a0%`);
  }

  /** Writes beside a model, or what there is to know about it. */
  note(model: string, text?: string) {
    const [note, facts] = [this.#notes.get(model), this.#facts.get(model)];
    if (!note || !facts) return;
    const accuracy = facts.accuracy === null ? "" : `${percent(facts.accuracy)} right, `;
    note.textContent = text ?? `${accuracy}key of ${size(facts.publicKeyBytes)}`;
  }
}
