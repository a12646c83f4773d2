// Bytes shown as pixels.

/** Fills `canvas` with greyscale bytes, one per pixel, `width` per row. */
export function showBytes(canvas: HTMLCanvasElement, bytes: Uint8Array, width: number) {
  const height = Math.max(1, Math.ceil(bytes.length / width));
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  for (let i = 0; i < bytes.length; i += 1) {
    image.data.fill(bytes[i]!, 4 * i, 4 * i + 3);
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d")!.putImageData(image, 0, 0);
}

/** Fills `canvas` with bytes that look like noise, as a square just large enough for them. */
export function showSquare(canvas: HTMLCanvasElement, bytes: Uint8Array) {
  showBytes(canvas, bytes, Math.max(1, Math.ceil(Math.sqrt(bytes.length))));
}

/** Returns a canvas of 28 x 28 pixels that shows ink as black of that opacity. */
export function inkCanvas(ink: Uint8Array, canvas = document.createElement("canvas")): HTMLCanvasElement {
  canvas.width = canvas.height = 28;
  const image = new ImageData(28, 28);
  for (let i = 0; i < ink.length; i += 1) image.data[4 * i + 3] = ink[i]!;
  canvas.getContext("2d")!.putImageData(image, 0, 0);
  return canvas;
}
