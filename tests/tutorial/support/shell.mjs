// A shell that commands are typed into, block by block.
import { spawn } from "node:child_process";
import { once } from "node:events";

export class Shell {
  #process;
  #output = "";
  #heard = () => {};
  #blocks = 0;

  /** Opens a shell in a folder. Everything that it starts ends with it. */
  constructor(folder, env) {
    // A process group of its own, so that background processes can be killed with it.
    this.#process = spawn("bash", ["--noprofile", "--norc", "-s"], { cwd: folder, env, detached: true, stdio: ["pipe", "pipe", "pipe"] });
    this.#process.on("close", () => this.#heard());
    this.#process.stdin.on("error", () => {}); // the shell has ended, which `type` notices
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

  /** Types a block, and returns its output. Fails if one of its commands fails. */
  async type(code) {
    const end = `end of block ${++this.#blocks}`;
    this.#output = "";
    // In braces, so that commands read an empty input and not the blocks that follow.
    this.#process.stdin.write(`{\n${code}\n} < /dev/null\necho "${end}"\n`);
    while (!this.#output.endsWith(`${end}\n`)) {
      if (this.#process.exitCode !== null || this.#process.signalCode !== null) {
        throw new Error(`a command failed, after this output:\n${this.#output}`);
      }
      await new Promise((resolve) => (this.#heard = resolve));
    }
    return this.#output.slice(0, -end.length - 1).trim();
  }

  /** Ends the shell and everything it left running. */
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
      if (error.code !== "ESRCH") throw error; // no process is left
    }
  }
}
