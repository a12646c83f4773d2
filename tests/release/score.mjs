// Installs the npm package into an empty project, and has drawings scored.
// node score.mjs DRAWINGS.csv MODEL...
import { readFileSync } from "node:fs";
import { setting } from "../support/environment.mjs";
import { emptyProject, importFrom } from "../support/tarball.mjs";

const [drawings, ...models] = process.argv.slice(2);
const rows = readFileSync(drawings, "utf8")
  .trim()
  .split("\n")
  .map((line) => Float64Array.from(line.split(","), Number));
const { Blindscore } = await importFrom(await emptyProject());

for (const model of models) {
  const client = await Blindscore.connect(setting("BLINDSCORE_URL"), { model });
  await client.ensureKeys();
  const labels = [];
  for (const row of rows) labels.push((await client.predict(row)).label);
  client.free();
  console.log([model, ...labels].join(" "));
}
