// The packed README's code, by what it is for.

/** What may stand behind the three backticks, and what becomes of it. Anything else fails. */
const KINDS = new Set([
  "js", // a module in Node
  "ts", // the same, in TypeScript
  "js browser", // a page's main.js, or a file that the next one needs: "js browser worker.js"
  "js plain", // a page's main.js without a bundler
  "html", // the page around it
  "js esbuild", // a page's main.js for esbuild
  "sh esbuild", // the command for it
  "sh", // how to install the package
  "http", // a content security policy
]);

/** All code: `{ kind, file, code, line }`; `file` is null where the snippet has no name of its own. */
export function snippets(markdown) {
  return [...markdown.matchAll(/^```(.*)\n([^]*?)^```$/gm)].map(({ 1: info, 2: code, index }) => {
    const line = markdown.slice(0, index).split("\n").length;
    const file = info.match(/^js browser (\S+)$/)?.[1] ?? null;
    const kind = file ? "js browser" : info;
    if (!KINDS.has(kind)) throw new Error(`README.md:${line}: nothing is known of "${info}"`);
    return { kind, file, code, line };
  });
}

/** The rows of the table of errors: `{ codes, kind, recovery }`. */
export function errors(markdown) {
  const [, table] = markdown.match(/^\| code \| class \| recovery \|.*\n\|[-|]*\n((?:\|.*\n)*)/m);
  return table
    .trim()
    .split("\n")
    .map((row) => {
      const [codes, kind, recovery] = row
        .split("|")
        .slice(1, 4)
        .map((cell) => [...cell.matchAll(/`([^`]*)`/g)].map(([, word]) => word));
      return { codes, kind: kind[0], recovery: recovery[0] };
    });
}
