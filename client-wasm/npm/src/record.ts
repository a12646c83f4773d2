import type { ModelDescriptor } from "./descriptor.js";
import { InputError } from "./errors.js";
import { quoted } from "./text.js";

/** Value of a record's column. `null`, `undefined` and `NaN` are missing values. */
export type Cell = number | string | boolean | null | undefined;

/** Record with named columns. `blindscore types` writes an exact type for a model. */
export interface ModelRecord {
  readonly [column: string]: Cell;
}

/**
 * What a model is asked about: a record, by names or in the order of the model's columns, or a list
 * of features.
 */
export type ModelInput = ArrayLike<number> | readonly Cell[] | ModelRecord;

/** Cells of a record in the form that the WebAssembly takes. */
export interface Cells {
  /** Numbers; NaN for missing values and texts. */
  numbers: Float64Array;
  /** Texts, in the places of columns that have one. */
  texts: (string | undefined)[];
}

/** Column of a record, as the descriptor describes it. */
interface Column {
  name?: string | undefined;
  kind: string;
}

/** Returns the cells of a record, or nothing if the input is a list of features as they are. */
export function cells({ inputs }: ModelDescriptor, input: ModelInput): Cells | undefined {
  const columns: readonly Column[] = inputs.encoding?.columns ?? (inputs.features ?? []).map(({ name }) => ({ name, kind: "number" }));
  const named = columns.length > 0 && columns.every(({ name }) => name !== undefined);
  const isList = Array.isArray(input) || ArrayBuffer.isView(input) || !named;
  if (isList && !inputs.encoding) return undefined;
  if (typeof input !== "object" || input === null) throw new InputError("record", `${String(input)} is not a record`);
  const values = isList ? listed(input as ArrayLike<unknown>, columns) : byName(input as ModelRecord, columns);
  const numbers = new Float64Array(columns.length).fill(Number.NaN);
  const texts = values.map((value, index) => {
    if (typeof value === "string") return value;
    if (typeof value === "number") numbers[index] = value;
    else if (typeof value === "boolean") numbers[index] = value ? 1 : 0;
    else if (value !== undefined && value !== null) {
      throw new InputError(
        "record",
        `column ${called(columns, index)} is of type ${typeof value}; a cell is a number, a text, true or false, or missing`,
      );
    }
    return undefined;
  });
  return { numbers, texts };
}

function listed(list: ArrayLike<unknown>, columns: readonly Column[]): unknown[] {
  const values = Array.from(list);
  if (values.length === columns.length) return values;
  throw new InputError("record", `the record has ${values.length} values, the model takes ${columns.length}`);
}

/** Returns the values of all columns. A name that the model doesn't know may be a misspelt one. */
function byName(record: ModelRecord, columns: readonly Column[]): unknown[] {
  const names = new Set(columns.map(({ name }) => name));
  const unknown = Object.keys(record).filter((name) => !names.has(name));
  if (unknown.length > 0) {
    const known = [...names].slice(0, 12).map((name) => JSON.stringify(name));
    throw new InputError(
      "record",
      quoted(
        `the model has no columns called ${unknown
          .slice(0, 12)
          .map((name) => JSON.stringify(name))
          .join(", ")}; it has ${known.join(", ")}`,
      ),
    );
  }
  return columns.map(({ name }) => (Object.hasOwn(record, name ?? "") ? record[name ?? ""] : undefined));
}

function called(columns: readonly Column[], index: number): string {
  return quoted(JSON.stringify(columns[index]?.name ?? String(index + 1)));
}
