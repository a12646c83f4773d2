// The server under test, and servers of a test's own.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setting } from "./environment.mjs";

/** Origin of the running server that all tests share. */
export const ORIGIN = new URL(setting("BLINDSCORE_URL")).origin;

/**
 * A server that a test may stop, start again, starve and flood. `Server` in tests/src/server.rs is
 * the same for tests in Rust.
 */
export class OwnServer {
  /**
   * Starts a server with an empty store on a free port. With `diskBytes`, the store is on a disk of
   * that size, which is lost when the server ends.
   */
  static async start({ args = [], diskBytes } = {}) {
    const server = new OwnServer(mkdtempSync(join(tmpdir(), "blindscore-page-")), args, diskBytes);
    await server.#launch("127.0.0.1:0");
    return server;
  }

  constructor(folder, args, diskBytes) {
    this.folder = folder;
    this.args = args;
    this.diskBytes = diskBytes;
  }

  get keysFolder() {
    return join(this.folder, "keys");
  }

  /** Ends the process as a crash would. */
  async kill() {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const exit = once(this.process, "exit");
    this.process.kill("SIGKILL");
    await exit;
  }

  /** Starts the killed server again, at the same address and with the same store. */
  restart() {
    return this.#launch(new URL(this.origin).host);
  }

  async close() {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #launch(bind) {
    const serve = [setting("BLINDSCORE_SERVER"), "serve", "--bind", bind, "--data-dir", this.folder, "--log", "warn", ...this.args];
    // The mount is private to this process, and is gone when it ends.
    const mount = `mount -t tmpfs -o size=${this.diskBytes} none "$0" && exec "$@"`;
    const command = this.diskBytes ? ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, this.folder, ...serve] : serve;
    // The tests' own variables would be taken for options, and the server refuses unknown ones.
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("BLINDSCORE_")));
    this.process = spawn(command[0], command.slice(1), { env, stdio: ["ignore", "pipe", "inherit"] });
    const lines = createInterface({ input: this.process.stdout });
    for await (const line of lines) {
      const [, address] = line.split("listening on ");
      if (address) {
        this.origin = address.trim();
        return;
      }
    }
    throw new Error(`${command.join(" ")} did not start`);
  }
}
