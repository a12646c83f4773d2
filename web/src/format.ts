const number = new Intl.NumberFormat("en");
const date = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "long", year: "numeric" });

/** Formats a number: "4,788" */
export function count(n: number): string {
  return number.format(n);
}

/** Formats an exact size: "4,788 bytes" */
export function bytes(n: number): string {
  return `${count(n)} ${n === 1 ? "byte" : "bytes"}`;
}

/** Formats a rounded size: "20 kB", "10.4 MB" */
export function size(n: number): string {
  return n < 1e6 ? `${Math.round(n / 1e3)}\u00a0kB` : `${(n / 1e6).toFixed(1)}\u00a0MB`;
}

/** Formats a duration: "0.4 ms", "23 ms", "1.24 s" */
export function duration(ms: number): string {
  if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`;
  if (ms < 0.05) return "< 0.1 ms";
  return `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
}

/** Formats a probability: "97.3 %". Shows 0 % or 100 % only if exact. */
export function percent(p: number): string {
  if (p > 0 && p < 0.0005) return "<\u00a00.1\u00a0%";
  if (p < 1 && p >= 0.9995) return ">\u00a099.9\u00a0%";
  return `${(100 * p).toFixed(1)}\u00a0%`;
}

/** Formats a score: "+4.21", "−0.37" */
export function signed(score: number): string {
  return `${score < 0 ? "−" : "+"}${Math.abs(score).toFixed(2)}`;
}

/** Formats bytes in hexadecimal digits, in groups: "5f3a 09c4" */
export function hex(bytes: Uint8Array): string {
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return digits.match(/.{1,4}/g)?.join(" ") ?? "";
}

/** Formats a date: "25 December 2026" */
export function day(time: Date): string {
  return date.format(time);
}

/** Formats a time of day: "17:04:09" */
export function clock(time: Date): string {
  return time.toLocaleTimeString("en-GB");
}
