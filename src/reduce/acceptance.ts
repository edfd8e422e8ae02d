// Acceptance into a thread's history: the moment from which an item belongs to the conversation, also when
// no request has shown it yet.

import type { RawPayloadRef } from '../trace/raw-event.js';
import { Rejection } from '../trace/rejection.js';
import { resolveDelivery } from './edges.js';
import type { Graph, Moment } from './graph.js';
import { createItem, markAccepted } from './item.js';
import { normalizeItem } from './normalize.js';

/** @param ref of a message between agents: the item itself, which no request may ever show. */
export function acceptItem(
  graph: Graph,
  moment: Moment,
  threadId: string | null,
  codexTurnId: string | null,
  wireId: string,
  ref: RawPayloadRef | null | undefined,
): void {
  if (threadId === null) throw new Rejection('event-incomplete', 'history acceptance has no thread');
  graph.thread(threadId);
  const first = graph.accepted.reach(threadId, wireId, () => moment);
  const records = graph.itemsByWireId.get(threadId, wireId) ?? [];
  for (const record of records) markAccepted(graph, record, first);
  if (records.length === 0 && ref !== null && ref !== undefined) {
    acceptAgentMessage(graph, moment, threadId, codexTurnId, wireId, ref);
  }
}

function acceptAgentMessage(
  graph: Graph,
  moment: Moment,
  threadId: string,
  codexTurnId: string | null,
  wireId: string,
  ref: RawPayloadRef,
): void {
  const payload = graph.payloads.json(ref);
  const message = normalizeItem(payload, ref.raw_payload_id, graph.schema);
  if (message?.responsesItemId !== wireId || message.agentMessage === undefined) {
    throw new Rejection('acceptance-mismatch', `accepted agent message does not match receipt ${wireId}`);
  }
  const record = createItem(graph, { threadId, codexTurnId, at: moment.at }, message);
  graph.unseenAgentMessages.set(threadId, wireId, record);
  resolveDelivery(graph, record.item);
}
