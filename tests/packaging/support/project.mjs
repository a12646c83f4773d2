// Projects, one for each app, with the packed package installed.
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { install, temporaryFolder } from "../../support/tarball.mjs";

const HERE = dirname(dirname(fileURLToPath(import.meta.url)));
const ROOT = join(HERE, "..", "..");
/** Where npm puts programs: here if dependencies differ from the workspace's, otherwise there. */
const PROGRAMS = [HERE, ROOT].map((folder) => join(folder, "node_modules", ".bin"));
const execute = promisify(execFile);

/** Installs the package into a copy of `apps/{name}` outside the repository, and returns the copy's folder. */
export async function project(name) {
  return installed(name, await temporaryFolder(name));
}

/** Does the same in a folder of the repository, where imports also find the packages of these tests. */
export async function projectInside(name) {
  const parent = join(ROOT, "target");
  await mkdir(parent, { recursive: true });
  return installed(name, await temporaryFolder(name, parent));
}

async function installed(name, folder) {
  await cp(join(HERE, "apps", name), folder, { recursive: true });
  await install(folder);
  return folder;
}

/** Returns the path of a tool from `node_modules`. */
export function program(name) {
  const found = PROGRAMS.map((folder) => join(folder, name)).find(existsSync);
  if (!found) throw new Error(`${name} is not installed: run these tests with cargo xtask test`);
  return found;
}

/** Runs a tool from `node_modules` in a folder, and returns its output; errors contain it, too. */
export async function tool(folder, name, ...args) {
  try {
    const { stdout, stderr } = await execute(program(name), args, { cwd: folder });
    return stdout + stderr;
  } catch (error) {
    throw new Error(`${name} ${args.join(" ")} failed:\n${error.stdout}${error.stderr}`, { cause: error });
  }
}

/** Runs a script of a project in Node, and returns its output. Fails if it writes to stderr. */
export async function node(folder, script, ...args) {
  const { stdout, stderr } = await execute(process.execPath, [script, ...args], { cwd: folder });
  if (stderr) throw new Error(`${script} complains:\n${stderr}`);
  return stdout.trim();
}
