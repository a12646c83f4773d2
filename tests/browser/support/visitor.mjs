// A visitor of the page: a browser tab, what it sent, and a hand that draws.
import assert from "node:assert/strict";
import { ORIGIN } from "../../support/server.mjs";

export class Visitor {
  /** Opens the page in a context of its own, to stay with one model unless `model` is null. */
  static async open(browser, { model = "mnist-linear", origin = ORIGIN, ...options } = {}) {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    const visitor = new Visitor(context, page, origin);
    await page.goto(model === null ? origin : `${origin}/?model=${model}`);
    return visitor;
  }

  constructor(context, page, origin = ORIGIN) {
    this.context = context;
    this.page = page;
    this.origin = origin;
    this.requests = [];
    this.complaints = [];
    page.on("request", (request) => this.requests.push(request));
    page.on("pageerror", (error) => this.complaints.push(String(error)));
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) this.complaints.push(message.text());
    });
  }

  async state(state) {
    await this.page.waitForSelector(`main[data-state="${state}"]`, { timeout: 20_000 });
  }

  text(selector) {
    return this.page.textContent(selector);
  }

  /** Waits until this model is in use. */
  async uses(model) {
    await this.page.waitForSelector(`#models input[value="${model}"]:checked`, { timeout: 60_000 });
  }

  /** Ready, with a key on the server. */
  async ready() {
    await this.state("ready");
    return this.text("#key-id");
  }

  /** Draws strokes with the mouse. */
  async draw(strokes) {
    const { mouse } = this.page;
    const canvas = this.page.locator("#drawing");
    await canvas.scrollIntoViewIfNeeded();
    const box = await canvas.boundingBox();
    for (const [first, ...rest] of strokes) {
      const place = ([x, y]) => [box.x + x * box.width, box.y + y * box.height];
      await mouse.move(...place(first));
      await mouse.down();
      for (const point of rest) await mouse.move(...place(point));
      await mouse.up();
    }
  }

  /** Draws on a clean sheet and reads the answer. */
  async ask(strokes) {
    await this.page.click("#clear");
    await this.draw(strokes);
    await this.state("answered");
    return this.text("#answer");
  }

  /** Chooses an example, counted from 0, and reads the answer. */
  async askExample(index) {
    await this.page.click("#clear");
    await this.chooseExample(index);
    await this.state("answered");
    return this.text("#answer");
  }

  /** Puts an example on the sheet. */
  async chooseExample(index) {
    if ((await this.page.getAttribute("#try-example", "aria-expanded")) === "false") await this.page.click("#try-example");
    await this.page.click(`#examples button >> nth=${index}`);
  }

  /** Waits until the page says what is wrong, and gives its words. */
  async trouble(code) {
    await this.page.waitForSelector(`#trouble[data-code="${code}"]`, { timeout: 30_000 });
    return this.text("#trouble-text");
  }

  /** Waits, through whatever troubles, until the page has an answer. */
  async answered() {
    await this.page.waitForSelector('main[data-state="answered"]', { timeout: 60_000 });
    assert.ok(!(await this.page.isVisible("#trouble")), "still in trouble");
    return this.text("#answer");
  }

  /** Bodies of the queries sent so far. */
  queries() {
    return this.requests.filter((request) => request.headers()["blindscore-key"]).map((request) => request.postDataBuffer());
  }

  /** RGBA of a canvas, read from a copy. */
  pixels(selector) {
    return this.page.$eval(selector, (canvas) => {
      const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
      copy.drawImage(canvas, 0, 0);
      return [...copy.getImageData(0, 0, canvas.width, canvas.height).data];
    });
  }

  /** The values that were encrypted last, as the page shows them. */
  async normalized() {
    const pixels = await this.pixels("#normalised");
    return Uint8Array.from(pixels.filter((_, i) => i % 4 === 3));
  }

  /** Nothing went wrong and nothing left the origin. */
  assertClean() {
    assert.deepEqual(this.complaints, []);
    const foreign = this.requests.map((request) => request.url()).filter((url) => new URL(url).origin !== this.origin);
    assert.deepEqual(foreign, []);
  }

  close() {
    return this.context.close();
  }
}

/** Status of a request about a key, made behind the page's back. */
export async function keyStatus(method, keyId, origin = ORIGIN) {
  const response = await fetch(`${origin}/v1/keys/${keyId}`, { method });
  await response.body?.cancel();
  return response.status;
}
