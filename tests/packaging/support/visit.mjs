// Visits to pages in Chromium that record requests, logs and complaints.
import assert from "node:assert/strict";

const PATIENCE_MS = 60_000;

/**
 * Opens a page in a new context, waits until it logs a line whose first word is `word`, and returns
 * the line. Fails if the page or one of its workers complains, sends requests to another origin, or
 * doesn't fetch the WebAssembly exactly once. `first` acts on the page before that line, `last`
 * after it.
 */
export async function visit(browser, address, word, { first = async () => {}, last = async () => {} } = {}) {
  const context = await browser.newContext();
  // Chromium requests an icon unless a policy forbids it, and no app has one.
  await context.route("**/favicon.ico", (route) => route.fulfill({ status: 204 }));
  const asked = [];
  const complaints = [];
  const logged = [];
  const spoken = new Promise((resolve) => {
    const complain = (text) => {
      complaints.push(text);
      resolve();
    };
    // The context's events, unlike the page's, include those of workers.
    context.on("request", (request) => asked.push(new URL(request.url())));
    context.on("weberror", (error) => complain(String(error.error())));
    context.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) complain(`${message.text()} (${message.location().url})`);
      logged.push(message.text());
      if (starts(message.text(), word)) resolve();
    });
    setTimeout(resolve, PATIENCE_MS).unref();
  });
  try {
    const page = await context.newPage();
    await page.goto(address);
    await first(page);
    await spoken;
    assert.deepEqual(complaints, []);
    const line = logged.find((text) => starts(text, word));
    assert.ok(line, `the page logged only: ${logged.join("\n")}`);
    await last(page);
    assert.deepEqual(asked.filter(({ origin }) => origin !== new URL(address).origin).map(String), []);
    const wasm = asked.filter(({ pathname }) => pathname.endsWith(".wasm")).map(String);
    assert.equal(wasm.length, 1, `fetched: ${wasm}`);
    return line;
  } finally {
    await context.close();
  }
}

/** Returns whether `word` is the first word of a line. */
export function starts(line, word) {
  return line.split(" ")[0] === word;
}
