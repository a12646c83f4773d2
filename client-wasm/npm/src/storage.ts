import { StorageError } from "./errors.js";

/**
 * Storage for secret keys between visits. `connect` looks for a key there, `ensureKeys` stores it
 * once its public key is on the server, and `forget` deletes it. The client chooses the names: the
 * server's address and the parameter set.
 *
 * Whoever can read the storage can read every query and answer made with the key.
 */
export interface KeyStorage {
  /**
   * Whether `get` returns and `set` stores copies, as in the storages here. If so, the client
   * overwrites its arrays with zeros once it is done with them. If not, the arrays belong to the
   * storage and stay unchanged.
   */
  readonly copies?: boolean;
  /** Returns the key of this name, if there is one. */
  get(name: string): Promise<Uint8Array | undefined>;
  /** Stores a key, in place of an older one. */
  set(name: string, secretKey: Uint8Array): Promise<void>;
  /** Deletes a key. Does nothing if it isn't there. */
  delete(name: string): Promise<void>;
}

const STORE = "secret-keys";

/**
 * Creates a storage in IndexedDB. Every script of the page's origin can read the keys; no other
 * origin can.
 */
export function indexedDbStorage(database = "blindscore"): KeyStorage {
  let opening: Promise<IDBDatabase> | undefined;

  function open(): Promise<IDBDatabase> {
    opening ??= new Promise<IDBDatabase>((resolve, reject) => {
      const request = indexedDB.open(database, 1);
      request.onupgradeneeded = () => request.result.createObjectStore(STORE);
      request.onsuccess = () => {
        // Another page needs to delete or upgrade the database.
        request.result.onversionchange = () => {
          request.result.close();
          opening = undefined;
        };
        resolve(request.result);
      };
      request.onerror = () => reject(request.error);
      request.onblocked = () => reject(new Error("another page holds the database open"));
    }).catch((error: unknown) => {
      opening = undefined;
      throw failed(error);
    });
    return opening;
  }

  async function run<T>(mode: IDBTransactionMode, work: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
    const opened = await open();
    return new Promise<T>((resolve, reject) => {
      const transaction = opened.transaction(STORE, mode, { durability: "strict" });
      const request = work(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = transaction.onerror = () => reject(failed(transaction.error));
    });
  }

  return {
    copies: true,
    async get(name) {
      const found: unknown = await run<unknown>("readonly", (store) => store.get(name));
      return found instanceof Uint8Array ? found : undefined;
    },
    async set(name, secretKey) {
      await run("readwrite", (store) => store.put(secretKey, name));
    },
    async delete(name) {
      await run("readwrite", (store) => store.delete(name));
    },
  };
}

/** Creates a storage that keeps keys as long as the page or program runs. */
export function memoryStorage(): KeyStorage {
  const keys = new Map<string, Uint8Array>();
  return {
    copies: true,
    get: (name) => Promise.resolve(keys.get(name)?.slice()),
    set(name, secretKey) {
      keys.get(name)?.fill(0);
      keys.set(name, Uint8Array.from(secretKey));
      return Promise.resolve();
    },
    delete(name) {
      keys.get(name)?.fill(0);
      keys.delete(name);
      return Promise.resolve();
    },
  };
}

function failed(cause: unknown): StorageError {
  return new StorageError("storage", `the key storage failed: ${String(cause)}`, "none", { cause });
}
