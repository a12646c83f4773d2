// A shell that somebody types into, block after block.
import { spawn } from "node:child_process";
import { once } from "node:events";

export class Shell {
  #process;
  #output = "";
  #heard = () => {};
  #blocks = 0;

  /** Opens one in a folder. What it starts ends with it. */
  constructor(folder, env) {
    // A group of its own, so that the server in its background can be ended with it.
    this.#process = spawn("bash", ["--noprofile", "--norc", "-s"], { cwd: folder, env, detached: true, stdio: ["pipe", "pipe", "pipe"] });
    this.#process.on("close", () => this.#heard());
    this.#process.stdin.on("error", () => {}); // it has ended, which `type` notices
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => {
        this.#output += text;
        this.#heard();
      });
    }
    this.#process.stdin.write("set -e; exec 2>&1\n");
    process.on("exit", () => this.#kill());
    for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(1));
  }

  /** Types a block, and gives what it prints. Fails where a command of it does. */
  async type(code) {
    const end = `end of block ${++this.#blocks}`;
    this.#output = "";
    // In braces it has an empty input of its own, not the blocks that follow.
    this.#process.stdin.write(`{\n${code}\n} < /dev/null\necho "${end}"\n`);
    while (!this.#output.endsWith(`${end}\n`)) {
      if (this.#process.exitCode !== null || this.#process.signalCode !== null) {
        throw new Error(`a command failed, after this output:\n${this.#output}`);
      }
      await new Promise((resolve) => (this.#heard = resolve));
    }
    return this.#output.slice(0, -end.length - 1).trim();
  }

  /** Ends it, and whatever it left running. */
  async close() {
    const { exitCode, signalCode } = this.#process;
    const ended = exitCode === null && signalCode === null ? once(this.#process, "exit") : undefined;
    this.#kill();
    await ended;
  }

  #kill() {
    try {
      process.kill(-this.#process.pid, "SIGKILL");
    } catch (error) {
      if (error.code !== "ESRCH") throw error; // nothing is left of it
    }
  }
}
