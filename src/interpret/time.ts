// Times of evidence (nanoseconds since the Unix epoch) as a trace bundle has them.

const NS_PER_MS = 1_000_000n;

/** Whole milliseconds, rounded down as Codex does. */
export function toMs(timeNs: bigint): number {
  return Number(timeNs / NS_PER_MS);
}

export function later(a: bigint, b: bigint): bigint {
  return a < b ? b : a;
}
