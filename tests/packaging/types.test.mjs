// Tests the packed package's types, and its package.json as tools read it.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { before, test } from "node:test";
import ts from "typescript";
import { TARBALL } from "../support/tarball.mjs";
import { project, tool } from "./support/project.mjs";

let folder;
before(async () => (folder = await project("types")));

for (const [module, resolution] of [
  ["nodenext", "nodenext"],
  ["esnext", "bundler"],
]) {
  test(`the consumer compiles with moduleResolution ${resolution}`, () =>
    tool(folder, "tsc", "--project", "tsconfig.json", "--module", module, "--moduleResolution", resolution));
}

test("the consumer uses every export", async () => {
  const entry = join(folder, "node_modules", "blindscore", "dist", "index.d.ts");
  const program = ts.createProgram([entry], { module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext });
  const checker = program.getTypeChecker();
  const exported = checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(entry))).map(({ name }) => name);
  const consumer = await readFile(join(folder, "consumer.ts"), "utf8");
  const [, list] = consumer.match(/import \{([^}]*)\} from "blindscore"/);
  const imported = list
    .split(",")
    .map((item) => item.trim().replace(/^type /, ""))
    .filter(Boolean);
  assert.deepEqual(imported.toSorted(), exported.toSorted());
});

test("publint finds nothing", () => tool(folder, "publint", TARBALL, "--strict"));

test("arethetypeswrong finds nothing", () => tool(folder, "attw", TARBALL, "--profile", "esm-only"));
