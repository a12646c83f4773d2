// Chromium, as the tests start it.
import { chromium } from "playwright-core";
import { setting } from "./environment.mjs";

const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
];

/** Starts Chromium without a window. */
export function launch() {
  return chromium.launch({ executablePath: setting("CHROMIUM"), args: ARGUMENTS });
}
