// A model of many columns as `blindscore import` describes it, and records for it.

const NUMBERS = Array.from({ length: 20 }, (_, index) => `number ${index}`);
const CATEGORIES = Array.from({ length: 5 }, (_, index) => `category ${index}`);
/** Categories of each such column. */
const CHOICES = Array.from({ length: 8 }, (_, index) => `choice ${index}`);
/** Words that count. */
const VOCABULARY = Array.from({ length: 300 }, (_, index) => `word${String(index).padStart(3, "0")}`);
/** Words of a text. */
const WORDS = 25;
const TEXT = "text";

const columns = [
  ...NUMBERS.map((name) => ({ name, kind: "number" })),
  ...CATEGORIES.map((name) => ({ name, kind: "category" })),
  { name: TEXT, kind: "text" },
];
/** What the text's steps read: the slots after the columns, filled-in numbers and categories. */
const COUNTS = columns.length + NUMBERS.length + CATEGORIES.length * CHOICES.length;
const steps = [
  { impute: { of: [[0, NUMBERS.length]], values: NUMBERS.map(() => 0.5) } },
  ...CATEGORIES.map((_, index) => ({
    "one-hot": { from: NUMBERS.length + index, categories: { texts: CHOICES }, unknown: { value: 0 } },
  })),
  {
    counts: {
      from: columns.length - 1,
      words: { lowercase: true, split: { words: 2 }, ngrams: [1, 1] },
      vocabulary: VOCABULARY,
    },
  },
  { affine: { of: [[COUNTS, VOCABULARY.length]], scale: VOCABULARY.map((_, index) => 1 + index / 100), offset: VOCABULARY.map(() => 0) } },
  { normalise: { of: [[COUNTS + VOCABULARY.length, VOCABULARY.length]], norm: "l2" } },
];

/** 360 features: the numbers, a feature for each category, and TF-IDF of the text. */
export const descriptor = {
  name: "many-columns",
  id: "00".repeat(16),
  title: "Many columns",
  formats: [3],
  parameter_set: "linear-n2048-v3",
  inputs: {
    count: COUNTS - columns.length + VOCABULARY.length,
    min: 0,
    max: 1,
    levels: 32_768,
    encoding: {
      columns,
      steps,
      features: [
        [columns.length, COUNTS - columns.length],
        [COUNTS + 2 * VOCABULARY.length, VOCABULARY.length],
      ],
    },
  },
  input_step: 2 ** 31,
  outputs: [{ label: "1", offset: 0, half_range: 16 }],
  task: "classification",
  classes: ["0", "1"],
  link: "sigmoid",
  sizes: { public_key: 19_812, query: 2260, response: 4967 },
  score_error: 0.001,
};

/** Returns different records; one number in twenty is missing. */
export function records(count) {
  let state = 1;
  // The generator of Lehmer (Park and Miller 1988), so that every run has the same records.
  const random = (below) => (state = (48_271 * state) % 2_147_483_647) % below;
  return Array.from({ length: count }, () => ({
    ...Object.fromEntries(NUMBERS.map((name) => [name, random(20) === 0 ? null : random(1000) / 1000])),
    ...Object.fromEntries(CATEGORIES.map((name) => [name, CHOICES[random(CHOICES.length)]])),
    [TEXT]: Array.from({ length: WORDS }, () => VOCABULARY[random(VOCABULARY.length)]).join(" "),
  }));
}
