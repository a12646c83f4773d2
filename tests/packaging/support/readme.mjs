// Reads the snippets of the packed README, and tables of error codes.

/** What may follow the three backticks, and what the snippet is. Anything else fails. */
const KINDS = new Set([
  "js", // a module in Node
  "ts", // the same, in TypeScript
  "js records", // a module in Node, about a model that takes records
  "js browser", // a page's main.js, or a file that the next page needs: "js browser worker.js"
  "js plain", // a page's main.js without a bundler
  "html", // the page around it
  "js esbuild", // a page's main.js for esbuild
  "sh esbuild", // the command for it
  "js next", // a file of the project for Next.js: "js next next.config.mjs"
  "jsx next", // the same, with JSX
  "sh", // how to install the package
  "http", // a content security policy
]);

/** Returns all snippets: `{ kind, file, code, line }`; `file` is null if the snippet names none. */
export function snippets(markdown) {
  return [...markdown.matchAll(/^```(.*)\n([^]*?)^```$/gm)].map(({ 1: info, 2: code, index }) => {
    const line = markdown.slice(0, index).split("\n").length;
    const [, kind = info, file = null] = info.match(/^(js browser|jsx? next) (\S+)$/) ?? [];
    if (!KINDS.has(kind)) throw new Error(`README.md:${line}: unknown kind of snippet "${info}"`);
    return { kind, file, code, line };
  });
}

/** Returns the rows of the README's table of errors: `{ codes, kind, recovery }`. */
export function errors(markdown) {
  return table(markdown, "code", "class", "recovery").map(([codes, kind, recovery]) => {
    return { codes: words(codes), kind: words(kind)[0], recovery: words(recovery)[0] };
  });
}

/** Returns the table of problem codes in docs/http.md: `{ code, status, recovery }`. */
export function problems(markdown) {
  return table(markdown, "code", "status", "recovery").flatMap(([codes, status, recovery]) => {
    // One status for all codes of the row, or one for each.
    const statuses = status.split(",").map(Number);
    return words(codes).map((code, index) => ({ code, status: statuses[index] ?? statuses[0], recovery: words(recovery)[0] }));
  });
}

/** Returns the cells of each row of the table that begins with these columns. */
function table(markdown, ...columns) {
  const [, rows] = markdown.match(new RegExp(`^\\| ${columns.join(" \\| ")} \\|.*\n\\|[-|]*\n((?:\\|.*\n)*)`, "m"));
  return rows
    .trim()
    .split("\n")
    .map((row) => row.split("|").slice(1));
}

/** Returns what stands in backticks. */
function words(cell) {
  return [...cell.matchAll(/`([^`]*)`/g)].map(([, word]) => word);
}
