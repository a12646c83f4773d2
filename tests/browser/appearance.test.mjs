// Tests layout and accessibility at several sizes, and takes screenshots.
import assert from "node:assert/strict";
import { AxeBuilder } from "@axe-core/playwright";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launch } from "../support/chromium.mjs";
import { setting } from "../support/environment.mjs";
import { Visitor } from "./support/visitor.mjs";

const SCREENSHOTS = setting("SCREENSHOTS");
const VIEWS = [
  [1280, 800, "light"],
  [1280, 800, "dark"],
  [800, 1100, "light"],
  [390, 844, "light"],
  [390, 844, "dark"],
  [320, 640, "light"],
  [3840, 2160, "light"],
];

/** Strokes of a "2": an arc over the top, down to the left, a foot. */
const ARC = Array.from({ length: 25 }, (_, i) => {
  const angle = Math.PI * (1.05 + (1.15 * i) / 24);
  return [0.5 + 0.17 * Math.cos(angle), 0.36 + 0.16 * Math.sin(angle)];
});
const TWO = [[...ARC, [0.58, 0.52], [0.46, 0.65], [0.33, 0.78], [0.42, 0.78], [0.55, 0.78], [0.69, 0.78]]];

let browser;
before(async () => {
  mkdirSync(SCREENSHOTS, { recursive: true });
  browser = await launch();
});
after(() => browser.close());

/**
 * Returns axe's findings as text. The page's policy forbids axe's inline script, so contexts need
 * `bypassCSP`.
 */
async function findings(page) {
  const { violations } = await new AxeBuilder({ page }).analyze();
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(" ")).join(", ")}`);
}

/** Checks that nothing is wider than the page, and no target smaller than a fingertip. */
async function assertFits(page) {
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(overflow <= 0, `${overflow} pixels too wide`);
  const small = await page.$$eval("button, summary, input[type=text], [role=tab], .model label", (targets) =>
    targets
      .map((target) => ({ name: target.ariaLabel ?? target.textContent, box: target.getBoundingClientRect() }))
      .filter(({ box }) => box.width > 0 && (box.width < 44 || box.height < 44))
      .map(({ name, box }) => `${name}: ${box.width} x ${box.height}`),
  );
  assert.deepEqual(small, [], "targets under 44 pixels");
}

for (const [width, height, colorScheme] of VIEWS) {
  const name = `${width}x${height}-${colorScheme}`;
  const shot = (page, state, fullPage = true) => page.screenshot({ path: join(SCREENSHOTS, `${name}-${state}.png`), fullPage });
  const options = { viewport: { width, height }, colorScheme, reducedMotion: "reduce", bypassCSP: true };

  test(`${name}: the page fits and is accessible`, async () => {
    const visitor = await Visitor.open(browser, options);
    const { page } = visitor;
    await visitor.ready();
    await shot(page, "ready", false);
    assert.deepEqual(await findings(page), []);
    assert.equal(await visitor.ask(TWO), "2");
    await page.evaluate(() => scrollTo(0, 0));
    await shot(page, "answered", false);
    await assertFits(page);
    await visitor.askExample(20);
    await shot(page, "example");
    await assertFits(page);
    assert.deepEqual(await findings(page), []);
    await visitor.close();
  });

  test(`${name}: the loan tab fits and is accessible`, async () => {
    const visitor = await Visitor.open(browser, { ...options, tab: "loan" });
    const { page } = visitor;
    await visitor.ready();
    await shot(page, "loan-ready", false);
    assert.deepEqual(await findings(page), []);
    await page.click("[data-example=risky]");
    await visitor.state("answered");
    await shot(page, "loan-answered");
    await assertFits(page);
    assert.deepEqual(await findings(page), []);
    await page.click("summary");
    await visitor.fillIn(["", "a lot", "36", "99", "1", "0"]);
    await page.click("text=Score it");
    await shot(page, "loan-wrong");
    await assertFits(page);
    assert.deepEqual(await findings(page), []);
    await visitor.close();
  });

  test(`${name}: the page fits and is accessible when something is wrong`, async () => {
    const visitor = await Visitor.open(browser, options);
    const { page } = visitor;
    await visitor.ready();
    await visitor.askExample(0);
    await visitor.context.setOffline(true);
    await visitor.chooseExample(1);
    await visitor.trouble("offline");
    await shot(page, "offline");
    await assertFits(page);
    assert.deepEqual(await findings(page), []);
    await visitor.close();
  });
}

test("the generation of a model's key shows its progress and can be stopped", async () => {
  const visitor = await Visitor.open(browser, { model: null, viewport: { width: 390, height: 844 }, bypassCSP: true });
  const { page } = visitor;
  await page.waitForSelector(".stop:visible", { timeout: 60_000 });
  await page.screenshot({ path: join(SCREENSHOTS, "390x844-warming.png") });
  await page.click(".stop:visible");
  await page.waitForSelector(".stop", { state: "hidden" });
  await visitor.state("ready");
  // Long enough to make and upload a key, had it not been stopped.
  await page.waitForTimeout(3000);
  assert.equal(await page.$eval("#models :checked", (radio) => radio.value), "mnist-linear");
  const uploads = visitor.requests.filter((request) => request.method() === "PUT").map((request) => request.postDataBuffer()?.length);
  assert.ok(
    uploads.every((bytes) => bytes === undefined || bytes < 100_000),
    `uploaded ${uploads}`,
  );
  assert.equal(await visitor.askExample(0), "7");
  // Choosing the model makes its key after all.
  await page.check('#models input[value="mnist-net"]');
  await visitor.state("answered");
  assert.equal(await visitor.text("#answer"), "7");
  visitor.assertClean();
  await visitor.close();
});
