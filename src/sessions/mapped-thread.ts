// The threads and sessions of a map, as scripts get them. Owns their JSON shapes and how what a rollout file
// says is joined with what a bundle knows of the same thread.
import type { BundleThread, ThreadResponse } from './bundle-threads.js';
import type { Clocks } from './clocks.js';
import type { ModelUsage, Rollout } from './rollout-file.js';
import type { ThreadKind } from './thread-meta.js';
import { addUsage, noUsage, type TokenUsage } from './token-usage.js';
import type { Turn } from './turns.js';

export interface MappedThread {
  thread_id: string;
  parent_thread_id: string | null;
  forked_from_id: string | null;
  /** The parent is named but nothing else is known of it. */
  orphan: boolean;
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
  clocks: Clocks;
  /** Number of turns. */
  turns: number;
  turn_list: Turn[];
  usage: TokenUsage;
  usage_by_model: ModelUsage[];
  responses: ThreadResponse[];
  warnings: string[];
}

export interface Session {
  session_id: string;
  /** Sums over the threads listed. */
  usage: TokenUsage;
  usage_by_model: ModelUsage[];
  threads: MappedThread[];
}

export function threadOfRollout(rollout: Rollout, seen: BundleThread | undefined): MappedThread {
  return {
    thread_id: rollout.threadId,
    parent_thread_id: rollout.parentThreadId,
    forked_from_id: rollout.forkedFromId,
    orphan: false,
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
    clocks: rollout.clocks,
    turns: rollout.turns.length,
    turn_list: rollout.turns,
    usage: rollout.usage,
    usage_by_model: rollout.usageByModel,
    responses: mergeResponses(seen, rollout),
    warnings: rollout.warnings,
  };
}

export function threadOfBundle(seen: BundleThread): MappedThread {
  return {
    thread_id: seen.threadId,
    parent_thread_id: seen.parentThreadId,
    forked_from_id: null,
    orphan: false,
    kind: seen.rootThreadId === seen.threadId ? 'root' : 'subagent',
    agent_path: seen.agentPath,
    nickname: null,
    role: null,
    rollout_file: null,
    cwd: null,
    cli_version: null,
    models: [],
    started_at: null,
    ended_at: null,
    clocks: { file_name: null, thread_id: null, session_meta: null, utc_offset_minutes: null },
    turns: 0,
    turn_list: [],
    usage: noUsage(),
    usage_by_model: [],
    responses: mergeResponses(seen, undefined),
    warnings: ['no rollout file of this thread was found: tokens, turns and origin are not known'],
  };
}

/** A session of `threads`, which come in any order. */
export function sessionOf(session_id: string, threads: readonly MappedThread[]): Session {
  const usage = noUsage();
  const byModel = new Map<string | null, TokenUsage>();
  const sorted = threads.toSorted(byStart);
  for (const thread of sorted) {
    addUsage(usage, thread.usage);
    for (const { model, usage: spent } of thread.usage_by_model) {
      const sum = byModel.get(model) ?? noUsage();
      byModel.set(model, sum);
      addUsage(sum, spent);
    }
  }
  const usage_by_model = [...byModel].map(([model, sum]) => ({ model, usage: sum }));
  return { session_id, usage, usage_by_model, threads: sorted };
}

/** Earlier first; threads whose start is not known come last. */
export function byStart(a: MappedThread, b: MappedThread): number {
  const start = ({ started_at }: MappedThread) => (started_at === null ? Infinity : Date.parse(started_at));
  const [first, second] = [start(a), start(b)];
  return first === second ? compare(a.thread_id, b.thread_id) : first - second;
}

export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The responses seen from outside, then those that only the rollout file tells of. */
function mergeResponses(seen: BundleThread | undefined, rollout: Rollout | undefined): ThreadResponse[] {
  const responses = new Map<string, ThreadResponse>();
  for (const response of seen?.responses ?? []) responses.set(response.response_id, response);
  for (const response_id of rollout?.responseIds ?? []) {
    if (!responses.has(response_id))
      responses.set(response_id, { response_id, pid: null, by: 'token_usage_record' });
  }
  return [...responses.values()];
}
