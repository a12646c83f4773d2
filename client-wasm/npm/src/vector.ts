import { InputError } from "./errors.js";

/**
 * Converts features to the form that the WebAssembly takes. Refuses anything but a list of numbers.
 */
export function vector(features: ArrayLike<number>): Float64Array {
  const copy = new Float64Array(features.length);
  for (let index = 0; index < features.length; index++) {
    const value: unknown = features[index];
    // A Float64Array would silently turn undefined or a string into NaN or a number.
    if (typeof value !== "number") {
      throw new InputError("feature_range", `feature ${index} is ${String(value)}, not a number`);
    }
    copy[index] = value;
  }
  return copy;
}
