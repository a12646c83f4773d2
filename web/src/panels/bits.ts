// Bits that the form becomes: for each field, one for each public threshold that its number reaches.
import { make } from "../dom";
import { FIELDS } from "../fields";
import { count } from "../format";

/** Formats a threshold: "2,600". Many lie just below a number of the table. */
function threshold(edge: number): string {
  return count(Math.round(10 * edge) / 10 || 0);
}

export class Bits {
  #figure: HTMLElement;
  #list: HTMLElement;
  #rows: { cells: HTMLElement; edges: number[] }[];

  /** Shows bits in a figure, and the thresholds that they stand for in a list. */
  constructor(figure: HTMLElement, list: HTMLElement) {
    this.#figure = figure;
    this.#list = list;
    this.#rows = FIELDS.map((field) => {
      const cells = make("span", "cells");
      const row = make("div", "bits-row");
      row.append(make("span", "bits-name", field.short), cells);
      this.#figure.append(row);
      return { cells, edges: [] };
    });
  }

  /** Takes the thresholds of each field, and the number of bits that are encrypted. */
  grid(edges: number[][], bits: number) {
    this.#rows.forEach((row, i) => {
      row.edges = edges[i] ?? [];
      row.cells.replaceChildren(...row.edges.map(() => make("i", "")));
    });
    const terms = FIELDS.map((field, i) => {
      const entry = make("div", "");
      entry.append(make("dt", "", field.label), make("dd", "", (edges[i] ?? []).map((edge) => threshold(edge)).join("  ")));
      return entry;
    });
    this.#list.replaceChildren(...terms);
    for (const place of document.querySelectorAll("[data-bits]")) place.textContent = count(bits);
  }

  /** Shows the bits of numbers; none of a number that is not there. */
  show(numbers: (number | null)[]) {
    this.#rows.forEach(({ cells, edges }, i) => {
      // The model compares in single precision.
      const value = Math.fround(numbers[i] ?? Number.NEGATIVE_INFINITY);
      [...cells.children].forEach((cell, at) => {
        cell.classList.toggle("one", value > edges[at]!);
      });
    });
  }
}
