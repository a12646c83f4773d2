import { InputError } from "./errors.js";
import { loaded } from "./wasm.js";

/**
 * Converts a drawing of any size to the form of MNIST's digits: scaled to a box of 20x20 pixels,
 * antialiased, with its centre of mass in the middle of 28x28 pixels.
 *
 * Takes ink (0 is paper, 255 is full ink), row by row, or a canvas's `ImageData` with dark ink on
 * light or clear paper. Returns 784 bytes, or `null` if there is no ink. `init()` must have been
 * awaited.
 */
export function normalizeDrawing(ink: Uint8ClampedArray | Uint8Array, width: number, height: number): Uint8Array | null;
export function normalizeDrawing(image: ImageData): Uint8Array | null;
export function normalizeDrawing(drawing: Uint8ClampedArray | Uint8Array | ImageData, width = 0, height = 0): Uint8Array | null {
  if (!ArrayBuffer.isView(drawing)) return loaded().normalizeImageData(drawing) ?? null;
  if (drawing.length !== width * height) {
    throw new InputError("drawing_size", `${width} x ${height} pixels need ${width * height} bytes, got ${drawing.length}`);
  }
  const bytes = new Uint8Array(drawing.buffer, drawing.byteOffset, drawing.length);
  return loaded().normalizeDrawing(bytes, width, height) ?? null;
}
