// Which thread belongs to which session, and which responses and tokens to which thread. Owns the joining of
// rollout files with what bundles know; each file's own reading is rollout-file.ts and bundle-threads.ts.
import { realpathSync, statSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { AgsightError, systemErrorCode } from '../errors.js';
import { type BundleAttribution, type BundleThread, isBundle, readBundleThreads } from './bundle-threads.js';
import { type Rollout, readRollout, type ThreadKind } from './rollout-file.js';
import { parseRolloutName } from './rollout-name.js';
import { findRollouts, reasonToSkip, type SkippedFile } from './rollout-search.js';
import { noUsage, type TokenUsage } from './token-usage.js';

interface MappedResponse {
  response_id: string;
  /** The process that received it, where that is known. */
  pid: number | null;
  /** Why the response is this thread's: see BundleAttribution, or the rollout file's own token_usage_record. */
  by: BundleAttribution | 'token_usage_record';
}

export interface MappedThread {
  thread_id: string;
  parent_thread_id: string | null;
  forked_from_id: string | null;
  kind: ThreadKind;
  agent_path: string | null;
  nickname: string | null;
  role: string | null;
  /** Null for a thread that only a bundle knows of. */
  rollout_file: string | null;
  cwd: string | null;
  cli_version: string | null;
  models: string[];
  started_at: string | null;
  ended_at: string | null;
  turns: number;
  usage: TokenUsage;
  responses: MappedResponse[];
  warnings: string[];
}

export interface Session {
  session_id: string;
  threads: MappedThread[];
}

export interface SessionMap {
  sessions: Session[];
  skipped: SkippedFile[];
}

/**
 * Maps the sessions of rollout files, directories of them, CODEX_HOME directories and bundles.
 *
 * The UUID in a rollout file's name is its thread; sessions come from the first session_meta line. Bundles
 * add the responses that were seen on the wire, and bring the rollout files of their threads along.
 * Sessions and threads are ordered by their start.
 *
 * @throws AgsightError `not-found` or `unreadable` when a given path cannot be used at all
 */
export async function mapSessions(paths: readonly string[]): Promise<SessionMap> {
  const collected = new Collection();
  for (const path of paths) await collected.addPath(resolve(path));
  return collected.map();
}

class Collection {
  readonly #rollouts = new Map<string, Rollout>();
  readonly #bundleThreads = new Map<string, BundleThread>();
  readonly #skipped: SkippedFile[] = [];
  readonly #realPaths = new Set<string>();

  async addPath(path: string): Promise<void> {
    let isDirectory: boolean;
    try {
      isDirectory = statSync(path).isDirectory();
    } catch (cause) {
      const code = systemErrorCode(cause);
      throw new AgsightError('not-found', `cannot be read: ${code ?? String(cause)}`, {
        file: path,
        remedy: 'name a rollout file, a CODEX_HOME or a bundle',
        cause,
      });
    }
    if (!isDirectory) {
      const isOtherName = parseRolloutName(basename(path)) === undefined;
      const reason = isOtherName && path.endsWith('.jsonl') ? undefined : reasonToSkip(basename(path));
      if (reason === undefined) await this.#addRollout(path);
      else this.#skipped.push({ file: path, reason });
    } else if (isBundle(path)) {
      await this.#addBundle(path);
    } else {
      await this.#addDirectory(path, () => true);
    }
  }

  map(): SessionMap {
    const ids = new Set([...this.#rollouts.keys(), ...this.#bundleThreads.keys()]);
    const sessions = new Map<string, MappedThread[]>();
    for (const id of ids) {
      const { sessionId, thread } = this.#thread(id);
      const threads = sessions.get(sessionId);
      if (threads === undefined) sessions.set(sessionId, [thread]);
      else threads.push(thread);
    }
    return {
      sessions: [...sessions]
        .map(([session_id, threads]) => ({ session_id, threads: threads.sort(byStart) }))
        .sort(({ threads: [a] }, { threads: [b] }) => (a && b ? byStart(a, b) : 0)),
      skipped: this.#skipped.sort((a, b) => compare(a.file, b.file)),
    };
  }

  async #addDirectory(directory: string, wanted: (threadId: string) => boolean): Promise<void> {
    const { files, skipped } = findRollouts(directory);
    const isWanted = (path: string) => {
      const threadId = parseRolloutName(basename(path))?.threadId;
      return threadId === undefined || wanted(threadId);
    };
    this.#skipped.push(...skipped.filter(({ file }) => isWanted(file)));
    for (const file of files) if (isWanted(file)) await this.#addRollout(file);
  }

  async #addBundle(directory: string): Promise<void> {
    const { threads, codexHomes, skipped } = await readBundleThreads(directory);
    this.#skipped.push(...skipped);
    for (const thread of threads) this.#bundleThreads.set(thread.threadId, thread);
    const captured = new Set(threads.map(({ threadId }) => threadId));
    for (const home of codexHomes) {
      try {
        await this.#addDirectory(home, (threadId) => captured.has(threadId));
      } catch (error) {
        if (!(error instanceof AgsightError)) throw error;
        this.#skipped.push({ file: home, reason: error.message });
      }
    }
  }

  async #addRollout(path: string): Promise<void> {
    try {
      const real = realpathSync(path);
      if (this.#realPaths.has(real)) return;
      this.#realPaths.add(real);
      const rollout = statSync(path).isFile() ? await readRollout(path) : undefined;
      const other = rollout && this.#rollouts.get(rollout.threadId);
      if (rollout === undefined) {
        this.#skipped.push({
          file: path,
          reason: 'is no rollout file: nothing in it says whose thread it is',
        });
      } else if (other !== undefined) {
        this.#skipped.push({ file: path, reason: `is of the same thread as ${other.path}` });
      } else {
        this.#rollouts.set(rollout.threadId, rollout);
      }
    } catch (cause) {
      const reason = `cannot be read: ${systemErrorCode(cause) ?? String(cause)}`;
      this.#skipped.push({ file: path, reason });
    }
  }

  #thread(id: string): { sessionId: string; thread: MappedThread } {
    const rollout = this.#rollouts.get(id);
    const seen = this.#bundleThreads.get(id);
    const responses = mergeResponses(seen, rollout);
    if (rollout !== undefined) return { sessionId: rollout.sessionId, thread: describe(rollout, responses) };
    const root = seen?.rootThreadId ?? id;
    const sessionId = this.#rollouts.get(root)?.sessionId ?? root;
    return { sessionId, thread: withoutRollout(id, seen, responses) };
  }
}

function describe(rollout: Rollout, responses: MappedResponse[]): MappedThread {
  return {
    thread_id: rollout.threadId,
    parent_thread_id: rollout.parentThreadId,
    forked_from_id: rollout.forkedFromId,
    kind: rollout.kind,
    agent_path: rollout.agentPath,
    nickname: rollout.nickname,
    role: rollout.role,
    rollout_file: rollout.path,
    cwd: rollout.cwd,
    cli_version: rollout.cliVersion,
    models: rollout.models,
    started_at: rollout.startedAt,
    ended_at: rollout.endedAt,
    turns: rollout.turns,
    usage: rollout.usage,
    responses,
    warnings: rollout.warnings,
  };
}

function withoutRollout(
  id: string,
  seen: BundleThread | undefined,
  responses: MappedResponse[],
): MappedThread {
  return {
    thread_id: id,
    parent_thread_id: null,
    forked_from_id: null,
    kind: seen === undefined || seen.rootThreadId === id ? 'root' : 'subagent',
    agent_path: seen?.agentPath ?? null,
    nickname: null,
    role: null,
    rollout_file: null,
    cwd: null,
    cli_version: null,
    models: [],
    started_at: null,
    ended_at: null,
    turns: 0,
    usage: noUsage(),
    responses,
    warnings: ['no rollout file of this thread was found: tokens, turns and origin are not known'],
  };
}

/** The responses seen from outside, then those that only the rollout file tells of. */
function mergeResponses(seen: BundleThread | undefined, rollout: Rollout | undefined): MappedResponse[] {
  const responses = new Map<string, MappedResponse>();
  for (const response_id of seen?.responseIds ?? []) {
    responses.set(response_id, { response_id, pid: null, by: seen?.by ?? 'trace' });
  }
  for (const response_id of rollout?.responseIds ?? []) {
    if (!responses.has(response_id))
      responses.set(response_id, { response_id, pid: null, by: 'token_usage_record' });
  }
  return [...responses.values()];
}

/** Earlier first; threads whose start is not known come last. */
function byStart(a: MappedThread, b: MappedThread): number {
  const [first, second] = [a, b].map(({ started_at }) =>
    started_at === null ? Infinity : Date.parse(started_at),
  );
  return first === second ? compare(a.thread_id, b.thread_id) : (first ?? 0) - (second ?? 0);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
