// Tests the networks' keys: made in the background, kept between visits, deleted on request.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch } from "../support/chromium.mjs";
import { ORIGIN } from "../support/server.mjs";
import { testDigits } from "./support/mnist.mjs";
import { keyStatus, Visitor } from "./support/visitor.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

/** Returns the names of the secret keys in the browser's storage. */
function storedKeys(page) {
  return page.evaluate(async () => {
    const done = (request) =>
      new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
    const database = await done(indexedDB.open("blindscore"));
    const keys = await done(database.transaction("secret-keys").objectStore("secret-keys").getAllKeys());
    database.close();
    return keys.map(String);
  });
}

test("the first answer comes from the linear model, later ones from the network", async () => {
  const visitor = await Visitor.open(browser, { model: null });
  const { page } = visitor;
  await page.evaluate(() => {
    // Records the longest time for which the page was unresponsive, and its notes on the network.
    window.worst = 0;
    window.notes = new Set();
    let last = performance.now();
    const look = () => {
      const now = performance.now();
      window.worst = Math.max(window.worst, now - last);
      last = now;
      for (const note of document.querySelectorAll(".model-note")) window.notes.add(note.textContent);
      setTimeout(look, 5);
    };
    look();
  });
  await visitor.ready();
  assert.equal(await page.$eval("#models :checked", (radio) => radio.value), "mnist-linear");
  await visitor.draw(testDigits(1)[0].strokes);
  await visitor.state("answered");
  assert.equal(await visitor.text("#answer"), "7");

  await visitor.uses("mnist-net");
  const notes = await page.evaluate(() => [...window.notes]);
  assert.ok(
    notes.some((note) => /making its key: [1-9]/.test(note)),
    `${notes}`,
  );
  assert.ok(
    notes.some((note) => /uploading its key/.test(note)),
    `${notes}`,
  );
  // The current drawing is scored again.
  await visitor.state("answered");
  assert.equal(await visitor.text("#answer"), "7");
  const worst = await page.evaluate(() => window.worst);
  console.log(`longest time for which the page was unresponsive: ${worst.toFixed(0)} ms`);

  const digits = testDigits(6);
  const answers = [];
  for (const { strokes } of digits) answers.push(await visitor.ask(strokes));
  assert.ok(digits.filter(({ label }, i) => label === answers[i]).length >= 5, `read ${answers}`);
  visitor.assertClean();
  await visitor.close();
});

test("both networks use one key, and a reload neither makes nor uploads another", async () => {
  const visitor = await Visitor.open(browser, { model: "mnist-net" });
  const { page } = visitor;
  const keyId = await visitor.ready();
  assert.equal(await visitor.askExample(0), "7");
  await page.check('#models input[value="mnist-net-small"]');
  await visitor.state("answered");
  assert.equal(await visitor.text("#answer"), "7");
  assert.equal(await visitor.text("#key-id"), keyId);
  assert.equal(await visitor.text("#secret-key"), "in this browser’s storage");

  visitor.requests.length = 0;
  await page.reload();
  assert.equal(await visitor.ready(), keyId);
  assert.equal(await visitor.text("#key-uploaded"), "yes, on an earlier visit");
  assert.equal(await visitor.askExample(1), "2");
  assert.deepEqual(
    visitor.requests.filter((request) => request.method() === "PUT"),
    [],
  );
  visitor.assertClean();
  await visitor.close();
});

test("a switch lets only the digit leave the server", async () => {
  const visitor = await Visitor.open(browser, { model: "mnist-net" });
  const { page } = visitor;
  const keyId = await visitor.ready();
  assert.equal(await visitor.askExample(0), "7");
  assert.match(await visitor.text("#confidence"), /^probability/);
  assert.equal(await page.isVisible('[data-answer="label"]'), false);

  await page.check("#only-label");
  await visitor.state("answered");
  // The drawing on the sheet is scored again, with another key.
  await page.waitForFunction(() => document.querySelector("#confidence").textContent === "only the digit left the server");
  assert.equal(await visitor.text("#answer"), "7");
  assert.notEqual(await visitor.text("#key-id"), keyId);
  assert.equal(await page.isChecked('#models input[value="mnist-net"]'), true);
  assert.equal(await page.isVisible('[data-answer="scores"]'), false);
  const bars = await page.$$eval("#bars .bar", (all) => all.map((bar) => [bar.getAttribute("aria-valuetext"), bar.textContent]));
  assert.deepEqual(
    bars,
    [..."0123456789"].map((digit) => (digit === "7" ? ["this digit", "7yes"] : ["not this digit", `${digit}no`])),
  );
  assert.match(visitor.requests.at(-1).url(), /mnist-net-label\/score$/);

  // A model without such a switch doesn't have it, and keeps it for the next one that does.
  await page.check('#models input[value="mnist-net-small"]');
  await visitor.state("answered");
  assert.equal(await page.isVisible("#only-label"), false);
  await page.check('#models input[value="mnist-net"]');
  await page.waitForFunction(() => document.querySelector("#confidence").textContent === "only the digit left the server");
  await page.uncheck("#only-label");
  await page.waitForFunction(() => document.querySelector("#confidence").textContent.startsWith("probability"));
  visitor.assertClean();
  await visitor.close();
});

test("a page that is asked for the model of which only the digit leaves starts with the switch on", async () => {
  const visitor = await Visitor.open(browser, { model: "mnist-net-label" });
  await visitor.ready();
  assert.equal(await visitor.page.isChecked("#only-label"), true);
  assert.equal(await visitor.page.isChecked('#models input[value="mnist-net"]'), true);
  assert.equal(await visitor.page.locator("#models input").count(), 3);
  assert.equal(await visitor.askExample(0), "7");
  visitor.assertClean();
  await visitor.close();
});

test("'Forget me' deletes the keys of all models, in the storage and on the server", async () => {
  const visitor = await Visitor.open(browser, { model: null });
  const { page } = visitor;
  const linear = await visitor.ready();
  await visitor.uses("mnist-net");
  const network = await visitor.ready();
  assert.notEqual(network, linear);
  assert.equal((await storedKeys(page)).length, 2);
  await page.click("#forget");
  await page.waitForFunction(() => document.querySelector("#status").textContent.startsWith("Forgotten"));
  assert.deepEqual(await storedKeys(page), []);
  for (const key of [linear, network]) assert.equal(await keyStatus("HEAD", key), 404);
  await visitor.close();
});

test("without IndexedDB, the page keeps its key for as long as it is open", async () => {
  const context = await browser.newContext();
  // Neither a script of the page nor an init script of the context can remove the worker's own
  // indexedDB, so the worker's code is changed.
  await context.route("**/assets/worker-*.js", async (route) => {
    const response = await route.fetch();
    const body = `Object.defineProperty(self, "indexedDB", { get() { throw new Error("denied"); } });\n${await response.text()}`;
    await route.fulfill({ response, body });
  });
  const page = await context.newPage();
  const visitor = new Visitor(context, page);
  await page.goto(new URL("/?model=mnist-linear", ORIGIN).href);
  await visitor.ready();
  assert.equal(await visitor.text("#secret-key"), "in this page’s memory only");
  assert.equal(await visitor.askExample(0), "7");
  await visitor.close();
});
