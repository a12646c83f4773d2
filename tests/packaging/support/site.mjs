// A web server as a user of the package might have: static files with a strict policy, and the API
// at the same origin.
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer, request } from "node:http";
import { extname, join, normalize } from "node:path";
import { ORIGIN } from "../../support/server.mjs";
import { digits } from "./digits.mjs";

/** The content security policy in the package's README. */
export const POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; worker-src 'self'";

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".json": "application/json",
  ".wasm": "application/wasm",
};

/** Serves a folder, with a content security policy. */
export async function serve(folder, { policy = POLICY } = {}) {
  const server = createServer((incoming, outgoing) => {
    const { pathname } = new URL(incoming.url, "http://site");
    if (pathname.startsWith("/v1/")) forward(incoming, outgoing);
    else if (pathname === "/digits.json") outgoing.setHeader("content-type", TYPES[".json"]).end(JSON.stringify(digits));
    else void file(join(folder, normalize(pathname.endsWith("/") ? `${pathname}index.html` : pathname)), policy, outgoing);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** Forwards a request to the server, whose API allows no other origin. */
function forward(incoming, outgoing) {
  const { method, headers, url } = incoming;
  const onwards = request(new URL(url, ORIGIN), { method, headers: { ...headers, host: new URL(ORIGIN).host } }, (answer) => {
    outgoing.writeHead(answer.statusCode, answer.headers);
    answer.pipe(outgoing);
  });
  onwards.on("error", (error) => outgoing.destroy(error));
  outgoing.on("close", () => onwards.destroy());
  incoming.pipe(onwards);
}

async function file(path, policy, outgoing) {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isFile()) {
    outgoing.writeHead(404).end();
    return;
  }
  outgoing.setHeader("content-security-policy", policy);
  outgoing.setHeader("x-content-type-options", "nosniff");
  outgoing.setHeader("content-type", TYPES[extname(path)] ?? "application/octet-stream");
  createReadStream(path).pipe(outgoing);
}
