// Choice between the server's models.
import { byId, make } from "../dom";
import { duration, percent, size } from "../format";
import type { ModelFacts, Phase } from "../messages";

/**
 * Returns the distinctive part of a title: "Neural network" for "Handwritten digits, neural
 * network".
 */
export function short(title: string): string {
  const part = title.slice(title.indexOf(",") + 1).trim();
  return part.charAt(0).toUpperCase() + part.slice(1);
}

export interface ModelEvents {
  /** The visitor chose a model. */
  chosen(model: string): void;
  /** The visitor stopped the key generation in the background. */
  stopped(): void;
}

interface Card {
  facts: ModelFacts;
  radio: HTMLInputElement;
  note: HTMLElement;
  stop: HTMLButtonElement;
}

export class ModelChoice {
  #field = byId("models");
  #cards = new Map<string, Card>();
  /** Duration of each model's last answer. */
  #times = new Map<string, number>();
  #events: ModelEvents;

  constructor(events: ModelEvents) {
    this.#events = events;
  }

  show(models: ModelFacts[], used: string | null) {
    this.#field.hidden = models.length < 2;
    for (const card of this.#field.querySelectorAll(".model")) card.remove();
    this.#cards.clear();
    for (const facts of models) {
      this.#cards.set(facts.name, this.#card(facts, facts.name === used));
      this.note(facts.name);
    }
  }

  /** Returns the facts about a model. */
  of(model: string | null): ModelFacts | undefined {
    return model === null ? undefined : this.#cards.get(model)?.facts;
  }

  /**
   * Returns the most accurate model with another key than `used`, to be prepared in the background.
   */
  better(used: string | null): ModelFacts | undefined {
    const accuracy = (model: ModelFacts | undefined) => model?.accuracy ?? 0;
    const all = [...this.#cards.values()].map(({ facts }) => facts);
    const others = all.filter((model) => model.parameterSet !== this.of(used)?.parameterSet);
    const best = others.sort((a, b) => accuracy(b) - accuracy(a))[0];
    return accuracy(best) > accuracy(this.of(used)) ? best : undefined;
  }

  select(model: string) {
    for (const [name, { radio }] of this.#cards) radio.checked = name === model;
  }

  took(model: string, ms: number) {
    this.#times.set(model, ms);
    const card = this.#cards.get(model);
    if (card?.stop.hidden) this.note(model);
  }

  /** Returns the duration of the model's last answer, if there was one. */
  time(model: string | null): number | undefined {
    return model === null ? undefined : this.#times.get(model);
  }

  /** Shows the progress of a model's key in the background. */
  warming(model: string, phase: Phase, fraction: number) {
    const doing = phase === "generate" ? "making its key" : "uploading its key";
    this.note(model, `${doing}: ${Math.floor(100 * fraction)}\u00a0%`);
    const card = this.#cards.get(model);
    if (card) card.stop.hidden = false;
  }

  /** Shows that the work on a model's key in the background has ended. */
  settled(model: string) {
    const card = this.#cards.get(model);
    if (!card) return;
    if (document.activeElement === card.stop) card.radio.focus();
    card.stop.hidden = true;
    this.note(model);
  }

  /** Shows a text beside a model, or by default the facts about it. */
  note(model: string, text?: string) {
    const card = this.#cards.get(model);
    if (!card) return;
    const { accuracy, publicKeyBytes } = card.facts;
    const time = this.#times.get(model);
    const parts = [accuracy === null ? "" : `${percent(accuracy)} right`, `${size(publicKeyBytes)} key`, time === undefined ? "" : duration(time)];
    card.note.textContent = text ?? parts.filter(Boolean).join(", ");
  }

  #card(facts: ModelFacts, checked: boolean): Card {
    const box = make("div", "model");
    const label = make("label", "");
    const radio = make("input", "");
    radio.type = "radio";
    radio.name = "model";
    radio.value = facts.name;
    radio.checked = checked;
    radio.addEventListener("change", () => this.#events.chosen(facts.name));
    const note = make("span", "model-note");
    label.append(radio, make("span", "model-title", short(facts.title)), note);
    const stop = make("button", "stop", "Stop");
    stop.type = "button";
    stop.hidden = true;
    stop.setAttribute("aria-label", `Stop making the key of ${short(facts.title)}`);
    stop.addEventListener("click", () => this.#events.stopped());
    box.append(label, stop);
    this.#field.append(box);
    return { facts, radio, note, stop };
  }
}
