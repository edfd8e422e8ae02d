// What the evidence of one bundle says: which threads it saw, in which processes, and whose every exchange
// was. Owns the shapes that the session map shows of it.

import type { Exchange } from '../interpret/exchange.js';
import { type AgentRole, findRole, isCodex } from './agent-role.js';
import { type Attribution, type AttributionReason, attribute, type ItemOwners } from './attribution.js';
import { type BundleThread, emptyThread } from './bundle-threads.js';
import type { Captured, CapturedExchange } from './captured-exchanges.js';
import type { CapturedProcess } from './captured-processes.js';
import { parseUuid } from './rollout-name.js';

/** A process of a capture that is an agent, made exchanges, or was started by a tool call. */
export interface MappedProcess {
  bundle: string;
  pid: number;
  /** RFC 3339, microseconds; null when it ran before the capture. Pid and start together are unique. */
  started_at: string | null;
  ended_at: string | null;
  parent_pid: number | null;
  executable: string | null;
  /** Null for what is no agent. */
  role: AgentRole | null;
  role_because: string | null;
  /** False when evidence that could overturn the role was not recorded. */
  role_certain: boolean | null;
  threads: ProcessThread[];
}

interface ProcessThread {
  thread_id: string;
  by: AttributionReason;
  /** Filled in by the map, where the thread's file was read. */
  rollout_file: string | null;
}

/** An HTTP exchange of a capture. */
export interface MappedExchange {
  bundle: string;
  pid: number;
  process_started_at: string | null;
  started_at: string;
  transport: Exchange['transport'];
  method: string;
  host: string | null;
  /** Without its query, which may hold a key. */
  path: string;
  status: number | null;
  response_id: string | null;
  thread_id: string | null;
  session_id: string | null;
  by: AttributionReason | null;
  /** Why no thread was found. */
  why: string | null;
}

export interface MappedCapture {
  threads: BundleThread[];
  processes: MappedProcess[];
  exchanges: MappedExchange[];
}

export function mapCapture(bundle: string, captured: Captured, items: ItemOwners): MappedCapture {
  const found = attribute(captured.exchanges, items);
  const threads = new Map<string, BundleThread>();
  for (const attribution of found) addToThread(threads, attribution);
  return {
    threads: [...threads.values()],
    processes: mapProcesses(bundle, captured.processes, found),
    exchanges: found.map((attribution) => mapExchange(bundle, attribution)),
  };
}

function addToThread(threads: Map<string, BundleThread>, { exchange, threadId, by }: Attribution): void {
  if (threadId === undefined || by === undefined) return;
  const id = normalId(threadId);
  const thread = threads.get(id) ?? emptyThread(id);
  threads.set(id, thread);
  const { ids } = exchange;
  if (ids.threadId !== undefined) {
    thread.sessionId ??= ids.sessionId;
    thread.parentThreadId ??= ids.parentThreadId ?? null;
    thread.agentPath ??= ids.agentPath ?? null;
    if (ids.subagentKind === 'thread_spawn') thread.rootThreadId = ids.sessionId ?? thread.rootThreadId;
  }
  const responseId = exchange.exchange.call?.responseId;
  if (responseId !== undefined)
    thread.responses.push({ response_id: responseId, pid: exchange.process.pid, by });
}

function mapProcesses(
  bundle: string,
  processes: readonly CapturedProcess[],
  found: readonly Attribution[],
): MappedProcess[] {
  const threads = new Map<CapturedProcess, Map<string, AttributionReason>>();
  const agents = new Set(processes.filter(isCodex));
  for (const { exchange, threadId, by } of found) {
    const known = threads.get(exchange.process) ?? new Map<string, AttributionReason>();
    threads.set(exchange.process, known);
    if (threadId === undefined || by === undefined) continue;
    if (!known.has(normalId(threadId))) known.set(normalId(threadId), by);
    if (by === 'header' || by === 'client_metadata') agents.add(exchange.process);
  }
  for (const process of processes) {
    const thread = process.environmentThread;
    // Its own children inherit the variable and say nothing new.
    if (thread === undefined || process.parent?.environmentThread === thread) continue;
    const known = threads.get(process) ?? new Map<string, AttributionReason>();
    threads.set(process, known);
    if (!known.has(normalId(thread))) known.set(normalId(thread), 'CODEX_THREAD_ID');
  }
  return processes
    .filter((process) => agents.has(process) || threads.has(process))
    .map((process) => {
      const finding = agents.has(process) ? findRole(process, (other) => agents.has(other)) : undefined;
      return {
        bundle,
        ...identity(process),
        ended_at: process.endedNs === undefined ? null : time(process.endedNs),
        parent_pid: process.parentPid ?? null,
        executable: process.exec?.path ?? null,
        role: finding?.role ?? null,
        role_because: finding?.because ?? null,
        role_certain: finding?.certain ?? null,
        threads: [...(threads.get(process) ?? [])].map(([thread_id, by]) => ({
          thread_id,
          by,
          rollout_file: null,
        })),
      };
    });
}

function mapExchange(bundle: string, { exchange: found, threadId, by, why }: Attribution): MappedExchange {
  const { exchange } = found;
  return {
    bundle,
    pid: found.process.pid,
    process_started_at: identity(found.process).started_at,
    started_at: new Date(exchange.startedAtUnixMs).toISOString(),
    transport: exchange.transport,
    method: exchange.method,
    host: exchange.host ?? null,
    path: exchange.path,
    status: exchange.status ?? null,
    response_id: exchange.call?.responseId ?? null,
    thread_id: threadId === undefined ? null : normalId(threadId),
    session_id: sessionOf(found),
    by: by ?? null,
    why: why ?? null,
  };
}

function sessionOf({ ids }: CapturedExchange): string | null {
  return ids.threadId === undefined || ids.sessionId === undefined ? null : normalId(ids.sessionId);
}

function identity(process: CapturedProcess): { pid: number; started_at: string | null } {
  return { pid: process.pid, started_at: process.startedNs === undefined ? null : time(process.startedNs) };
}

/** RFC 3339 with microseconds: two processes may start in one millisecond. */
function time(ns: bigint): string {
  const micros = String((ns / 1000n) % 1000n).padStart(3, '0');
  return new Date(Number(ns / 1_000_000n)).toISOString().replace('Z', `${micros}Z`);
}

function normalId(id: string): string {
  return parseUuid(id) ?? id;
}
