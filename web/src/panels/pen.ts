// Drawing with the keyboard: arrow keys move the pen, Space lowers or lifts it, U undoes, Delete
// clears.
import type { DrawingSheet } from "./drawing";

const STEP = 1 / 28;
const MOVES: Record<string, [number, number]> = {
  ArrowLeft: [-STEP, 0],
  ArrowRight: [STEP, 0],
  ArrowUp: [0, -STEP],
  ArrowDown: [0, STEP],
};

export interface PenEvents {
  clear(): void;
  undo(): void;
}

export class KeyboardPen {
  #sheet: DrawingSheet;
  #cursor: HTMLElement;
  #x = 0.5;
  #y = 0.25;
  #isDown = false;

  constructor(canvas: HTMLCanvasElement, cursor: HTMLElement, sheet: DrawingSheet, events: PenEvents) {
    this.#sheet = sheet;
    this.#cursor = cursor;
    canvas.addEventListener("keydown", (event) => {
      const move = MOVES[event.key];
      if (event.ctrlKey || event.altKey || event.metaKey) return;
      if (move) this.#go(...move);
      else if (event.key === " ") this.#toggle();
      else if (event.key === "Delete" || event.key === "Backspace") {
        this.#lift();
        events.clear();
      } else if (event.key === "u" || event.key === "U") {
        this.#lift();
        events.undo();
      } else return;
      event.preventDefault();
    });
    canvas.addEventListener("blur", () => {
      this.#lift();
      cursor.hidden = true;
    });
    canvas.addEventListener("pointerdown", () => {
      this.#lift();
      cursor.hidden = true;
    });
  }

  #go(dx: number, dy: number) {
    this.#x = Math.min(1, Math.max(0, this.#x + dx));
    this.#y = Math.min(1, Math.max(0, this.#y + dy));
    if (this.#isDown) this.#sheet.extend(this.#x, this.#y);
    this.#show();
  }

  #toggle() {
    if (this.#isDown) this.#lift();
    else {
      this.#isDown = true;
      this.#sheet.begin(this.#x, this.#y);
    }
    this.#show();
  }

  #lift() {
    if (!this.#isDown) return;
    this.#isDown = false;
    this.#sheet.end();
    this.#show();
  }

  #show() {
    this.#cursor.hidden = false;
    this.#cursor.classList.toggle("down", this.#isDown);
    this.#cursor.style.left = `${100 * this.#x}%`;
    this.#cursor.style.top = `${100 * this.#y}%`;
  }
}
