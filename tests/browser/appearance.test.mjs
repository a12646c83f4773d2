// How the page looks and reads at several sizes.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { SCREENSHOTS } from "./support/environment.mjs";
import { launch, Visitor } from "./support/visitor.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const VIEWS = [
  [1280, 800, "light"],
  [1280, 800, "dark"],
  [800, 1100, "light"],
  [390, 844, "light"],
  [390, 844, "dark"],
  [320, 640, "light"],
  [3840, 2160, "light"],
];

/** A "2" as a steady hand draws it: an arc over the top, down to the left, a foot. */
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

const shorten = ({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(" ")).join(", ")}`;

for (const [width, height, colorScheme] of VIEWS) {
  const name = `${width}x${height}-${colorScheme}`;
  test(`${name}: fits, and is accessible`, async () => {
    // axe is an inline script, which the page's own policy rightly forbids.
    const options = { viewport: { width, height }, colorScheme, reducedMotion: "reduce", bypassCSP: true };
    const visitor = await Visitor.open(browser, options);
    const { page } = visitor;
    await visitor.ready();
    await page.screenshot({ path: join(SCREENSHOTS, `${name}-ready.png`) });
    assert.equal(await visitor.ask(TWO), "2");
    await page.evaluate(() => scrollTo(0, 0));
    await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
    await page.screenshot({ path: join(SCREENSHOTS, `${name}-full.png`), fullPage: true });

    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(overflow <= 0, `${overflow} pixels too wide`);

    await page.click("#try-example");
    await page.waitForSelector("#examples button");
    const small = await page.$$eval("button", (buttons) =>
      buttons
        .map((button) => ({ name: button.ariaLabel ?? button.textContent, box: button.getBoundingClientRect() }))
        .filter(({ box }) => box.width > 0 && (box.width < 44 || box.height < 44))
        .map(({ name, box }) => `${name}: ${box.width} x ${box.height}`),
    );
    assert.deepEqual(small, [], "targets under 44 pixels");
    await page.addScriptTag({ content: AXE });
    const { violations } = await page.evaluate(() => globalThis.axe.run());
    assert.deepEqual(violations.map(shorten), []);
    await visitor.close();
  });
}
