// The packed npm package, installed as its users install it.
import { execFile } from "node:child_process";
import { rmSync } from "node:fs";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { setting } from "./environment.mjs";

/** Path of the package. */
export const TARBALL = setting("BLINDSCORE_TARBALL");
const NPM = process.platform === "win32" ? "npm.cmd" : "npm";

const folders = [];
process.on("exit", () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** Creates a folder, by default outside the repository, that is deleted when the process exits. */
export async function temporaryFolder(name, parent = tmpdir()) {
  const folder = await mkdtemp(join(parent, `blindscore-${name}-`));
  folders.push(folder);
  return folder;
}

/** Installs the package into a project. */
export async function install(folder) {
  await promisify(execFile)(NPM, ["install", "--silent", "--no-audit", "--no-fund", TARBALL], { cwd: folder });
}

/** Creates an empty project with the package installed, and returns its folder. */
export async function emptyProject() {
  const folder = await temporaryFolder("npm");
  await writeFile(join(folder, "package.json"), '{ "name": "empty", "private": true, "type": "module" }');
  await install(folder);
  return folder;
}

/** Imports the package as a module of the project does: through the package's `exports`. */
export async function importFrom(folder) {
  const entry = join(folder, "entry.mjs");
  await writeFile(entry, 'export * from "blindscore";');
  return import(pathToFileURL(entry).href);
}
