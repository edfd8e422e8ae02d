// Which threads of a map were asked for. Owns the conditions; a thread has to meet all of them.
import { resolve, sep } from 'node:path';
import type { MappedThread } from './mapped-thread.js';
import { parseUuid } from './rollout-name.js';

export interface SessionFilter {
  /** Ids in any spelling of a UUID. */
  sessionId?: string | undefined;
  threadId?: string | undefined;
  /** Threads that were active at this time or later, in milliseconds since the epoch. */
  sinceMs?: number | undefined;
  /** Threads that had begun by then. */
  untilMs?: number | undefined;
  /** Threads that worked in this directory or below it. */
  cwd?: string | undefined;
}

export function isFiltered(filter: SessionFilter): boolean {
  return Object.values(filter).some((condition) => condition !== undefined);
}

export function matches(sessionId: string, thread: MappedThread, filter: SessionFilter): boolean {
  const { started_at, ended_at, cwd } = thread;
  const startMs = started_at === null ? undefined : Date.parse(started_at);
  const endMs = ended_at === null ? startMs : Date.parse(ended_at);
  return (
    isSame(filter.sessionId, sessionId) &&
    isSame(filter.threadId, thread.thread_id) &&
    (filter.sinceMs === undefined || (endMs !== undefined && endMs >= filter.sinceMs)) &&
    (filter.untilMs === undefined || (startMs !== undefined && startMs <= filter.untilMs)) &&
    (filter.cwd === undefined || (cwd !== null && isWithin(cwd, filter.cwd)))
  );
}

function isSame(wanted: string | undefined, id: string): boolean {
  return wanted === undefined || (parseUuid(wanted) ?? wanted) === id;
}

function isWithin(path: string, directory: string): boolean {
  const root = resolve(directory);
  return path === root || path.startsWith(root.endsWith(sep) ? root : root + sep);
}
