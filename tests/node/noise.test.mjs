// Tests that the packed package's queries have the noise stated in docs/security.md. Less would be
// insecure.
import assert from "node:assert/strict";
import { createCipheriv, createHash } from "node:crypto";
import { before, test } from "node:test";
import { ORIGIN } from "../support/server.mjs";
import { emptyProject, importFrom } from "../support/tarball.mjs";

const HEADER = 84;
const SEED = 16;
const QUERY = 2;
const FEATURES = 784;
/** Number of queries: 52,000 samples put `TOLERANCE` at four standard errors or more. */
const QUERIES = 67;
/** Accepted difference, as a fraction of the stated deviation. */
const TOLERANCE = 0.02;

/**
 * Parameter sets: number, k and N of the ring in which features are encrypted, base-2 logarithm of
 * the noise's bound, and bits of each body that are sent.
 */
const SETS = {
  "linear-n2048-v3": { number: 5, k: 1, n: 2048, bound: 17, bits: 48 },
  "linear-n2048-fine-v3": { number: 6, k: 1, n: 2048, bound: 17, bits: 48 },
  "network-n704-k4-v3": { number: 7, k: 11, n: 64, bound: 50, bits: 18 },
};

let blindscore;

before(async () => {
  blindscore = await importFrom(await emptyProject());
});

/** Returns a query's masks as pairs of 32-bit words, the lower one first. */
function masks(seed, { number, k, n }) {
  const domain = Buffer.alloc(6);
  domain.writeUInt16LE(QUERY, 0);
  domain.writeUInt32LE(number, 2);
  const key = createHash("sha256").update("blindscore masks, ChaCha20, format 3").update(domain).update(seed).digest();
  const zeros = Buffer.alloc(8 * k * n * Math.ceil(FEATURES / n));
  const stream = createCipheriv("chacha20", key, Buffer.alloc(16)).update(zeros);
  return new Uint32Array(Uint8Array.from(stream).buffer);
}

/** Unpacks numbers of `bits` bits, the lowest bit first. */
function unpack(bytes, bits) {
  const values = [];
  let [pending, have] = [0n, 0n];
  for (const byte of bytes) {
    pending |= BigInt(byte) << have;
    have += 8n;
    while (have >= bits && values.length < FEATURES) {
      values.push(pending & ((1n << bits) - 1n));
      pending >>= bits;
      have -= bits;
    }
  }
  return values;
}

/** Returns the noise of each feature of a query for an empty image. */
function errors(query, secret, set) {
  const words = masks(query.subarray(HEADER, HEADER + SEED), set);
  const bodies = unpack(query.subarray(HEADER + SEED), BigInt(set.bits));
  return bodies.map((body, feature) => {
    const first = Math.floor(feature / set.n) * set.k * set.n;
    const position = feature % set.n;
    // Sums of 2,048 numbers below 2^32 are exact.
    let [low, high] = [0, 0];
    for (let component = 0; component < set.k; component++) {
      for (let index = 0; index < set.n; index++) {
        if (!secret[component * set.n + index]) continue;
        // X^N = -1.
        const sign = index > position ? -1 : 1;
        const at = 2 * (first + component * set.n + ((position - index + set.n) % set.n));
        low += sign * words[at];
        high += sign * words[at + 1];
      }
    }
    const product = BigInt(low) + (BigInt(high) << 32n);
    return Number(BigInt.asIntN(64, (body << BigInt(64 - set.bits)) - product));
  });
}

/** Returns queries for empty images as `predict` sends them, and the key. */
async function sent(model) {
  const client = await blindscore.Blindscore.connect(ORIGIN, { model });
  await client.ensureKeys();
  const [set, key] = [client.model.parameter_set, client.exportSecretKey()];
  const queries = [];
  for (let index = 0; index < QUERIES; index++) {
    const { trace } = await client.predict(new Float64Array(FEATURES), { trace: true });
    queries.push(trace.query);
  }
  await client.forget();
  client.free();
  return { set, key, queries };
}

/** Returns the same from `encrypt`, for a set that none of the server's models uses. */
async function made(parameter_set) {
  const model = { ...(await (await fetch(`${ORIGIN}/v1/models/mnist-linear`)).json()), parameter_set };
  const { secretKey } = await blindscore.generateKeysAsync(model);
  const queries = Array.from({ length: QUERIES }, () => blindscore.encrypt(model, secretKey, new Float64Array(FEATURES)));
  return { set: parameter_set, key: secretKey, queries };
}

for (const [name, make] of [
  ["mnist-linear", sent],
  ["mnist-net-small", sent],
  ["linear-n2048-fine-v3", made],
]) {
  test(`queries for ${name} have the stated noise`, async () => {
    const { set: parameters, key, queries } = await make(name);
    const set = SETS[parameters];
    const bytes = key.subarray(HEADER);
    const secret = Array.from({ length: set.k * set.n }, (_, index) => (bytes[index >> 3] >> (index & 7)) & 1);
    const all = queries.flatMap((query) => errors(query, secret, set));

    const step = 2 ** (64 - set.bits);
    const stated = Math.sqrt((2 ** (2 * set.bound + 1) + 1) / 6 + step ** 2 / 12);
    const mean = all.reduce((sum, error) => sum + error, 0) / all.length;
    const variance = all.reduce((sum, error) => sum + (error - mean) ** 2, 0) / all.length;
    const [shift, ratio] = [mean / stated, Math.sqrt(variance) / stated];
    console.log(`${name}: mean ${shift.toFixed(4)}, deviation ${ratio.toFixed(4)} of what is stated, ${all.length} samples`);
    assert.ok(Math.abs(shift) < TOLERANCE, `the mean is ${shift} deviations`);
    assert.ok(Math.abs(ratio - 1) < TOLERANCE, `the deviation is ${ratio} of what is stated`);
  });
}
