import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

/** A value of the environment that `cargo xtask test` sets. */
export function setting(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run these tests with cargo xtask test`);
  return value;
}

/** The server under test. */
export const url = setting("BLINDSCORE_URL");

/** Installs the tarball into an empty project, as a user would, and gives its folder. */
export function emptyProject() {
  const folder = mkdtempSync(join(tmpdir(), "blindscore-npm-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, "package.json"), '{ "name": "empty", "private": true, "type": "module" }');
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  execFileSync(npm, ["install", "--silent", "--no-audit", "--no-fund", setting("BLINDSCORE_TARBALL")], { cwd: folder });
  return folder;
}

/** Imports the package as a module of that project does: through the package's `exports`. */
export async function importFrom(folder) {
  const entry = join(folder, "entry.mjs");
  writeFileSync(entry, 'export * from "blindscore";');
  return import(pathToFileURL(entry).href);
}

/** The first test images of MNIST with their labels; pixels from 0 to 1. */
export function digits(count) {
  const read = (name, header) => readFileSync(join(setting("MNIST_DIR"), name)).subarray(header);
  const images = read("t10k-images-idx3-ubyte", 16);
  const labels = read("t10k-labels-idx1-ubyte", 8);
  return Array.from({ length: count }, (_, index) => ({
    label: String(labels[index]),
    pixels: images.subarray(index * 784, (index + 1) * 784),
    features: Float64Array.from(images.subarray(index * 784, (index + 1) * 784), (pixel) => pixel / 255),
  }));
}
