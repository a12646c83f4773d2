// Tests the loan tab: its scores, its form, its address, its key, and that no number leaves it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { launch } from "../support/chromium.mjs";
import { ORIGIN } from "../support/server.mjs";
import { keyStatus, Visitor } from "./support/visitor.mjs";

/** Rows of applications with XGBoost's own probabilities. The first three are those of the page. */
const LOANS = JSON.parse(readFileSync(new URL("../fixtures/loans.json", import.meta.url), "utf8"));
const MODEL = "loan-trees";
/** Size of a blob's header, in bytes. */
const HEADER = 84;

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

const visit = (options = {}) => Visitor.open(browser, { model: null, tab: "loan", ...options });
const values = (page) => page.$$eval("#application input", (inputs) => inputs.map(({ value }) => Number(value)));
/** Waits until a tab is open. */
const opened = (page, name) => page.waitForSelector(`[role="tab"][aria-selected="true"]:text-is("${name}")`);
const hints = (page) =>
  page.$$eval('[aria-invalid="true"]', (inputs) =>
    inputs.map((input) => document.getElementById(input.getAttribute("aria-describedby")).textContent),
  );

test("probabilities are XGBoost's own, up to the stated error", async () => {
  const { score_error: deviation } = await (await fetch(`${ORIGIN}/v1/models/${MODEL}`)).json();
  const visitor = await visit();
  await visitor.ready();
  for (const { row, probability } of LOANS) {
    const shown = await visitor.apply(row);
    // The page shows tenths of a percent.
    const allowed = 6 * deviation * probability * (1 - probability) + 0.0005;
    assert.ok(Math.abs(shown - probability) <= allowed, `${row}: ${shown} instead of ${probability}`);
  }
  visitor.assertClean();
  await visitor.close();
});

test("the form starts filled in, and its examples are scored at once", async () => {
  const visitor = await visit();
  const { page } = visitor;
  const [start, careful, risky] = LOANS;
  await visitor.ready();
  assert.deepEqual(await values(page), start.row);
  const shown = [];
  for (const [name, { row }] of [
    ["careful", careful],
    ["risky", risky],
  ]) {
    await page.click(`[data-example=${name}]`);
    await visitor.state("answered");
    assert.deepEqual(await values(page), row);
    shown.push(await visitor.risk());
  }
  assert.ok(shown[0] < 0.05 && shown[1] > 0.5, `${shown}`);
  assert.match(await visitor.text("#risk-words"), /about 8 in 10 are not repaid: more than usual/);
  assert.match(await visitor.text("#announce"), /^Not repaid with a probability of/);
  await visitor.close();
});

test("another number takes the answer away", async () => {
  const visitor = await visit();
  await visitor.ready();
  await visitor.apply(LOANS[0].row);
  await visitor.page.fill("#field-amount", "9100");
  assert.equal(await visitor.text("#risk"), "");
  assert.equal(await visitor.text("#query-hex"), "");
  await visitor.state("ready");
  await visitor.close();
});

test("wrong numbers are explained beside them, and nothing is sent", async () => {
  const visitor = await visit();
  const { page } = visitor;
  await visitor.ready();
  await visitor.fillIn(["", "2.5", "100", "-1", "1", "twelve"]);
  await page.click("text=Score it");
  assert.deepEqual(await hints(page), ["Enter a number", "Enter a whole number", "At most 84", "Enter a whole number", "Enter a whole number"]);
  assert.equal(await page.evaluate(() => document.activeElement.id), "field-income");
  assert.match(await visitor.text("#status"), /^5 numbers are not right yet/);
  assert.deepEqual(visitor.queries(), []);
  // A number that is mended is right at once; thousands may be grouped.
  await page.fill("#field-income", "2,600");
  assert.equal((await hints(page)).length, 4);
  await visitor.apply(["2 600", "9,000", "36", "4", "1", "0"]);
  assert.deepEqual(await hints(page), []);
  visitor.assertClean();
  await visitor.close();
});

test("tabs open by keyboard and by the browser's Back, and keep what was entered", async () => {
  const visitor = await Visitor.open(browser);
  const { page } = visitor;
  await visitor.ready();
  assert.equal(await visitor.askExample(0), "7");
  const digits = await visitor.text("#key-id");
  await page.focus("#tab-digit");
  await page.keyboard.press("ArrowRight");
  await opened(page, "Loan");
  assert.equal(await page.evaluate(() => document.activeElement.id), "tab-loan");
  assert.equal(new URL(page.url()).hash, "#loan");
  assert.equal(await page.getAttribute("#demo", "aria-labelledby"), "tab-loan");
  assert.ok(!(await page.isVisible("#drawing")));
  const loans = await visitor.ready();
  assert.notEqual(loans, digits);
  await page.fill("#field-income", "3000");

  await page.keyboard.press("Shift+Tab");
  await page.goBack();
  await opened(page, "Digit");
  assert.ok(!(await page.isVisible("#application")));
  // The drawing is still there, and is scored again.
  await visitor.state("answered");
  assert.equal(await visitor.text("#answer"), "7");
  assert.equal(await visitor.text("#key-id"), digits);

  await page.focus("#tab-digit");
  await page.keyboard.press("End");
  await visitor.ready();
  assert.equal(await page.inputValue("#field-income"), "3000");
  await page.keyboard.press("Home");
  await opened(page, "Digit");
  visitor.assertClean();
  await visitor.close();
});

test("a link to the tab makes its key only, and a reload none", async () => {
  const visitor = await visit();
  const { page } = visitor;
  const uploads = () => visitor.requests.filter((request) => request.method() === "PUT");
  await opened(page, "Loan");
  const keyId = await visitor.ready();
  const { sizes } = await (await fetch(`${ORIGIN}/v1/models/${MODEL}`)).json();
  assert.deepEqual(
    uploads().map((request) => request.postDataBuffer()?.length ?? sizes.public_key),
    [sizes.public_key],
  );
  await page.reload();
  assert.equal(await visitor.ready(), keyId);
  assert.equal(uploads().length, 1);
  await visitor.close();
});

test("'Forget me' deletes the keys of both tabs, and resets the form", async () => {
  const visitor = await visit();
  const { page } = visitor;
  const loans = await visitor.ready();
  await visitor.apply(LOANS[2].row);
  await page.click("#tab-digit");
  const digits = await visitor.ready();
  await page.click("#tab-loan");
  await visitor.state("answered");
  await page.click("#forget");
  await page.waitForFunction(() => document.querySelector("#status").textContent.startsWith("Forgotten"));
  for (const key of [loans, digits]) assert.equal(await keyStatus("HEAD", key), 404);
  assert.deepEqual(await values(page), LOANS[0].row);
  assert.equal(await visitor.text("#risk"), "");
  await visitor.close();
});

test("equal applications give queries that have nothing in common, and the page shows their bytes", async () => {
  const visitor = await visit();
  await visitor.ready();
  await visitor.apply(LOANS[0].row);
  await visitor.apply(LOANS[0].row);
  const [first, second] = visitor.queries().map((body) => body.subarray(HEADER));
  assert.equal(first.length, second.length);
  const equal = first.filter((byte, i) => byte === second[i]).length;
  assert.ok(equal < 0.05 * first.length, `${equal} of ${first.length} bytes are equal`);
  const shown = (await visitor.text("#query-hex")).replaceAll(" ", "");
  assert.equal(shown, second.subarray(0, shown.length / 2).toString("hex"));
  const sent = visitor.requests.map((request) => request.url() + JSON.stringify(request.headers())).join();
  assert.ok(!sent.includes("9000"), "a number was sent");
  visitor.assertClean();
  await visitor.close();
});

test("the bits on the page are those of the public grid", async () => {
  const { inputs } = await (await fetch(`${ORIGIN}/v1/models/${MODEL}`)).json();
  const visitor = await visit();
  await visitor.ready();
  const { row } = LOANS[2];
  await visitor.fillIn(row);
  const shown = await visitor.page.$$eval("#bits .cells", (rows) =>
    rows.map(({ children }) => [...children].map((cell) => cell.className === "one")),
  );
  const grids = inputs.encoding.steps.flatMap((step) => step.thermometer ?? []);
  assert.deepEqual(
    shown,
    grids.map(({ from, edges }) => edges.map((edge) => row[from] > edge)),
  );
  assert.equal(await visitor.text("[data-bits]"), String(inputs.count));
  await visitor.close();
});
