// Sheet to draw on. Ink is the alpha channel, so the style sheet alone sets the paper's colour.
import type { Drawing } from "../messages";

/** Pen width as a fraction of the sheet: about the stroke width of an MNIST digit. */
const PEN = 0.08;

interface Point {
  x: number;
  y: number;
}

/** Stroke, or a whole image placed on the sheet. */
type Mark = Point[] | CanvasImageSource;

export interface DrawingEvents {
  /** A stroke or an image begins. */
  started(): void;
  /** A stroke or an image is complete. */
  finished(): void;
}

export class DrawingSheet {
  #canvas: HTMLCanvasElement;
  #context: CanvasRenderingContext2D;
  #events: DrawingEvents;
  #pointer: number | null = null;
  /** Content of the sheet after each change, the current one last. */
  #history: Mark[][] = [[]];

  constructor(canvas: HTMLCanvasElement, events: DrawingEvents) {
    this.#canvas = canvas;
    this.#events = events;
    this.#context = canvas.getContext("2d", { willReadFrequently: true })!;
    this.#context.lineCap = this.#context.lineJoin = "round";
    this.#context.lineWidth = PEN * canvas.width;
    this.#context.imageSmoothingEnabled = false;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#up(event));
    canvas.addEventListener("pointercancel", (event) => this.#up(event));
  }

  get blank(): boolean {
    return this.#marks.length === 0;
  }

  /** Whether there is a change to undo. */
  get undoable(): boolean {
    return this.#history.length > 1;
  }

  /** Puts the pen down; the position is a fraction of the sheet. */
  begin(x: number, y: number) {
    this.#events.started();
    const stroke = [this.#scaled(x, y)];
    this.#history.push([...this.#marks, stroke]);
    this.#dot(stroke);
  }

  /** Continues the stroke from the last position. */
  extend(x: number, y: number) {
    const stroke = this.#stroke;
    if (!stroke) return;
    stroke.push(this.#scaled(x, y));
    this.#curve(stroke, stroke.length - 1);
  }

  /** Lifts the pen. */
  end() {
    const stroke = this.#stroke;
    if (stroke) this.#tip(stroke);
    this.#events.finished();
  }

  clear() {
    if (!this.blank) this.#history.push([]);
    this.#redraw();
  }

  /** Undoes the last stroke, image or clearing. */
  undo() {
    if (!this.undoable) return;
    this.#history.pop();
    this.#redraw();
  }

  /** Clears the sheet and the undo history. */
  wipe() {
    this.#history = [[]];
    this.#redraw();
  }

  /** Replaces the sheet's content with an image, without smoothing, so that no ink is added. */
  show(image: CanvasImageSource) {
    this.#events.started();
    this.#history.push([image]);
    this.#redraw();
    this.#events.finished();
  }

  /** Returns the ink on the sheet. */
  ink(): Drawing {
    const { width, height } = this.#canvas;
    const { data } = this.#context.getImageData(0, 0, width, height);
    const pixels = new Uint8Array(width * height);
    for (let i = 0; i < pixels.length; i += 1) pixels[i] = data[4 * i + 3]!;
    return { pixels, width, height };
  }

  get #marks(): Mark[] {
    return this.#history.at(-1)!;
  }

  get #stroke(): Point[] | undefined {
    const last = this.#marks.at(-1);
    return Array.isArray(last) ? last : undefined;
  }

  #redraw() {
    this.#pointer = null;
    const { width, height } = this.#canvas;
    this.#context.clearRect(0, 0, width, height);
    for (const mark of this.#marks) {
      if (!Array.isArray(mark)) {
        this.#context.drawImage(mark, 0, 0, width, height);
        continue;
      }
      this.#dot(mark);
      for (let at = 1; at < mark.length; at += 1) this.#curve(mark, at);
      this.#tip(mark);
    }
  }

  #dot([point]: Point[]) {
    this.#context.beginPath();
    this.#context.arc(point!.x, point!.y, this.#context.lineWidth / 2, 0, 2 * Math.PI);
    this.#context.fill();
  }

  /**
   * Draws up to the middle of the segment that ends at `at`: a curve through the middles of the
   * segments, smooth at every joint.
   */
  #curve(stroke: Point[], at: number) {
    const [last, next] = [stroke[at - 1]!, stroke[at]!];
    const from = middle(stroke[at - 2] ?? last, last);
    const to = middle(last, next);
    this.#context.beginPath();
    this.#context.moveTo(from.x, from.y);
    this.#context.quadraticCurveTo(last.x, last.y, to.x, to.y);
    this.#context.stroke();
  }

  /** Draws the second half of the last segment. */
  #tip(stroke: Point[]) {
    const last = stroke.at(-1)!;
    const from = middle(stroke.at(-2) ?? last, last);
    this.#context.beginPath();
    this.#context.moveTo(from.x, from.y);
    this.#context.lineTo(last.x, last.y);
    this.#context.stroke();
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

function middle(a: Point, b: Point): Point {
  return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
}
