import { Blindscore } from "blindscore";
import wasm from "blindscore/blindscore.wasm";

const digits = await (await fetch("/digits.json")).json();
const client = await Blindscore.connect(location.origin, {
  model: "mnist-linear",
  wasm: new URL(wasm, import.meta.url),
});
const labels = [];
for (const { features } of digits) labels.push((await client.predict(features)).label);
await client.forget();
client.free();
console.log(labels.join(" "));
