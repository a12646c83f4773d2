// A visit to a page in Chromium: what it asks for, what it logs, and what it complains about.
import assert from "node:assert/strict";

const PATIENCE_MS = 60_000;

/**
 * Opens a page in a context of its own and waits until it logs a line that starts with `word`, which it gives. Fails if the page, or a
 * worker of it, complains, asks another origin, or fetches the WebAssembly more or less than once.
 */
export async function visit(browser, address, word) {
  const context = await browser.newContext();
  // Chromium asks for an icon where no policy forbids it; no app has one.
  await context.route("**/favicon.ico", (route) => route.fulfill({ status: 204 }));
  const asked = [];
  const complaints = [];
  const logged = [];
  const spoken = new Promise((resolve) => {
    const complain = (text) => {
      complaints.push(text);
      resolve();
    };
    // The context's events, not the page's: workers are heard as well.
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
    await spoken;
    assert.deepEqual(complaints, []);
    const line = logged.find((text) => starts(text, word));
    assert.ok(line, `the page logged only: ${logged.join("\n")}`);
    assert.deepEqual(asked.filter(({ origin }) => origin !== new URL(address).origin).map(String), []);
    const wasm = asked.filter(({ pathname }) => pathname.endsWith(".wasm")).map(String);
    assert.equal(wasm.length, 1, `fetched: ${wasm}`);
    return line;
  } finally {
    await context.close();
  }
}

/** Whether a line's first word is this one. */
export function starts(line, word) {
  return line.split(" ")[0] === word;
}
