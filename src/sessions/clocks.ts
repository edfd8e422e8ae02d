// The three clocks of a rollout file: the local time in its name, the time in its UUIDv7, and the time in its
// first line. Codex takes all three at the same moment, so that they differ only where a clock was wrong or a
// hand was at work. Owns the comparison.
import { uuidTime } from './rollout-name.js';

export interface Clocks {
  /** Local time without a zone, as the name has it. */
  file_name: string | null;
  /** RFC 3339, milliseconds; null for an id that is no UUIDv7. */
  thread_id: string | null;
  /** RFC 3339 as Codex wrote it. */
  session_meta: string | null;
  /** The zone that the name was written in, when the other clocks tell it. */
  utc_offset_minutes: number | null;
}

/** Starting Codex on a busy machine takes less. */
const MAX_SKEW_MS = 60_000;
const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
/** Zones are multiples of a quarter of an hour between these. */
const ZONE_STEP_MS = 15 * MINUTE_MS;
const MIN_ZONE_MS = -12 * 60 * MINUTE_MS;
const MAX_ZONE_MS = 14 * 60 * MINUTE_MS;

export function compareClocks(
  localTime: string | undefined,
  threadId: string,
  metaTime: string | undefined,
): { clocks: Clocks; warnings: string[] } {
  const idMs = uuidTime(threadId);
  const metaMs = metaTime === undefined ? undefined : Date.parse(metaTime);
  const clocks: Clocks = {
    file_name: localTime ?? null,
    thread_id: idMs === undefined ? null : new Date(idMs).toISOString(),
    session_meta: metaTime ?? null,
    utc_offset_minutes: null,
  };
  const warnings: string[] = [];
  if (idMs !== undefined && metaMs !== undefined && Math.abs(idMs - metaMs) > MAX_SKEW_MS) {
    warnings.push(
      `clocks disagree: the thread id was made at ${clocks.thread_id}, the first line at ${metaTime}`,
    );
  }
  const known = idMs ?? metaMs;
  if (localTime === undefined || known === undefined) return { clocks, warnings };
  if (!localTime.includes('T')) {
    const isNear = Math.abs(Date.parse(localTime) + DAY_MS / 2 - known) <= DAY_MS / 2 + MAX_ZONE_MS;
    if (!isNear) warnings.push(disagreement(localTime, known));
    return { clocks, warnings };
  }
  const ahead = Date.parse(`${localTime}Z`) - known;
  const zone = Math.round(ahead / ZONE_STEP_MS) * ZONE_STEP_MS;
  if (zone < MIN_ZONE_MS || zone > MAX_ZONE_MS || Math.abs(ahead - zone) > MAX_SKEW_MS) {
    warnings.push(disagreement(localTime, known));
  } else {
    // Adding 0 makes 0 of -0.
    clocks.utc_offset_minutes = zone / MINUTE_MS + 0;
  }
  return { clocks, warnings };
}

function disagreement(localTime: string, known: number): string {
  const utc = new Date(known).toISOString();
  return `clocks disagree: no time zone makes ${localTime} in the name out of ${utc}`;
}
