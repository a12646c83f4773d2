// Writes src/examples.bin: the first 20 images of MNIST's test set, none skipped.
// Each record is one byte of label, then 784 bytes of ink. Usage: node scripts/examples.mjs MNIST_DIR
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const COUNT = 20;
const PIXELS = 28 * 28;

const folder = process.argv[2];
if (!folder) {
  console.error("usage: node scripts/examples.mjs MNIST_DIR");
  process.exit(2);
}
const images = readFileSync(join(folder, "t10k-images-idx3-ubyte")).subarray(16);
const labels = readFileSync(join(folder, "t10k-labels-idx1-ubyte")).subarray(8);

const records = Buffer.alloc(COUNT * (1 + PIXELS));
for (let i = 0; i < COUNT; i += 1) {
  const at = i * (1 + PIXELS);
  records[at] = labels[i];
  images.copy(records, at + 1, i * PIXELS, (i + 1) * PIXELS);
}
writeFileSync(new URL("../src/examples.bin", import.meta.url), records);
