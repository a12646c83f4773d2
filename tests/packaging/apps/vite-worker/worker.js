import { Blindscore } from "blindscore";

self.onmessage = async ({ data: digits }) => {
  const client = await Blindscore.connect(location.origin, { model: "mnist-linear" });
  const labels = [];
  for (const { features } of digits) labels.push((await client.predict(features)).label);
  await client.forget();
  client.free();
  postMessage(labels);
};
