// A server of a test's own, to be stopped, started again, starved and flooded.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { SERVER } from "./environment.mjs";

export class OwnServer {
  /** Starts one with an empty store on a free port. On a disk of `diskBytes` bytes, if given: then it can't be started again. */
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

  /** The process ends, as if it had crashed. */
  async kill() {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const exit = once(this.process, "exit");
    this.process.kill("SIGKILL");
    await exit;
  }

  /** Starts the killed server again: same address, same store. */
  restart() {
    return this.#launch(new URL(this.origin).host);
  }

  async close() {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #launch(bind) {
    const serve = [SERVER, "serve", "--bind", bind, "--data-dir", this.folder, "--log", "warn", ...this.args];
    // A mount of this process alone; gone when it ends.
    const mount = `mount -t tmpfs -o size=${this.diskBytes} none "$0" && exec "$@"`;
    const command = this.diskBytes ? ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, this.folder, ...serve] : serve;
    // The tests' own variables are no options of the server, which refuses those that it doesn't know.
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
