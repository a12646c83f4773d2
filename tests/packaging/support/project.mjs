// A project of its own for each app: a copy of its folder outside the repository, with the packed package installed.
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { cp } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { install, temporaryFolder } from "../../support/tarball.mjs";

const HERE = dirname(dirname(fileURLToPath(import.meta.url)));
/** Where npm puts programs: of the whole workspace, and of these tests if their dependencies differ from others'. */
const PROGRAMS = [HERE, join(HERE, "..", "..")].map((folder) => join(folder, "node_modules", ".bin"));
const execute = promisify(execFile);

/** Installs the tarball into a copy of `apps/{name}`, and gives its folder. */
export async function project(name) {
  const folder = await temporaryFolder(name);
  await cp(join(HERE, "apps", name), folder, { recursive: true });
  await install(folder);
  return folder;
}

function program(name) {
  const found = PROGRAMS.map((folder) => join(folder, name)).find(existsSync);
  if (!found) throw new Error(`${name} is not installed: run these tests with cargo xtask test`);
  return found;
}

/** Runs a tool of the workspace's `node_modules` in a folder; its output is what a failure says. */
export async function tool(folder, name, ...args) {
  try {
    const { stdout, stderr } = await execute(program(name), args, { cwd: folder });
    return stdout + stderr;
  } catch (error) {
    throw new Error(`${name} ${args.join(" ")} failed:\n${error.stdout}${error.stderr}`, { cause: error });
  }
}

/** Runs a script of a project in Node, and gives what it prints; complaints fail. */
export async function node(folder, script, ...args) {
  const { stdout, stderr } = await execute(process.execPath, [script, ...args], { cwd: folder });
  if (stderr) throw new Error(`${script} complains:\n${stderr}`);
  return stdout.trim();
}
