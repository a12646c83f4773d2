/** Characters of somebody else's words that a message shows. */
const SHOWN = 1_000;

/** Control characters, which steer terminals, and marks that turn the direction of what follows. */
const STEERING = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;

/** A text in one line, with such characters written as numbers. */
export function escaped(text: string): string {
  return text.replace(STEERING, (c) => `\\u{${c.charCodeAt(0).toString(16)}}`);
}

/** The start of it, of what may be long. */
export function quoted(text: string): string {
  const whole = escaped(text.slice(0, SHOWN + 1));
  return whole.length > SHOWN ? `${whole.slice(0, SHOWN)}...` : whole;
}
