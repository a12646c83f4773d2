// MNIST's test set.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setting } from "./environment.mjs";

/** Number of pixels in an image. */
export const PIXELS = 28 * 28;

/** Returns all test digits as `{ label, pixels }`; pixels are gray values, 0 to 255, row by row. */
export function testSet(folder = setting("MNIST_DIR")) {
  const images = readFileSync(join(folder, "t10k-images-idx3-ubyte")).subarray(16);
  const labels = readFileSync(join(folder, "t10k-labels-idx1-ubyte")).subarray(8);
  return Array.from(labels, (label, index) => ({
    label: String(label),
    pixels: images.subarray(index * PIXELS, (index + 1) * PIXELS),
  }));
}

/** Returns the features that models score: gray values from 0 to 1. */
export function features(pixels) {
  return Float64Array.from(pixels, (pixel) => pixel / 255);
}

/** Returns the first test digits as `{ label, pixels, features }`. */
export function digits(count) {
  const first = testSet().slice(0, count);
  return first.map((digit) => ({ ...digit, features: features(digit.pixels) }));
}
