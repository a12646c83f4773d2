import type { KeyGeneration, SecretKey } from "./blindscore.js";
import { rethrow } from "./errors.js";

/** Groups of ciphertexts between two checks of the clock: a few milliseconds of work. */
const STEP = 4;
/** Milliseconds to work before yielding to the event loop. */
const TURN_MS = 12;

/** Generates a public key without yielding. */
export function generateNow(secret: SecretKey, onProgress: (fraction: number) => void): Uint8Array {
  return use(secret.startPublicKey(), (generation) => {
    while (advance(generation, onProgress) < 1);
    return secret.finishPublicKey(generation);
  });
}

/**
 * Generates a public key in steps, so that the thread stays responsive and the work can be aborted.
 */
export async function generate(secret: SecretKey, onProgress: (fraction: number) => void, signal?: AbortSignal): Promise<Uint8Array> {
  signal?.throwIfAborted();
  onProgress(0);
  const generation = rethrow(() => secret.startPublicKey());
  try {
    for (;;) {
      signal?.throwIfAborted();
      if (advance(generation, onProgress) >= 1) break;
      await turn();
    }
  } catch (error) {
    generation.free();
    throw error;
  }
  return secret.finishPublicKey(generation);
}

function use<T>(generation: KeyGeneration, work: (generation: KeyGeneration) => T): T {
  try {
    return work(generation);
  } catch (error) {
    generation.free();
    throw error;
  }
}

function advance(generation: KeyGeneration, onProgress: (fraction: number) => void): number {
  const end = performance.now() + TURN_MS;
  let fraction: number;
  do fraction = generation.advance(STEP);
  while (fraction < 1 && performance.now() < end);
  onProgress(fraction);
  return fraction;
}

/** Yields to the event loop. A timer would wait 4 ms each time. */
function turn(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}
