/** Maximum number of characters of foreign text in a message. */
const SHOWN = 1_000;

/**
 * Control characters, which can control terminals, line separators, and marks that change the
 * direction of the text after them.
 */
const STEERING = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;

/** Returns a text as one line, with such characters written as numbers. */
export function escaped(text: string): string {
  return text.replace(STEERING, (c) => `\\u{${c.charCodeAt(0).toString(16)}}`);
}

/** Returns the start of a text as one line. */
export function quoted(text: string): string {
  const whole = escaped(text.slice(0, SHOWN + 1));
  return whole.length > SHOWN ? `${whole.slice(0, SHOWN)}...` : whole;
}
