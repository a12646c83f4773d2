// Fuzzes the packed npm package with a server that edits one response. Every call must return a
// value or a `BlindscoreError`, in bounded time and memory. `cargo xtask fuzz` runs it.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { setting } from "../tests/support/environment.mjs";
import { ORIGIN } from "../tests/support/server.mjs";
import { emptyProject, importFrom } from "../tests/support/tarball.mjs";

/** The clients' `timeout` for a request, in milliseconds; the time that its bytes take is added. */
const TIMEOUT = 2_000;
/**
 * Longest time of a call, in milliseconds: the largest descriptor, 4 MiB, takes 84 s at the lowest
 * rate that clients accept.
 */
const PATIENCE = 120_000;
/** Most memory that the process may use, in bytes. */
const MEMORY = 700 << 20;
/** Maximum size of an edited response, in bytes. */
const LONGEST = 1 << 20;

const crashes = setting("FUZZ_CRASHES");
const seconds = Number(setting("FUZZ_SECONDS"));
/** Seed of an earlier failure, to repeat only that. */
const again = process.env.FUZZ_INPUT ? Number(readFileSync(process.env.FUZZ_INPUT, "utf8")) : undefined;

/** Returns a random number generator with a seed (Mulberry32). */
function generator(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit) => Math.floor(next() * limit);
  return { below, one: (list) => list[below(list.length)] };
}

const TEXTS = ["", "null", "-1", "0", "1e400", "5e-324", "1e300", "NaN", "18446744073709551616", "[]", "{}", '"', "\\ud800", "\u0000", "\u001b[2J"];
// Without compression: Node's fetch never gives up on a truncated stream, so each of these would
// take as long as the largest descriptor may.
const HEADS = [
  "HTTP/1.1 200 OK\r\n",
  "HTTP/1.1 204 No Content\r\n",
  "HTTP/1.1 301 Moved\r\nlocation: http://127.0.0.1:1/\r\n",
  "HTTP/1.1 404 Not Found\r\ncontent-type: application/problem+json\r\n",
  "HTTP/1.1 503 Busy\r\nretry-after: x\r\n",
  "HTTP/1.1 999 \r\n",
  "HTTP/9.9 200 OK\r\n",
  "HTTP/1.1 200 OK\r\nserver-timing: score;dur=NaN, key;dur=-1e999, ;;==\r\n",
  "",
];

function edited(body, random) {
  let bytes = body;
  for (let count = 1 + random.below(4); count > 0; count -= 1) {
    const from = random.below(bytes.length + 1);
    const to = Math.min(bytes.length, from + random.below(32));
    const between = (middle) => Buffer.concat([bytes.subarray(0, from), middle, bytes.subarray(to)]);
    switch (random.below(7)) {
      case 0:
        bytes = between(Buffer.alloc(0));
        break;
      case 1:
        bytes = bytes.subarray(0, from);
        break;
      case 2:
        bytes = between(Buffer.from(random.one(TEXTS)));
        break;
      case 3:
        bytes = between(Buffer.from([random.below(256), random.below(256)]));
        break;
      case 4:
        bytes = between(Buffer.from(random.one(["[", '{"a":', " ", "9", "\\u0000"]).repeat(1 + random.below(100_000))));
        break;
      case 5: {
        // Replaces a number or a string in the JSON.
        const text = bytes.toString("latin1");
        const values = [...text.matchAll(/-?\d[\d.e+-]*|"[^"]*"|true|false/g)];
        if (values.length === 0) break;
        const { index, 0: value } = random.one(values);
        bytes = Buffer.from(text.slice(0, index) + random.one(TEXTS) + text.slice(index + value.length), "latin1");
        break;
      }
      default:
        if (bytes.length > 0) {
          bytes = Buffer.from(bytes);
          bytes[from % bytes.length] ^= 1 << random.below(8);
        }
    }
    bytes = bytes.subarray(0, LONGEST);
  }
  return bytes;
}

/** Which of the next responses is edited: the one after `good` others. */
let plan = { good: 0, random: generator(0), used: true };

const server = createServer(async (request, response) => {
  const socket = request.socket;
  try {
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    const { host, connection, "content-length": length, ...headers } = request.headers;
    const body = pieces.length > 0 ? Buffer.concat(pieces) : undefined;
    const answer = await fetch(ORIGIN + request.url, { method: request.method, headers, body });
    const good = Buffer.from(await answer.arrayBuffer());
    if (plan.used || plan.good > 0) {
      plan.good -= 1;
      const kept = [...answer.headers].filter(([name]) => !["connection", "content-encoding", "transfer-encoding"].includes(name));
      response.writeHead(answer.status, Object.fromEntries(kept)).end(good);
      return;
    }
    plan.used = true;
    const { random } = plan;
    let bytes = random.below(8) === 0 ? good : edited(good, random);
    if (random.below(200) === 0) bytes = Buffer.concat([bytes, Buffer.alloc(64 << 20, "9")]);
    const type = answer.headers.get("content-type") ?? "";
    const head = random.below(3) > 0 ? `HTTP/1.1 ${answer.status} X\r\ncontent-type: ${type}\r\n` : random.one(HEADS);
    const claimed = random.one([bytes.length, bytes.length, bytes.length, bytes.length + 1, 0, -1, 1e15]);
    socket.write(`${head}${random.below(4) > 0 ? `content-length: ${claimed}\r\n` : ""}\r\n`);
    socket.end(bytes);
  } catch {
    socket.destroy();
  }
});
server.on("clientError", (_, socket) => socket.destroy());
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const url = `http://127.0.0.1:${server.address().port}`;

const { Blindscore, BlindscoreError, memoryStorage } = await importFrom(await emptyProject());
const storage = memoryStorage();
let stray;
process.on("unhandledRejection", (error) => (stray = error));
process.on("uncaughtException", (error) => (stray = error));

async function attempt(seed) {
  const random = generator(seed);
  plan = { good: random.below(4), random, used: false };
  let timer;
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error("no outcome in time")), PATIENCE)));
  const calls = async () => {
    const client = await Blindscore.connect(url, { model: "mnist-linear", storage, timeout: TIMEOUT });
    try {
      await client.ensureKeys();
      return await client.predict(new Float64Array(784));
    } finally {
      client.free();
    }
  };
  try {
    const answer = await Promise.race([calls(), late]);
    if (!answer.scores.every(Number.isFinite)) throw new Error(`scores ${answer.scores}`);
  } catch (error) {
    if (!(error instanceof BlindscoreError) || typeof error.code !== "string") throw error;
    if (error.code === "internal") throw error;
  } finally {
    clearTimeout(timer);
  }
  if (stray) throw stray;
  if (process.memoryUsage().rss > MEMORY) throw new Error(`${process.memoryUsage().rss} bytes of memory`);
}

let executions = 0;
const end = Date.now() + seconds * 1000;
let seed = again ?? Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 32));
const first = seed;
try {
  do {
    await attempt(seed);
    executions += 1;
    seed = (seed + 1) >>> 0;
  } while (again === undefined && Date.now() < end);
} catch (error) {
  mkdirSync(crashes, { recursive: true });
  const path = join(crashes, `npm-${seed}`);
  writeFileSync(path, String(seed));
  console.error(error);
  console.error(`Test unit written to ${path}`);
  process.exitCode = 1;
}
console.error(`stat::number_of_executed_units: ${executions}`);
console.error(`seeds ${first} to ${seed}`);
server.closeAllConnections();
server.close();
process.exit();
