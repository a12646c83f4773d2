// Reads the tutorial's snippets by what a reader does with them.

/** What may follow the three backticks. Anything else fails. */
const KINDS = {
  "sh build": "build", // build commands, which `cargo xtask test` has run
  sh: "type", // commands
  text: "read", // output of the last commands; an ellipsis matches anything
};
/** A file to be saved under the name after the language. */
const FILE = /^(?:python|js) (\S+)$/;

/**
 * Returns all snippets in order: `{ kind, file, code, line }`. `kind` is build, type, read or save;
 * `file` is the name of a file to save, otherwise null.
 */
export function blocks(markdown) {
  return [...markdown.matchAll(/^```(.*)\n([^]*?)^```$/gm)].map(({ 1: info, 2: code, index }) => {
    const line = markdown.slice(0, index).split("\n").length;
    const file = info.match(FILE)?.[1] ?? null;
    const kind = file ? "save" : KINDS[info];
    if (!kind) throw new Error(`tutorial.md:${line}: unknown kind of snippet "${info}"`);
    return { kind, file, code, line };
  });
}

/** Returns a pattern for the whole output as the document shows it. */
export function shown(text) {
  const [first, ...more] = text.trim().split("…");
  return new RegExp(`^${[first, ...more].map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&")).join("[^]*?")}$`);
}
