// Tests that copies of a secret key are overwritten when they are no longer needed.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { digits } from "../support/digits.mjs";
import { ORIGIN } from "../support/server.mjs";
import { emptyProject, importFrom } from "../support/tarball.mjs";

let blindscore;
/** The WebAssembly's memory. The package doesn't export it, so its creation is intercepted. */
let memory;
before(async () => {
  const { instantiate } = WebAssembly;
  WebAssembly.instantiate = async (...parts) => {
    const made = await instantiate.apply(WebAssembly, parts);
    const { exports } = made.instance ?? made;
    // Node instantiates WebAssembly for its own fetch, too.
    if ("normalizeDrawing" in exports) memory = exports.memory;
    return made;
  };
  blindscore = await importFrom(await emptyProject());
  await blindscore.init();
  WebAssembly.instantiate = instantiate;
});

const [digit] = digits(1);
const isWiped = (bytes) => bytes.every((byte) => byte === 0);
/** Returns whether the memory contains the last bytes of an exported key, which are key bits. */
const inMemory = (key) => Buffer.from(memory.buffer).includes(Buffer.from(key.subarray(-64)));

/** Returns a storage that records every array passed to it or returned by it. */
function watched(storage, copies) {
  const seen = [];
  const see = (bytes) => {
    if (bytes) seen.push(bytes);
    return bytes;
  };
  return {
    seen,
    copies,
    get: async (name) => see(await storage.get(name)),
    set: (name, key) => storage.set(name, see(key)),
    delete: (name) => storage.delete(name),
  };
}

test("arrays passed to or from a storage that copies are wiped, and no others", async () => {
  const { Blindscore, memoryStorage } = blindscore;
  const inner = memoryStorage();
  const storage = watched(inner, true);
  const first = await Blindscore.connect(ORIGIN, { storage });
  await first.ensureKeys();
  const exported = first.exportSecretKey();
  const later = await Blindscore.connect(ORIGIN, { storage });
  assert.equal(later.keyId, first.keyId);
  assert.equal(storage.seen.length, 2, "one was stored, one was read");
  assert.ok(storage.seen.every(isWiped));
  const name = `${ORIGIN} ${first.model.parameter_set}`;
  assert.deepEqual(await inner.get(name), exported, "the storage has it still");
  assert.equal((await later.predict(digit.features)).label, digit.label);

  // A custom storage may keep the array itself.
  const own = new Map();
  const keeping = { get: async (name) => own.get(name), set: async (name, key) => own.set(name, key), delete: async (name) => own.delete(name) };
  const third = await Blindscore.connect(ORIGIN, { storage: keeping, secretKey: exported });
  await third.ensureKeys();
  await fetch(`${ORIGIN}/v1/keys/${third.keyId}`, { method: "DELETE" });
  await third.predict(digit.features);
  assert.equal((await Blindscore.connect(ORIGIN, { storage: keeping })).keyId, third.keyId);
  assert.ok(!isWiped(exported), "the caller's array is the caller's");
  await third.forget();
});

test("no copy of an exported key stays in the WebAssembly's memory", async () => {
  const { Blindscore, encrypt } = blindscore;
  const client = await Blindscore.connect(ORIGIN);
  await client.ensureKeys();
  const key = client.exportSecretKey();
  assert.ok(!inMemory(key), "by the export");
  assert.ok(inMemory(Buffer.from(client.model.title)), "what is in the memory is found");
  const second = await Blindscore.connect(ORIGIN, { secretKey: key });
  assert.ok(!inMemory(key), "by the import");
  encrypt(client.model, key, digit.features);
  assert.ok(!inMemory(key), "by functions that take the key");
  await client.forget();
  second.free();
  client.free();
  assert.ok(!inMemory(key));
});
