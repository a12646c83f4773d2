// A visitor of the page: draws in a browser tab, and records its requests and complaints.
import assert from "node:assert/strict";
import { ORIGIN } from "../../support/server.mjs";

export class Visitor {
  /** Opens the page, or its tab, in a new context. The page keeps to `model`, unless it is null. */
  static async open(browser, { model = "mnist-linear", origin = ORIGIN, tab = "", ...options } = {}) {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    const visitor = new Visitor(context, page, origin);
    await page.goto(`${origin}/${model === null ? "" : `?model=${model}`}${tab && `#${tab}`}`);
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

  /** Waits until a model is in use. */
  async uses(model) {
    await this.page.waitForSelector(`#models input[value="${model}"]:checked`, { timeout: 60_000 });
  }

  /** Waits until the page is ready, and returns the id of its key. */
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

  /** Draws on a cleared sheet and returns the answer. */
  async ask(strokes) {
    await this.page.click("#clear");
    await this.draw(strokes);
    await this.state("answered");
    return this.text("#answer");
  }

  /** Chooses an example, counted from 0, and returns the answer. */
  async askExample(index) {
    await this.page.click("#clear");
    await this.chooseExample(index);
    await this.state("answered");
    return this.text("#answer");
  }

  /** Chooses an example, counted from 0. */
  async chooseExample(index) {
    if ((await this.page.getAttribute("#try-example", "aria-expanded")) === "false") await this.page.click("#try-example");
    await this.page.click(`#examples button >> nth=${index}`);
  }

  /** Fills in the loan's form, in the order of its fields. */
  async fillIn(row) {
    const fields = await this.page.locator("#application input").all();
    assert.equal(fields.length, row.length);
    for (const [i, field] of fields.entries()) await field.fill(String(row[i]));
  }

  /** Hands in an application with Enter, and returns the probability that the page shows. */
  async apply(row) {
    await this.fillIn(row);
    await this.page.press("#application input >> nth=0", "Enter");
    await this.state("answered");
    return this.risk();
  }

  /** Returns the probability that the loan tab shows. */
  async risk() {
    return Number.parseFloat(await this.text("#risk")) / 100;
  }

  /** Waits until the page shows a problem, and returns its text. */
  async trouble(code) {
    await this.page.waitForSelector(`#trouble[data-code="${code}"]`, { timeout: 30_000 });
    return this.text("#trouble-text");
  }

  /** Waits, through any problems, until the page has an answer, and returns it. */
  async answered() {
    await this.page.waitForSelector('main[data-state="answered"]', { timeout: 60_000 });
    assert.ok(!(await this.page.isVisible("#trouble")), "still in trouble");
    return this.text("#answer");
  }

  /** Returns the bodies of the queries sent so far. */
  queries() {
    return this.requests.filter((request) => request.headers()["blindscore-key"]).map((request) => request.postDataBuffer());
  }

  /** Returns a canvas's RGBA values, read from a copy. */
  pixels(selector) {
    return this.page.$eval(selector, (canvas) => {
      const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
      copy.drawImage(canvas, 0, 0);
      return [...copy.getImageData(0, 0, canvas.width, canvas.height).data];
    });
  }

  /** Returns the values that were encrypted last, as the page shows them. */
  async normalized() {
    const pixels = await this.pixels("#normalised");
    return Uint8Array.from(pixels.filter((_, i) => i % 4 === 3));
  }

  /** Checks that nothing went wrong and that no request went to another origin. */
  assertClean() {
    assert.deepEqual(this.complaints, []);
    const foreign = this.requests.map((request) => request.url()).filter((url) => new URL(url).origin !== this.origin);
    assert.deepEqual(foreign, []);
  }

  close() {
    return this.context.close();
  }
}

/** Sends a request about a key behind the page's back, and returns the status. */
export async function keyStatus(method, keyId, origin = ORIGIN) {
  const response = await fetch(`${origin}/v1/keys/${keyId}`, { method });
  await response.body?.cancel();
  return response.status;
}
