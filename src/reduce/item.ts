// Single conversation items: how one comes to be, and what follows from its being seen, accepted or shown.
// Which item of a payload is which item of the conversation is conversation.ts.

import type { Integer } from '../trace/json-value.js';
import { Rejection } from '../trace/rejection.js';
import { attachCellOutput } from './cell-links.js';
import { noticeCellSource } from './code-cell.js';
import { noteDelivery, resolveDelivery } from './edges.js';
import type { Graph, ItemRecord, Moment } from './graph.js';
import { contentOf, inPayload, type NormalizedItem } from './normalized-item.js';
import type { ConversationItem, ConversationPart, Producer } from './state.js';
import { attachToolItem } from './tool.js';

/** The thread and turn that items are seen in. */
export interface Sighting {
  threadId: string;
  codexTurnId: string | null;
  at: Integer;
  producer?: Producer;
  /** The payload that shows the items, where they may have been read in an earlier one. */
  payloadId?: string;
}

/** A call id names one call: its content cannot change. Outputs may, unless the schema says otherwise. */
export function checkCallContent(
  graph: Graph,
  threadId: string,
  { kind, callId, content }: NormalizedItem,
): void {
  if (callId === null) return;
  if (!graph.schema.fixedOutputs && kind !== 'function_call' && kind !== 'custom_tool_call') return;
  const known = graph.callContents.get(threadId, `${kind} ${callId}`);
  if (known !== undefined && known !== content) {
    throw new Rejection(
      'call-id-reused',
      `model-visible call id ${callId} was reused with different content`,
    );
  }
}

/** A message between agents that was accepted before any model saw it is that item, as it is now shown. */
export function adoptOrCreate(graph: Graph, sighting: Sighting, item: NormalizedItem): ItemRecord {
  const { threadId, payloadId } = sighting;
  const sighted = payloadId === undefined ? item : inPayload(item, payloadId);
  const { agentMessage, responsesItemId } = sighted;
  if (agentMessage !== undefined && responsesItemId !== undefined) {
    const record = graph.unseenAgentMessages.get(threadId, responsesItemId);
    if (record !== undefined) {
      graph.unseenAgentMessages.delete(threadId, responsesItemId);
      graph.journal.assign(record.item, { body: { parts: sighted.parts } });
      const content = contentOf({ ...sighted, agentMessage: record.item.agent_message });
      graph.journal.assign(record, { content });
      noteDelivery(graph, record);
      return record;
    }
  }
  return createItem(graph, sighting, sighted);
}

export function createItem(graph: Graph, sighting: Sighting, item: NormalizedItem): ItemRecord {
  const { threadId, codexTurnId, at, producer } = sighting;
  const { role, channel, kind, agentMessage, parts, callId, content } = item;
  const ordinal = graph.nextItem++;
  const itemId = `conversation_item:${ordinal}`;
  const record: ItemRecord = {
    ordinal,
    content,
    listed: false,
    item: {
      item_id: itemId,
      responses_item_id: undefined,
      accepted_at_unix_ms: undefined,
      accepted_seq: undefined,
      thread_id: threadId,
      codex_turn_id: codexTurnId,
      first_seen_at_unix_ms: at,
      role,
      channel,
      kind,
      agent_message: agentMessage,
      body: { parts },
      call_id: callId,
      produced_by: producer === undefined ? [] : [producer],
    },
  };
  graph.items.set(itemId, record);
  graph.state.conversation_items.set(itemId, record.item);
  if (callId !== null) {
    graph.journal.push(
      graph.itemsByCall.reach(threadId, callId, () => []),
      record,
    );
    graph.callContents.set(threadId, `${kind} ${callId}`, content);
    if (kind === 'custom_tool_call') noticeCellSource(graph, threadId, callId);
  }
  if (role === 'assistant' && kind === 'message' && agentMessage === undefined) noteAnswer(graph, record);
  if (item.responsesItemId !== undefined) identify(graph, record, item.responsesItemId);
  noteDelivery(graph, record);
  return record;
}

/** Of messages seen at the same time the one with the greatest id counts, in the order of the state. */
function noteAnswer(graph: Graph, { item }: ItemRecord): void {
  const turn = item.codex_turn_id ?? '';
  const latest = graph.answers.get(item.thread_id, turn);
  const later =
    latest === undefined ||
    item.first_seen_at_unix_ms > latest.first_seen_at_unix_ms ||
    (item.first_seen_at_unix_ms === latest.first_seen_at_unix_ms && item.item_id > latest.item_id);
  if (later) graph.answers.set(item.thread_id, turn, item);
}

/** All that follows from an item being seen, for the first time or again. */
export function see(graph: Graph, sighting: Sighting, record: ItemRecord, sighted: NormalizedItem): void {
  const { item } = record;
  if (sighted.responsesItemId !== undefined) identify(graph, record, sighted.responsesItemId);
  if (item.kind === 'reasoning') mergeReasoning(graph, item, sighted.parts);
  const { producer } = sighting;
  if (producer !== undefined && !item.produced_by.some((known) => sameProducer(known, producer))) {
    graph.journal.push(item.produced_by, producer);
  }
  if (item.call_id !== null) {
    attachToolItem(graph, item, item.call_id);
    attachCellOutput(graph, item, item.call_id);
  }
  resolveDelivery(graph, item);
}

function identify(graph: Graph, record: ItemRecord, wireId: string): void {
  const { item } = record;
  if (item.responses_item_id !== undefined) return;
  graph.journal.assign(item, { responses_item_id: wireId });
  graph.journal.push(
    graph.itemsByWireId.reach(item.thread_id, wireId, () => []),
    record,
  );
  const acceptance = graph.accepted.get(item.thread_id, wireId);
  if (acceptance !== undefined) markAccepted(graph, record, acceptance);
}

export function markAccepted(graph: Graph, record: ItemRecord, { at, seq }: Moment): void {
  graph.journal.assign(record.item, { accepted_at_unix_ms: at, accepted_seq: seq });
  listItems(graph, [record]);
}

/** Requests often repeat less of a reasoning item than the response had; what was seen once stays. */
function mergeReasoning(graph: Graph, item: ConversationItem, sighted: readonly ConversationPart[]): void {
  const own = item.body.parts;
  const encoded = own.filter(({ type }) => type === 'encoded');
  if (encoded.length === 0 || own === sighted) return;
  const texts = own.filter(({ type }) => type === 'text');
  const summaries = own.filter(({ type }) => type === 'summary');
  if (texts.length > 0 && summaries.length > 0) return;
  const parts = [
    ...(texts.length > 0 ? texts : sighted.filter(({ type }) => type === 'text')),
    ...(summaries.length > 0 ? summaries : sighted.filter(({ type }) => type === 'summary')),
    ...encoded,
  ];
  if (parts.length > own.length) graph.journal.assign(item, { body: { parts } });
}

function sameProducer(a: Producer, b: Producer): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** Makes items part of their thread's conversation. */
export function listItems(graph: Graph, records: readonly ItemRecord[]): void {
  for (const record of records) {
    if (!record.listed) graph.journal.assign(record, { listed: true });
  }
}

/** Writes the list of every thread. Called after the last event. */
export function listConversations(graph: Graph): void {
  for (const { item, listed } of graph.items.values()) {
    if (listed) graph.thread(item.thread_id).conversation_item_ids.push(item.item_id);
  }
}
