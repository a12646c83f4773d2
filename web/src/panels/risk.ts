// Decrypted answer to a loan application: a probability, as a number, a bar and words.
import { byId } from "../dom";
import { DEFAULT_RATE } from "../fields";
import { percent, signed } from "../format";

/** Deviations of the noise within which an answer is all but certainly. */
const DEVIATIONS = 6;

export class Risk {
  #number = byId("risk");
  #words = byId("risk-words");
  #meter = byId("risk-meter");
  #fill = byId("risk-fill");
  #details = byId("risk-details");
  #scoreError = 0;

  constructor() {
    byId("risk-usual").style.insetInlineStart = `${100 * DEFAULT_RATE}%`;
    byId("risk-usual-text").textContent = percent(DEFAULT_RATE);
    this.clear();
  }

  /** Takes the standard deviation of a score's error. */
  precision(scoreError: number) {
    this.#scoreError = scoreError;
  }

  show(probability: number, score: number) {
    this.#number.textContent = percent(probability);
    this.#words.textContent = meaning(probability);
    this.#meter.setAttribute("aria-valuenow", (100 * probability).toFixed(1));
    this.#meter.setAttribute("aria-valuetext", percent(probability));
    this.#fill.style.width = `${100 * probability}%`;
    // The slope of the logistic function turns a score's error into a probability's.
    const error = DEVIATIONS * this.#scoreError * probability * (1 - probability);
    this.#details.textContent = `Score ${signed(score)}. Encryption moved the probability by at most ${(100 * error).toFixed(2)} points.`;
  }

  clear() {
    this.#number.textContent = "";
    this.#words.textContent = "no answer yet";
    this.#meter.setAttribute("aria-valuenow", "0");
    this.#meter.setAttribute("aria-valuetext", "no answer yet");
    this.#fill.style.width = "0";
    this.#details.textContent = "";
  }
}

/** Says in words what a probability means: its odds, and how it compares with the usual one. */
function meaning(probability: number): string {
  const ratio = probability / DEFAULT_RATE;
  const often = probability >= 0.5 ? `${Math.min(9, Math.round(10 * probability))} in 10` : `1 in ${Math.round(1 / Math.max(probability, 1e-3))}`;
  const compared = ratio < 0.8 ? "fewer than usual" : ratio > 1.25 ? "more than usual" : "about as many as usual";
  return `Of such loans, about ${often} ${often.startsWith("1 ") ? "is" : "are"} not repaid: ${compared}.`;
}
