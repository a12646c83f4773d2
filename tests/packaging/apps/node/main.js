import { Blindscore } from "blindscore";
import { readFile } from "node:fs/promises";

const [url, file] = process.argv.slice(2);
const digits = JSON.parse(await readFile(file, "utf8"));
const client = await Blindscore.connect(url, { model: "mnist-linear" });
const labels = [];
for (const { features } of digits) labels.push((await client.predict(features)).label);
await client.forget();
client.free();
console.log(labels.join(" "));
