// The tutorial's code, by what a reader does with it.

/** What may stand behind the three backticks. Anything else fails. */
const KINDS = {
  "sh build": "build", // in the repository's folder; `cargo xtask test` has done it
  sh: "type", // at the prompt
  text: "read", // what the prompt's last block has printed; an ellipsis stands for what differs each time
};
/** A file that is to be saved under the name behind the language. */
const FILE = /^(?:python|js) (\S+)$/;

/** All code in order: `{ kind, file, code, line }`; `kind` is build, type, read or save, `file` what a save is called. */
export function blocks(markdown) {
  return [...markdown.matchAll(/^```(.*)\n([^]*?)^```$/gm)].map(({ 1: info, 2: code, index }) => {
    const line = markdown.slice(0, index).split("\n").length;
    const file = info.match(FILE)?.[1] ?? null;
    const kind = file ? "save" : KINDS[info];
    if (!kind) throw new Error(`tutorial.md:${line}: nothing is known of "${info}"`);
    return { kind, file, code, line };
  });
}

/** The whole output as the document shows it. */
export function shown(text) {
  const [first, ...more] = text.trim().split("…");
  return new RegExp(`^${[first, ...more].map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&")).join("[^]*?")}$`);
}
