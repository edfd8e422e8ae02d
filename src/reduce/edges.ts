// The edges themselves: those that wait for their message to arrive, and those that connect two ends.
//
// A message is sent before its recipient is shown it. Until then its edge waits, so that it can point at the
// very item; a spawn whose message never arrives points at the thread. Who acted on whom is agents.ts.

import { compareUtf8, type Integer } from '../trace/json-value.js';
import { Rejection } from '../trace/rejection.js';
import { deliveryOf } from './agent-payloads.js';
import type { Graph, ItemRecord, PendingEdge } from './graph.js';
import { reach } from './pair-map.js';
import type { ConversationItem, InteractionEdge, TraceAnchor } from './state.js';

/** The id of the edge from a parent agent to a child that it spawned. */
export function spawnEdgeId(parentId: string, childId: string): string {
  return `edge:spawn:${parentId}:${childId}`;
}

/** Gives the first edge that waits for this message its target. An item is the target of one edge only. */
export function resolveDelivery(graph: Graph, item: ConversationItem): void {
  if (graph.targetedItems.has(item.item_id)) return;
  const key = deliveryKey(graph, item);
  if (key === undefined) return;
  const waiting = graph.pendingEdgesByDelivery.get(item.thread_id, key);
  const pending = waiting?.values().next().value;
  if (pending === undefined) return;
  forget(graph, pending);
  connect(graph, pending, { type: 'conversation_item', item_id: item.item_id });
}

/** Remembers an item as a target for edges that come later. */
export function noteDelivery(graph: Graph, record: ItemRecord): void {
  const key = deliveryKey(graph, record.item);
  if (key === undefined) return;
  const records = graph.deliveries.reach(record.item.thread_id, key, () => []);
  let place = records.length;
  while (place > 0 && (records[place - 1]?.ordinal ?? 0) > record.ordinal) place--;
  records.splice(place, 0, record);
  graph.journal.note(() => void records.splice(records.indexOf(record), 1));
}

/** The oldest item that delivered a message and that no edge points at yet. */
function arrivedItem(graph: Graph, threadId: string, key: string): ConversationItem | undefined {
  const records = graph.deliveries.get(threadId, key) ?? [];
  for (;;) {
    const first = records[0]?.item;
    if (first === undefined) return undefined;
    if (!graph.targetedItems.has(first.item_id) && deliveryKey(graph, first) === key) return first;
    const passed = records.shift();
    if (passed !== undefined) graph.journal.note(() => void records.unshift(passed));
  }
}

/** Spawns whose message nobody saw still made a thread. Called after the last event. */
export function connectWaitingSpawns(graph: Graph): void {
  for (const pending of graph.pendingEdges.values()) {
    const child = pending.spawnedThreadId;
    if (child !== null && graph.state.threads.has(child)) {
      connect(graph, pending, { type: 'thread', thread_id: child });
    }
  }
  graph.pendingEdges.clear();
}

/** Connects the edge when its message has arrived, and lets it wait otherwise. */
export function deliver(graph: Graph, edge: PendingEdge): void {
  const key = pendingKey(graph, edge);
  const arrived = arrivedItem(graph, edge.targetThreadId, key);
  if (arrived !== undefined) {
    connect(graph, edge, { type: 'conversation_item', item_id: arrived.item_id });
    return;
  }
  const waiting = graph.pendingEdges.get(edge.edgeId);
  if (waiting === undefined) {
    graph.pendingEdges.set(edge.edgeId, edge);
    graph.pendingEdgesByDelivery.reach(edge.targetThreadId, key, () => graph.newSet()).add(edge);
    if (edge.source.type === 'tool_call') {
      reach(graph.pendingEdgesByTool, edge.source.tool_call_id, () => graph.newSet()).add(edge);
    }
    return;
  }
  if (
    waiting.kind !== edge.kind ||
    !sameAnchor(waiting.source, edge.source) ||
    waiting.targetThreadId !== edge.targetThreadId ||
    waiting.message !== edge.message ||
    waiting.spawnedThreadId !== edge.spawnedThreadId
  ) {
    const what = `pending interaction edge ${edge.edgeId} was observed with conflicting delivery data`;
    throw new Rejection('edge-conflict', what);
  }
  graph.journal.assign(waiting, {
    startedAt: earliest(waiting.startedAt, edge.startedAt),
    endedAt: latest(waiting.endedAt, edge.endedAt),
  });
  for (const id of edge.payloadIds) graph.journal.addUnique(waiting.payloadIds, id);
}

function forget(graph: Graph, pending: PendingEdge): void {
  graph.pendingEdges.delete(pending.edgeId);
  graph.pendingEdgesByDelivery.get(pending.targetThreadId, pendingKey(graph, pending))?.delete(pending);
  if (pending.source.type === 'tool_call') {
    graph.pendingEdgesByTool.get(pending.source.tool_call_id)?.delete(pending);
  }
}

function connect(graph: Graph, pending: PendingEdge, target: TraceAnchor): void {
  upsert(graph, {
    edge_id: pending.edgeId,
    kind: pending.kind,
    source: pending.source,
    target,
    started_at_unix_ms: pending.startedAt,
    ended_at_unix_ms: pending.endedAt,
    carried_item_ids: target.type === 'conversation_item' ? [target.item_id] : [],
    carried_raw_payload_ids: pending.payloadIds,
  });
}

export function upsert(graph: Graph, edge: InteractionEdge): void {
  const known = graph.state.interaction_edges.get(edge.edge_id);
  if (known === undefined) {
    insert(graph, edge);
    return;
  }
  if (
    known.kind !== edge.kind ||
    !sameAnchor(known.source, edge.source) ||
    !sameAnchor(known.target, edge.target)
  ) {
    const what = `interaction edge ${edge.edge_id} was observed with conflicting endpoints`;
    throw new Rejection('edge-conflict', what);
  }
  graph.journal.assign(known, {
    started_at_unix_ms: earliest(known.started_at_unix_ms, edge.started_at_unix_ms),
    ended_at_unix_ms: latest(known.ended_at_unix_ms, edge.ended_at_unix_ms),
  });
  for (const id of edge.carried_item_ids) graph.journal.addUnique(known.carried_item_ids, id);
  for (const id of edge.carried_raw_payload_ids) graph.journal.addUnique(known.carried_raw_payload_ids, id);
}

function insert(graph: Graph, edge: InteractionEdge): void {
  graph.state.interaction_edges.set(edge.edge_id, edge);
  if (edge.source.type === 'tool_call') {
    graph.journal.push(
      reach(graph.edgesByTool, edge.source.tool_call_id, () => []),
      edge,
    );
  }
  if (edge.target.type === 'conversation_item') graph.targetedItems.add(edge.target.item_id);
}

/** A tool's result belongs to what its edge carried. */
export function attachResult(graph: Graph, toolCallId: string, payloadId: string): void {
  const edges = graph.edgesByTool.get(toolCallId) ?? [];
  const [first] = [...edges].sort((a, b) => compareUtf8(a.edge_id, b.edge_id));
  if (first !== undefined) {
    graph.journal.addUnique(first.carried_raw_payload_ids, payloadId);
    return;
  }
  const [pending] = graph.pendingEdgesByTool.get(toolCallId) ?? [];
  if (pending !== undefined) graph.journal.addUnique(pending.payloadIds, payloadId);
}

function deliveryKey(graph: Graph, item: ConversationItem): string | undefined {
  const delivery = deliveryOf(item, graph.schema);
  if (delivery === undefined || delivery.recipient !== graph.thread(item.thread_id).agent_path) {
    return undefined;
  }
  return messageKey(delivery.author, delivery.message);
}

function messageKey(author: string, message: string): string {
  return JSON.stringify([author, message]);
}

function pendingKey(graph: Graph, { senderThreadId, message }: PendingEdge): string {
  const sender = graph.state.threads.get(senderThreadId);
  if (sender === undefined) {
    const what = `agent edge referenced unknown thread ${senderThreadId}`;
    throw new Rejection('unknown-thread', what);
  }
  return messageKey(sender.agent_path, message);
}

function sameAnchor(a: TraceAnchor, b: TraceAnchor): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function earliest(a: Integer, b: Integer): Integer {
  return a < b ? a : b;
}

function latest(a: Integer | null, b: Integer | null): Integer | null {
  if (a === null || b === null) return a ?? b;
  return a > b ? a : b;
}
