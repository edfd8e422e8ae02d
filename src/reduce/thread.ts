// Threads and turns: their lifecycle and what the session metadata says of a thread's origin.

import { asString, type Json, member } from '../trace/json-value.js';
import type { ExecutionStatus, RawPayloadRef, RolloutStatus } from '../trace/raw-event.js';
import { Rejection } from '../trace/rejection.js';
import { anyJson, optional, struct, TypeMismatch, text } from '../trace/typed-json.js';
import { closeCellsOfTurn } from './code-cell.js';
import { spawnEdgeId } from './edges.js';
import { closeWindow, type Graph, type Moment, openWindow } from './graph.js';
import { closeInferencesOfTurn } from './inference.js';
import type { AgentOrigin } from './state.js';

const metadataShape = struct('struct ThreadStartedMetadata', {
  agent_path: optional(text),
  task_name: optional(text),
  nickname: optional(text),
  agent_role: optional(text),
  model: optional(text),
  session_source: optional(anyJson),
});
type Metadata = ReturnType<typeof metadataShape>;

export function startThread(
  graph: Graph,
  moment: Moment,
  threadId: string,
  agentPath: string,
  ref: RawPayloadRef | null,
): void {
  if (graph.state.threads.has(threadId)) {
    throw new Rejection('duplicate-thread', `duplicate thread start for ${threadId}`);
  }
  const metadata = ref === null ? undefined : readMetadata(graph, ref);
  const spawn = member(member(metadata?.session_source ?? undefined, 'subagent'), 'thread_spawn');
  const parentId = asString(member(spawn, 'parent_thread_id'));
  const spawned = parentId !== undefined;
  const path =
    (spawned ? asString(member(spawn, 'agent_path')) : undefined) ?? metadata?.agent_path ?? agentPath;
  graph.state.threads.set(threadId, {
    thread_id: threadId,
    agent_path: path,
    nickname: metadata?.nickname ?? null,
    origin:
      parentId === undefined ? { type: 'root' } : spawnOrigin(parentId, threadId, spawn, metadata, path),
    execution: openWindow(moment),
    default_model: metadata?.model ?? null,
    conversation_item_ids: [],
  });
}

function spawnOrigin(
  parentId: string,
  threadId: string,
  spawn: Json | undefined,
  metadata: Metadata | undefined,
  path: string,
): AgentOrigin {
  return {
    type: 'spawned',
    parent_thread_id: parentId,
    spawn_edge_id: spawnEdgeId(parentId, threadId),
    task_name: asString(member(spawn, 'task_name')) ?? metadata?.task_name ?? lastSegment(path),
    agent_role: asString(member(spawn, 'agent_role')) ?? metadata?.agent_role ?? '',
  };
}

function lastSegment(path: string): string {
  return path.split('/').findLast((segment) => segment !== '') ?? path;
}

function readMetadata(graph: Graph, ref: RawPayloadRef): Metadata {
  try {
    return metadataShape(graph.payloads.json(ref), '');
  } catch (error) {
    if (!(error instanceof TypeMismatch)) throw error;
    throw new Rejection('metadata-invalid', `parse thread metadata ${ref.raw_payload_id}`, [error.message]);
  }
}

/** A thread that ended in this recording runs again, with new processes and code cells. */
export function resumeThread(graph: Graph, threadId: string): void {
  const thread = graph.state.threads.get(threadId);
  if (thread === undefined) {
    throw new Rejection(
      'resume-unknown-thread',
      `cannot resume thread ${threadId}: it was not started in this trace; resuming threads from an earlier trace is not supported`,
      [`trace event referenced unknown thread ${threadId}`],
    );
  }
  const { execution } = thread;
  if (execution.ended_seq === null) {
    throw new Rejection('resume-running-thread', `resumed thread ${threadId} has not ended`);
  }
  graph.journal.assign(execution, { ended_at_unix_ms: null, ended_seq: null, status: 'running' });
  graph.cellsByRuntime.deleteAll(threadId);
  graph.sessionsByProcess.deleteAll(threadId);
}

export function endThread(graph: Graph, moment: Moment, threadId: string, status: RolloutStatus): void {
  closeWindow(graph, graph.thread(threadId).execution, moment, status);
}

export function startTurn(graph: Graph, moment: Moment, turnId: string, threadId: string): void {
  if (graph.state.codex_turns.has(turnId)) {
    throw new Rejection('duplicate-turn', `duplicate codex turn start for ${turnId}`);
  }
  graph.thread(threadId);
  graph.state.codex_turns.set(turnId, {
    codex_turn_id: turnId,
    thread_id: threadId,
    execution: openWindow(moment),
    input_item_ids: [],
  });
}

export function endTurn(
  graph: Graph,
  moment: Moment,
  threadId: string | null,
  turnId: string,
  status: ExecutionStatus,
): void {
  const turn = graph.state.codex_turns.get(turnId);
  if (turn === undefined) {
    throw new Rejection('unknown-turn', `codex turn end referenced unknown turn ${turnId}`);
  }
  if (threadId !== null && turn.thread_id !== threadId) {
    throw new Rejection(
      'turn-of-other-thread',
      `codex turn end for ${turnId} used thread ${threadId}, but the turn belongs to ${turn.thread_id}`,
    );
  }
  closeWindow(graph, turn.execution, moment, status);
  closeInferencesOfTurn(graph, moment, turnId, status);
  closeCellsOfTurn(graph, moment, turnId, status);
}
