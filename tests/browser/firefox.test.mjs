// Tests the main flows in Firefox, through WebDriver BiDi: draw or apply, answer, reload, forget.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import puppeteer from "puppeteer-core";
import { setting } from "../support/environment.mjs";
import { ORIGIN } from "../support/server.mjs";
import { testDigits } from "./support/mnist.mjs";
import { keyStatus } from "./support/visitor.mjs";

let browser;
before(async () => {
  browser = await puppeteer.launch({ browser: "firefox", executablePath: setting("FIREFOX"), headless: true });
});
after(() => browser?.close());

async function open() {
  const page = await browser.newPage();
  page.complaints = [];
  page.uploads = 0;
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  page.on("console", (message) => {
    if (["error", "warn"].includes(message.type())) page.complaints.push(message.text());
  });
  page.on("request", (request) => {
    if (request.method() === "PUT") page.uploads += 1;
    // Firefox has the mark of a summary in a font of its own, which it loads from a data URL.
    const { origin, protocol } = new URL(request.url());
    if (origin !== ORIGIN && protocol !== "data:") page.complaints.push(`asked ${request.url()}`);
  });
  await page.setViewport({ width: 1280, height: 900 });
  await page.goto(`${ORIGIN}/?model=mnist-linear`);
  await state(page, "ready");
  return page;
}

const state = (page, name) => page.waitForSelector(`main[data-state="${name}"]`, { timeout: 60_000 });
const text = (page, selector) => page.$eval(selector, (element) => element.textContent);

async function ask(page, strokes) {
  await page.click("#clear");
  const canvas = await page.$("#drawing");
  await canvas.scrollIntoView();
  const box = await canvas.boundingBox();
  const place = ([x, y]) => [box.x + x * box.width, box.y + y * box.height];
  for (const [first, ...rest] of strokes) {
    await page.mouse.move(...place(first));
    await page.mouse.down();
    for (const point of rest) await page.mouse.move(...place(point));
    await page.mouse.up();
  }
  await state(page, "answered");
  return text(page, "#answer");
}

test("drawn digits are answered, and the key is kept until it is forgotten", async () => {
  const page = await open();
  const keyId = await text(page, "#key-id");
  assert.match(keyId, /^[0-9a-f]{64}$/);
  assert.equal(await keyStatus("HEAD", keyId), 200);

  const digits = testDigits(5);
  let right = 0;
  for (const { label, strokes } of digits) right += (await ask(page, strokes)) === label ? 1 : 0;
  assert.ok(right >= 4, `${right} of ${digits.length} drawn digits were read correctly`);
  const shares = await page.$$eval("#bars [data-label]", (bars) => bars.map((bar) => Number(bar.ariaValueNow)));
  assert.ok(Math.abs(shares.reduce((a, b) => a + b) - 100) < 1, `${shares}`);

  await page.reload();
  await state(page, "ready");
  assert.equal(await text(page, "#key-id"), keyId);
  assert.equal(page.uploads, 1, "the key was uploaded again");

  await page.click("#forget");
  await page.waitForFunction(() => document.querySelector("#status").textContent.startsWith("Forgotten"));
  assert.equal(await keyStatus("HEAD", keyId), 404);
  assert.deepEqual(page.complaints, []);
  await page.close();
});

test("an application for a loan is scored in the second tab", async () => {
  const page = await open();
  await page.click("#tab-loan");
  await state(page, "ready");
  await page.click("[data-example=risky]");
  await state(page, "answered");
  assert.match(await text(page, "#risk"), /^79\.\d/);
  await page.type("#field-income", "0");
  assert.equal(await text(page, "#risk"), "");
  await page.click("#forget");
  await page.waitForFunction(() => document.querySelector("#status").textContent.startsWith("Forgotten"));
  assert.deepEqual(page.complaints, []);
  await page.close();
});
