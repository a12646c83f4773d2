// A server that deviates from the protocol: a proxy in front of the real one.
import { createServer } from "node:http";
import { after } from "node:test";
import { ORIGIN } from "./server.mjs";

/**
 * Starts a proxy whose responses `answer` may replace: it takes the request and the response, and
 * returns whether it has responded. `requests` lists all requests. The proxy ends with the test.
 */
export async function proxy(answer) {
  const requests = [];
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const { method, headers } = request;
    requests.push(`${method} ${request.url}`);
    response.on("error", () => {});
    if (await answer(request, response)) return;
    delete headers.host;
    const body = chunks.length > 0 ? Buffer.concat(chunks) : undefined;
    const passed = await fetch(ORIGIN + request.url, { method, headers, body });
    response.writeHead(passed.status, { "content-type": passed.headers.get("content-type") ?? "text/plain" });
    response.end(Buffer.from(await passed.arrayBuffer()));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { address: `http://127.0.0.1:${server.address().port}`, requests };
}
