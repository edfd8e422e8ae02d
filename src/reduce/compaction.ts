// Compaction: the requests for a shorter history, and the moment when it replaced the old one.

import { asArray, compareUtf8, type Json, member } from '../trace/json-value.js';
import type { ExecutionStatus, RawPayloadRef } from '../trace/raw-event.js';
import { Rejection } from '../trace/rejection.js';
import { reconcileDetached } from './conversation.js';
import { closeWindow, type Graph, type Moment, openWindow } from './graph.js';
import { createItem, listItems, type Sighting } from './item.js';
import { normalizeItems } from './normalize.js';
import { contentOf } from './normalized-item.js';
import { reach } from './pair-map.js';

export interface CompactionRequestStart {
  compaction_id: string;
  compaction_request_id: string;
  thread_id: string;
  codex_turn_id: string;
  model: string;
  provider_name: string;
  request_payload: RawPayloadRef;
}

export function startCompactionRequest(graph: Graph, moment: Moment, start: CompactionRequestStart): void {
  const { compaction_id, compaction_request_id, thread_id, codex_turn_id, model, provider_name } = start;
  const { compaction_requests, codex_turns } = graph.state;
  if (compaction_requests.has(compaction_request_id)) {
    throw new Rejection(
      'duplicate-compaction-request',
      `duplicate compaction request start for ${compaction_request_id}`,
    );
  }
  graph.thread(thread_id);
  const what = `compaction request ${compaction_request_id}`;
  checkTurn(codex_turns.get(codex_turn_id)?.thread_id, what, thread_id, codex_turn_id);
  compaction_requests.set(compaction_request_id, {
    compaction_request_id,
    compaction_id,
    thread_id,
    codex_turn_id,
    execution: openWindow(moment),
    model,
    provider_name,
    raw_request_payload_id: start.request_payload.raw_payload_id,
    raw_response_payload_id: null,
  });
  graph.journal.push(
    reach(graph.requestsByCompaction, compaction_id, () => []),
    compaction_request_id,
  );
}

export function endCompactionRequest(
  graph: Graph,
  moment: Moment,
  compactionId: string,
  requestId: string,
  status: ExecutionStatus,
  response: RawPayloadRef | null,
): void {
  const request = graph.state.compaction_requests.get(requestId);
  if (request === undefined) {
    throw new Rejection(
      'unknown-compaction-request',
      `compaction request completion referenced unknown request ${requestId}`,
    );
  }
  if (request.compaction_id !== compactionId) {
    throw new Rejection(
      'compaction-mismatch',
      `compaction request ${requestId} completion used compaction ${compactionId}, but start used ${request.compaction_id}`,
    );
  }
  closeWindow(graph, request.execution, moment, status);
  graph.journal.assign(request, { raw_response_payload_id: response?.raw_payload_id ?? null });
}

export function installCompaction(
  graph: Graph,
  { at }: Moment,
  threadId: string | null,
  turnId: string | null,
  compactionId: string,
  checkpoint: RawPayloadRef,
): void {
  const missing = threadId === null ? 'thread' : 'codex turn';
  if (threadId === null || turnId === null) {
    const what = `compaction installed event ${compactionId} did not include a ${missing} id`;
    throw new Rejection('event-incomplete', what);
  }
  if (graph.state.compactions.has(compactionId)) {
    throw new Rejection('duplicate-compaction', `duplicate compaction install for ${compactionId}`);
  }
  graph.thread(threadId);
  const turnThread = graph.state.codex_turns.get(turnId)?.thread_id;
  checkTurn(turnThread, `compaction install ${compactionId}`, threadId, turnId);

  const payloadId = checkpoint.raw_payload_id;
  const payload = graph.payloads.json(checkpoint);
  const inputHistory = requiredArray(payload, 'input_history', payloadId);
  const replacementHistory = requiredArray(payload, 'replacement_history', payloadId);
  const inputItems = normalizeItems(inputHistory, payloadId, graph.schema);
  const replacementItems = normalizeItems(replacementHistory, payloadId, graph.schema);

  const shown: Sighting = { threadId, codexTurnId: turnId, at };
  const made: Sighting = { ...shown, producer: { type: 'compaction', compaction_id: compactionId } };
  const input = reconcileDetached(graph, shown, inputItems, graph.snapshots.get(threadId) ?? []);
  const fields = {
    role: 'assistant',
    channel: null,
    kind: 'compaction_marker',
    agentMessage: undefined,
    parts: [],
    callId: null,
  } as const;
  const marker = createItem(graph, made, {
    ...fields,
    parts: [],
    responsesItemId: undefined,
    content: contentOf({ ...fields, parts: [] }),
  });
  // The new history is never the old one, whatever it says.
  const replacement = reconcileDetached(graph, made, replacementItems, []);
  listItems(graph, [...input, marker, ...replacement]);
  graph.replacements.set(threadId, replacement);
  graph.state.compactions.set(compactionId, {
    compaction_id: compactionId,
    thread_id: threadId,
    codex_turn_id: turnId,
    installed_at_unix_ms: at,
    marker_item_id: marker.item.item_id,
    request_ids: [...(graph.requestsByCompaction.get(compactionId) ?? [])].sort(compareUtf8),
    input_item_ids: input.map(({ item }) => item.item_id),
    replacement_item_ids: replacement.map(({ item }) => item.item_id),
  });
}

function checkTurn(turnThread: string | undefined, what: string, threadId: string, turnId: string): void {
  if (turnThread === undefined) {
    throw new Rejection('unknown-turn', `${what} referenced unknown codex turn ${turnId}`);
  }
  if (turnThread !== threadId) {
    const claim = `${what} used thread ${threadId}, but codex turn ${turnId} belongs to ${turnThread}`;
    throw new Rejection('turn-of-other-thread', claim);
  }
}

function requiredArray(payload: Json, key: string, payloadId: string): Json[] {
  const array = asArray(member(payload, key));
  if (array !== undefined) return array;
  const what = `compaction checkpoint payload ${payloadId} did not contain array ${key}`;
  throw new Rejection('payload-incomplete', what);
}
