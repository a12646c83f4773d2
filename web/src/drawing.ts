// The sheet that a person draws on. Ink is the alpha channel, so the paper's colour is the style sheet's business.
import type { Drawing } from "./messages";

/** Pen width as a fraction of the sheet: about the stroke of an MNIST digit. */
const PEN = 0.08;

interface Point {
  x: number;
  y: number;
}

export interface DrawingEvents {
  /** A stroke begins. */
  started(): void;
  /** A stroke is done. */
  finished(): void;
}

export class DrawingSheet {
  #canvas: HTMLCanvasElement;
  #context: CanvasRenderingContext2D;
  #events: DrawingEvents;
  #pointer: number | null = null;
  #last: Point = { x: 0, y: 0 };
  #middle: Point = { x: 0, y: 0 };
  #blank = true;

  constructor(canvas: HTMLCanvasElement, events: DrawingEvents) {
    this.#canvas = canvas;
    this.#events = events;
    this.#context = canvas.getContext("2d", { willReadFrequently: true })!;
    this.#context.lineCap = this.#context.lineJoin = "round";
    this.#context.lineWidth = PEN * canvas.width;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#up(event));
    canvas.addEventListener("pointercancel", (event) => this.#up(event));
  }

  get blank(): boolean {
    return this.#blank;
  }

  /** Puts the pen down; the position is a fraction of the sheet. */
  begin(x: number, y: number) {
    this.#events.started();
    this.#blank = false;
    this.#last = this.#middle = this.#scaled(x, y);
    this.#context.beginPath();
    this.#context.arc(this.#last.x, this.#last.y, this.#context.lineWidth / 2, 0, 2 * Math.PI);
    this.#context.fill();
  }

  /** Draws on from the last position: a curve through the middles of the segments, smooth at every joint. */
  extend(x: number, y: number) {
    const next = this.#scaled(x, y);
    const middle = { x: (this.#last.x + next.x) / 2, y: (this.#last.y + next.y) / 2 };
    this.#context.beginPath();
    this.#context.moveTo(this.#middle.x, this.#middle.y);
    this.#context.quadraticCurveTo(this.#last.x, this.#last.y, middle.x, middle.y);
    this.#context.stroke();
    this.#last = next;
    this.#middle = middle;
  }

  /** Lifts the pen. */
  end() {
    this.#context.beginPath();
    this.#context.moveTo(this.#middle.x, this.#middle.y);
    this.#context.lineTo(this.#last.x, this.#last.y);
    this.#context.stroke();
    this.#events.finished();
  }

  clear() {
    this.#pointer = null;
    this.#blank = true;
    this.#context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
  }

  /** Puts a finished image on the sheet, as if it had been drawn: no smoothing, so no ink is added. */
  show(image: CanvasImageSource) {
    this.#events.started();
    this.clear();
    this.#blank = false;
    this.#context.imageSmoothingEnabled = false;
    this.#context.drawImage(image, 0, 0, this.#canvas.width, this.#canvas.height);
    this.#events.finished();
  }

  /** The ink on the sheet. */
  ink(): Drawing {
    const { width, height } = this.#canvas;
    const { data } = this.#context.getImageData(0, 0, width, height);
    const pixels = new Uint8Array(width * height);
    for (let i = 0; i < pixels.length; i += 1) pixels[i] = data[4 * i + 3]!;
    return { pixels, width, height };
  }

  #scaled(x: number, y: number): Point {
    return { x: x * this.#canvas.width, y: y * this.#canvas.height };
  }

  #place(event: PointerEvent): [number, number] {
    const box = this.#canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  #down(event: PointerEvent) {
    if (this.#pointer !== null || event.button !== 0) return;
    this.#pointer = event.pointerId;
    this.#canvas.setPointerCapture(event.pointerId);
    this.begin(...this.#place(event));
  }

  #move(event: PointerEvent) {
    if (event.pointerId !== this.#pointer) return;
    const fine = event.getCoalescedEvents?.() ?? [];
    for (const each of fine.length > 0 ? fine : [event]) this.extend(...this.#place(each));
  }

  #up(event: PointerEvent) {
    if (event.pointerId !== this.#pointer) return;
    this.#pointer = null;
    this.end();
  }
}
