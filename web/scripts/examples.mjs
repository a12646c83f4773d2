// Writes src/panels/examples.bin and src/panels/examples.json: the first 20 images of MNIST's test
// set, and for each digit model the first ones that it misreads on a running server.
// Usage: node scripts/examples.mjs MNIST_DIR SERVER_URL
import { Blindscore } from "blindscore";
import { writeFileSync } from "node:fs";
import { features, PIXELS, testSet } from "../../tests/support/digits.mjs";

const FIRST = 20;
const MISREAD_BY_EACH = 5;
const BATCH = 16;

const [folder, server] = process.argv.slice(2);
if (!folder || !server) {
  console.error("usage: node scripts/examples.mjs MNIST_DIR SERVER_URL");
  process.exit(2);
}
const digits = testSet(folder);

/** Returns the first test images that a model misreads. */
async function misread(name) {
  const client = await Blindscore.connect(server, { model: name });
  const found = [];
  for (let at = 0; at < digits.length && found.length < MISREAD_BY_EACH; at += BATCH) {
    const batch = digits.slice(at, at + BATCH);
    const answers = await client.predictMany(batch.map(({ pixels }) => features(pixels)));
    batch.forEach(({ label }, i) => {
      if (answers[i].label !== label) found.push({ index: at + i, label, read: answers[i].label });
    });
  }
  console.log(
    `${name}: ${found
      .slice(0, MISREAD_BY_EACH)
      .map(({ index, label, read }) => `${index} (${label} as ${read})`)
      .join(", ")}`,
  );
  await client.forget();
  client.free();
  return found.slice(0, MISREAD_BY_EACH);
}

const first = digits.slice(0, FIRST).map(({ label }, index) => ({ index, label }));
const models = await Blindscore.models(server);
const byIndex = new Map();
for (const { name } of models.filter(({ inputs }) => inputs.count === PIXELS)) {
  for (const { index, label, read } of await misread(name)) {
    if (!byIndex.has(index)) byIndex.set(index, { index, label, misread: [] });
    byIndex.get(index).misread.push({ model: name, read });
  }
}
const mistakes = [...byIndex.values()].sort((a, b) => a.index - b.index);
const source = (name) => new URL(`../src/panels/${name}`, import.meta.url);
writeFileSync(source("examples.bin"), Buffer.concat([...first, ...mistakes].map(({ index }) => digits[index].pixels)));
writeFileSync(source("examples.json"), `${JSON.stringify({ first, mistakes }, null, 2)}\n`);
