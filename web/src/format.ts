const count = new Intl.NumberFormat("en");

/** "4,788 bytes" */
export function bytes(n: number): string {
  return `${count.format(n)} ${n === 1 ? "byte" : "bytes"}`;
}

/** "20 kB", "10.4 MB" */
export function size(n: number): string {
  return n < 1e6 ? `${Math.round(n / 1e3)}\u00a0kB` : `${(n / 1e6).toFixed(1)}\u00a0MB`;
}

/** "0.4 ms", "23 ms", "1.24 s" */
export function duration(ms: number): string {
  if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`;
  if (ms < 0.05) return "< 0.1 ms";
  return `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
}

/** "97.3 %". Neither end is claimed unless it is exact. */
export function percent(p: number): string {
  if (p > 0 && p < 0.0005) return "<\u00a00.1\u00a0%";
  if (p < 1 && p >= 0.9995) return ">\u00a099.9\u00a0%";
  return `${(100 * p).toFixed(1)}\u00a0%`;
}

/** "+4.21", "−0.37" */
export function signed(score: number): string {
  return `${score < 0 ? "−" : "+"}${Math.abs(score).toFixed(2)}`;
}

/** "17:04:09" */
export function clock(date: Date): string {
  return date.toLocaleTimeString("en-GB");
}
