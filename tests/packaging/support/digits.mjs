import { readFileSync } from "node:fs";
import { join } from "node:path";
import { MNIST_DIR } from "./environment.mjs";

const PIXELS = 28 * 28;

/** The first test digits of MNIST, which every bundled model reads rightly: `{ label, features }`, features from 0 to 1. */
export const digits = (() => {
  const images = readFileSync(join(MNIST_DIR, "t10k-images-idx3-ubyte")).subarray(16);
  const labels = readFileSync(join(MNIST_DIR, "t10k-labels-idx1-ubyte")).subarray(8);
  return Array.from({ length: 5 }, (_, i) => ({
    label: String(labels[i]),
    features: Array.from(images.subarray(i * PIXELS, (i + 1) * PIXELS), (pixel) => pixel / 255),
  }));
})();

/** What an app that reads them all writes. */
export const LABELS = digits.map(({ label }) => label).join(" ");
