// Which thread belongs to which session, and which responses and tokens to which thread: the library face of
// all of src/sessions. Owns the grouping of threads into sessions and the order of everything.
import { resolve } from 'node:path';
import type { MappedExchange, MappedProcess } from './captured-bundle.js';
import { Collection } from './collection.js';
import {
  byStart,
  compare,
  type MappedThread,
  type Session,
  sessionOf,
  threadOfBundle,
  threadOfRollout,
} from './mapped-thread.js';
import type { SkippedFile } from './rollout-search.js';
import { isFiltered, matches, type SessionFilter } from './session-filter.js';

export interface SessionMap {
  /** Ordered by their start, as their threads are. */
  sessions: Session[];
  /** Of bundles with evidence, in the order of their start. */
  processes: MappedProcess[];
  /** Of bundles with evidence, in the order of the requests. */
  exchanges: MappedExchange[];
  /** What was left out, and why. */
  skipped: SkippedFile[];
}

/** One line of `--ndjson`. */
export type MapEntry =
  | ({ type: 'session' } & Session)
  | ({ type: 'process' } & MappedProcess)
  | ({ type: 'exchange' } & MappedExchange)
  | ({ type: 'skipped' } & SkippedFile);

/**
 * Maps the sessions of rollout files, directories of them, CODEX_HOME directories and bundles, one entry at a
 * time: sessions, then processes, exchanges and what was skipped.
 *
 * The UUID in a rollout file's name is its thread; sessions come from the first session_meta line. Bundles
 * add what was seen on the wire, and bring the rollout files of their threads along. All files are read before
 * the first entry comes, because the last one may be part of the first session.
 *
 * @throws AgsightError `not-found` or `unreadable` when a given path cannot be used at all
 */
export async function* mapSessions(
  paths: readonly string[],
  filter: SessionFilter = {},
): AsyncGenerator<MapEntry, void, undefined> {
  const collected = new Collection();
  for (const path of paths) await collected.addPath(resolve(path));
  await collected.read();
  const all = sessionsOf(collected);
  const kept = isFiltered(filter) ? filterSessions(all, filter) : all;
  const threads = new Map<string, { session: string; file: string | null }>();
  for (const session of kept) {
    yield { type: 'session', ...session };
    for (const { thread_id, rollout_file } of session.threads)
      threads.set(thread_id, { session: session.session_id, file: rollout_file });
  }
  const isKept = (id: string | null) => !isFiltered(filter) || threads.has(id ?? '');
  for (const process of collected.processes) {
    if (isFiltered(filter) && !process.threads.some(({ thread_id }) => threads.has(thread_id))) continue;
    const held = process.threads
      .filter(({ thread_id }) => isKept(thread_id))
      .map((thread) => ({ ...thread, rollout_file: threads.get(thread.thread_id)?.file ?? null }));
    yield { type: 'process', ...process, threads: held };
  }
  for (const exchange of collected.exchanges) {
    if (!isKept(exchange.thread_id)) continue;
    const session_id = threads.get(exchange.thread_id ?? '')?.session ?? exchange.session_id;
    yield { type: 'exchange', ...exchange, session_id };
  }
  const skipped = collected.skipped.sort((a, b) => compare(a.file, b.file));
  for (const file of skipped) yield { type: 'skipped', ...file };
}

/** The whole map at once: see `mapSessions`. */
export async function readSessionMap(
  paths: readonly string[],
  filter: SessionFilter = {},
): Promise<SessionMap> {
  const map: SessionMap = { sessions: [], processes: [], exchanges: [], skipped: [] };
  for await (const entry of mapSessions(paths, filter)) {
    switch (entry.type) {
      case 'session':
        map.sessions.push(withoutType(entry));
        break;
      case 'process':
        map.processes.push(withoutType(entry));
        break;
      case 'exchange':
        map.exchanges.push(withoutType(entry));
        break;
      case 'skipped':
        map.skipped.push(withoutType(entry));
        break;
    }
  }
  return map;
}

function withoutType<T extends object>({
  type: _,
  ...rest
}: T & { type: string }): Omit<T & { type: string }, 'type'> {
  return rest;
}

function sessionsOf({ rollouts, bundleThreads }: Collection): Session[] {
  const sessions = new Map<string, MappedThread[]>();
  const add = (sessionId: string, thread: MappedThread) => {
    const threads = sessions.get(sessionId);
    if (threads === undefined) sessions.set(sessionId, [thread]);
    else threads.push(thread);
  };
  for (const rollout of rollouts.values())
    add(rollout.sessionId, threadOfRollout(rollout, bundleThreads.get(rollout.threadId)));
  for (const seen of bundleThreads.values()) {
    if (rollouts.has(seen.threadId)) continue;
    const sessionId = seen.sessionId ?? rollouts.get(seen.rootThreadId)?.sessionId ?? seen.rootThreadId;
    add(sessionId, threadOfBundle(seen));
  }
  for (const threads of sessions.values()) {
    for (const thread of threads) {
      const parent = thread.parent_thread_id;
      thread.orphan = parent !== null && !rollouts.has(parent) && !bundleThreads.has(parent);
    }
  }
  return [...sessions]
    .map(([id, threads]) => sessionOf(id, threads))
    .sort(({ threads: [a] }, { threads: [b] }) => (a && b ? byStart(a, b) : 0));
}

function filterSessions(sessions: readonly Session[], filter: SessionFilter): Session[] {
  return sessions
    .map(({ session_id, threads }) =>
      sessionOf(
        session_id,
        threads.filter((thread) => matches(session_id, thread, filter)),
      ),
    )
    .filter(({ threads }) => threads.length > 0);
}
