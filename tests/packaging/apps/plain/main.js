import { Blindscore } from "./node_modules/blindscore/dist/index.js";

const digits = await (await fetch("/digits.json")).json();
const client = await Blindscore.connect(location.origin, { model: "mnist-linear" });
const labels = [];
for (const { features } of digits) labels.push((await client.predict(features)).label);
await client.forget();
client.free();
console.log(labels.join(" "));
