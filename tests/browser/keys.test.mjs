// Tests keys that are deleted, by the visitor or behind the page's back.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch } from "../support/chromium.mjs";
import { keyStatus, Visitor } from "./support/visitor.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

test("'Forget me' deletes the key on the server, and drawing again makes another", async () => {
  const visitor = await Visitor.open(browser);
  const { page } = visitor;
  const keyId = await visitor.ready();
  assert.equal(await visitor.askExample(0), "7");
  assert.equal(await keyStatus("HEAD", keyId), 200);

  await page.focus("#forget");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelector("#status").textContent.startsWith("Forgotten"));
  assert.equal(await keyStatus("HEAD", keyId), 404);
  assert.equal(await visitor.text("#answer"), "");
  assert.match(await visitor.text("#key-uploaded"), /^deleted at /);
  assert.ok(await page.isDisabled("#forget"));

  assert.equal(await visitor.askExample(0), "7");
  const next = await visitor.text("#key-id");
  assert.notEqual(next, keyId);
  assert.equal(await keyStatus("HEAD", next), 200);
  visitor.assertClean();
  await visitor.close();
});

test("a key deleted behind the page's back is replaced", async () => {
  const visitor = await Visitor.open(browser);
  const keyId = await visitor.ready();
  await visitor.askExample(0);
  await keyStatus("DELETE", keyId);
  assert.equal(await keyStatus("HEAD", keyId), 404);
  assert.equal(await visitor.askExample(1), "2");
  const next = await visitor.text("#key-id");
  assert.notEqual(next, keyId);
  assert.equal(await keyStatus("HEAD", next), 200);
  assert.match(await visitor.text("#notice"), /no longer had your public key/);
  await visitor.close();
});
