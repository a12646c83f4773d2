// Answer, and the ten scores as bars.
import { byId, make } from "../dom";
import { percent, signed } from "../format";
import type { Answer } from "../messages";

interface Bar {
  row: HTMLElement;
  fill: HTMLElement;
  probability: HTMLElement;
  score: HTMLElement;
}

export class Scores {
  #answer = byId("answer");
  #confidence = byId("confidence");
  #verdict = byId("verdict");
  #container = byId("bars");
  #bars: Bar[] = [];

  constructor(labels: string[]) {
    this.label(labels);
    this.clear();
  }

  /** Makes one bar per label. */
  label(labels: string[]) {
    if (labels.join() === this.#bars.map((bar) => bar.row.dataset.label).join()) return;
    this.#bars = labels.map((label) => {
      const row = make("div", "bar");
      row.dataset.label = label;
      row.setAttribute("role", "meter");
      row.setAttribute("aria-label", label);
      row.setAttribute("aria-valuemin", "0");
      row.setAttribute("aria-valuemax", "100");
      const track = make("span", "track");
      const fill = make("span", "fill");
      const probability = make("span", "probability");
      const score = make("span", "score");
      track.append(fill);
      row.append(make("span", "label", label), track, probability, score);
      return { row, fill, probability, score };
    });
    this.#container.replaceChildren(...this.#bars.map((bar) => bar.row));
  }

  /** Shows an answer, with a verdict if the right one is known. */
  show(answer: Answer, verdict: string) {
    this.#answer.textContent = answer.label ?? "?";
    this.#verdict.textContent = verdict;
    this.#verdict.hidden = verdict === "";
    this.#confidence.textContent = confidence(answer);
    this.#bars.forEach((bar, i) => {
      if (answer.probabilities.length === 0) {
        this.#bit(bar, i === answer.index);
        return;
      }
      const probability = answer.probabilities[i] ?? 0;
      const score = answer.scores[i] ?? 0;
      bar.row.classList.toggle("best", i === answer.index);
      bar.row.setAttribute("aria-valuenow", (100 * probability).toFixed(1));
      bar.row.setAttribute("aria-valuetext", `${percent(probability)}, score ${signed(score)}`);
      bar.fill.style.width = `${100 * probability}%`;
      bar.probability.textContent = percent(probability);
      bar.score.textContent = signed(score);
    });
  }

  /** Shows a bit in place of a score. */
  #bit({ row, fill, probability, score }: Bar, isSet: boolean) {
    row.classList.toggle("best", isSet);
    row.setAttribute("aria-valuenow", isSet ? "100" : "0");
    row.setAttribute("aria-valuetext", isSet ? "this digit" : "not this digit");
    fill.style.width = isSet ? "100%" : "0";
    probability.textContent = isSet ? "yes" : "no";
    score.textContent = "";
  }

  clear() {
    this.#answer.textContent = "";
    this.#verdict.hidden = true;
    this.#confidence.textContent = "no answer yet";
    for (const bar of this.#bars) {
      bar.row.classList.remove("best");
      bar.row.setAttribute("aria-valuenow", "0");
      bar.row.setAttribute("aria-valuetext", "no score yet");
      bar.fill.style.width = "0";
      bar.probability.textContent = bar.score.textContent = "";
    }
  }
}

/** Returns how sure an answer is, in words. */
export function confidence({ label, index, probabilities }: Answer): string {
  if (label === null || index === null) return "too close to tell";
  if (probabilities.length === 0) return "only the digit left the server";
  return `probability ${percent(probabilities[index] ?? 0)}`;
}
