// The test digits, as they are passed to apps.
import { digits as first } from "../../support/digits.mjs";

/**
 * The first test digits as `{ label, features }`, in arrays that can be written as JSON. Every
 * bundled model reads them correctly.
 */
export const digits = first(5).map(({ label, features }) => ({ label, features: Array.from(features) }));

/** Output of an app that reads all of them. */
export const LABELS = digits.map(({ label }) => label).join(" ");
