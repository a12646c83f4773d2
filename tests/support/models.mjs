// Models of one's own, imported from the fixtures.
import { execFileSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setting } from "./environment.mjs";
import { OwnServer } from "./server.mjs";

/** Folder of the pipelines, each with a model, training rows, rows and right answers. */
export const PIPELINES = new URL("../fixtures/pipelines/", import.meta.url);

/** Starts a server with models that are named by `names`, each made from a pipeline. */
export async function serving(names) {
  const models = mkdtempSync(join(tmpdir(), "blindscore-models-"));
  for (const [name, pipeline] of Object.entries(names)) {
    const file = (part) => new URL(`${pipeline}/${part}`, PIPELINES).pathname;
    const options = ["--name", name, "--calibrate", file("train.csv"), "--models-dir", models];
    execFileSync(setting("BLINDSCORE_PROGRAM"), ["import", file("model.onnx"), ...options], { stdio: ["ignore", "ignore", "inherit"] });
  }
  return OwnServer.start({ args: ["--models-dir", models] });
}
