// Prints Lighthouse's scores of both tabs on a phone and on a desktop computer. Fails below `BAR`.
import { launch } from "chrome-launcher";
import lighthouse, { desktopConfig } from "lighthouse";
import { setting } from "../support/environment.mjs";

const CATEGORIES = ["performance", "accessibility", "best-practices"];
const BAR = 95;

const url = setting("BLINDSCORE_URL");
const chrome = await launch({
  ...(process.env.CHROMIUM && { chromePath: process.env.CHROMIUM }),
  chromeFlags: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
});
let below = 0;
try {
  for (const [device, address, config] of [
    ["phone", url, undefined],
    ["desktop", url, desktopConfig],
    ["phone, loan tab", `${url}#loan`, undefined],
    ["desktop, loan tab", `${url}#loan`, desktopConfig],
  ]) {
    const { lhr } = await lighthouse(address, { port: chrome.port, onlyCategories: CATEGORIES, logLevel: "error" }, config);
    const scores = CATEGORIES.map((name) => [name, Math.round(100 * lhr.categories[name].score)]);
    console.log(`${device}: ${scores.map(([name, score]) => `${name} ${score}`).join(", ")} (Lighthouse ${lhr.lighthouseVersion})`);
    for (const name of ["first-contentful-paint", "largest-contentful-paint", "total-blocking-time", "cumulative-layout-shift"]) {
      console.log(`  ${lhr.audits[name].title}: ${lhr.audits[name].displayValue}`);
    }
    const failed = CATEGORIES.flatMap((name) => lhr.categories[name].auditRefs).filter(
      ({ id, weight }) => weight > 0 && lhr.audits[id].score !== null && lhr.audits[id].score < 0.9,
    );
    for (const { id } of failed) console.log(`  ${lhr.audits[id].score}: ${lhr.audits[id].title}`);
    below += scores.filter(([, score]) => score < BAR).length;
  }
} finally {
  chrome.kill();
}
if (below > 0) {
  console.error(`${below} scores are below ${BAR}`);
  process.exit(1);
}
