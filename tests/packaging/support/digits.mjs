import { digits as first } from "../../support/digits.mjs";

/** The first test digits, which every bundled model reads correctly, as they are passed to apps: `{ label, features }`. */
export const digits = first(5).map(({ label, features }) => ({ label, features: Array.from(features) }));

/** What an app that reads them all writes. */
export const LABELS = digits.map(({ label }) => label).join(" ");
