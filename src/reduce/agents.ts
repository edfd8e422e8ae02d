// Edges between agents: who spawned, messaged, answered or closed whom.
//
// A message is sent before its recipient is shown it. Until then its edge waits, so that it can point at the
// very item; a spawn whose message never arrives points at the thread.

import { JsonSyntaxError } from '../trace/json-parser.js';
import { compareUtf8, type Integer, member } from '../trace/json-value.js';
import type { RawPayloadRef, ToolCallKind } from '../trace/raw-event.js';
import { Rejection } from '../trace/rejection.js';
import { type Decode, TypeMismatch } from '../trace/typed-json.js';
import {
  activityShape,
  closeBeginShape,
  closeEndShape,
  deliveryOf,
  messageArgument,
  messageBeginShape,
  messageEndShape,
  spawnEndShape,
} from './agent-payloads.js';
import type { Graph, ItemRecord, Moment, PendingEdge } from './graph.js';
import { addUnique, reach } from './pair-map.js';
import { spawnEdgeId } from './spawn-edge.js';
import type { ConversationItem, InteractionEdge, ToolCall, TraceAnchor } from './state.js';

/** What the runtime observed when a tool began to act on an agent. */
export function startInteraction(graph: Graph, tool: ToolCall, ref: RawPayloadRef): void {
  switch (tool.kind.type) {
    case 'assign_agent_task':
    case 'send_message': {
      const { receiver_thread_id, prompt } = read(graph, ref, messageBeginShape);
      deliver(graph, messageEdge(tool, tool.kind.type, receiver_thread_id, prompt, null));
      break;
    }
    case 'close_agent':
      closeEdge(graph, tool, read(graph, ref, closeBeginShape).receiver_thread_id, null);
      break;
  }
}

/** What the runtime observed when a tool had acted on an agent. */
export function endInteraction(graph: Graph, { at }: Moment, tool: ToolCall, ref: RawPayloadRef): void {
  if (tool.kind.type === 'mcp') return;
  if (member(graph.payloads.json(ref), 'agent_thread_id') !== undefined) {
    endActivity(graph, at, tool, ref);
    return;
  }
  switch (tool.kind.type) {
    case 'spawn_agent': {
      const { sender_thread_id, new_thread_id, prompt } = read(graph, ref, spawnEndShape);
      if (new_thread_id !== null) {
        deliver(graph, spawnEdge(tool, sender_thread_id, new_thread_id, prompt, at));
      }
      break;
    }
    case 'assign_agent_task':
    case 'send_message': {
      const { receiver_thread_id, prompt } = read(graph, ref, messageEndShape);
      deliver(graph, messageEdge(tool, tool.kind.type, receiver_thread_id, prompt, at));
      break;
    }
    case 'close_agent':
      closeEdge(graph, tool, read(graph, ref, closeEndShape).receiver_thread_id, at);
      break;
  }
}

function endActivity(graph: Graph, at: Integer, tool: ToolCall, ref: RawPayloadRef): void {
  const { kind: activity, agent_thread_id } = read(graph, ref, activityShape);
  const { kind } = tool;
  if (kind.type === 'spawn_agent' && activity === 'started') {
    const message = sentMessage(graph, tool);
    deliver(graph, spawnEdge(tool, tool.thread_id, agent_thread_id, message, at));
  } else if (
    (kind.type === 'assign_agent_task' || kind.type === 'send_message') &&
    activity === 'interacted'
  ) {
    deliver(graph, messageEdge(tool, kind.type, agent_thread_id, sentMessage(graph, tool), at));
  } else if (kind.type === 'close_agent' && activity === 'interrupted') {
    closeEdge(graph, tool, agent_thread_id, at);
  } else {
    const name = rustName(activity);
    const what = `sub-agent activity ${name} does not match tool call kind ${rustKind(kind)}`;
    throw new Rejection('activity-mismatch', what);
  }
}

/** A tool's result belongs to what its edge carried. */
export function attachResult(graph: Graph, toolCallId: string, payloadId: string): void {
  const edges = graph.edgesByTool.get(toolCallId) ?? [];
  const [first] = [...edges].sort((a, b) => compareUtf8(a.edge_id, b.edge_id));
  if (first !== undefined) {
    addUnique(first.carried_raw_payload_ids, payloadId);
    return;
  }
  const [pending] = graph.pendingEdgesByTool.get(toolCallId) ?? [];
  if (pending !== undefined) addUnique(pending.payloadIds, payloadId);
}

export interface AgentResult {
  edge_id: string;
  child_thread_id: string;
  child_codex_turn_id: string;
  parent_thread_id: string;
  message: string;
  carried_payload: RawPayloadRef | null;
}

/** A child that is done tells its parent. It may have failed without a last word. */
export function observeResult(graph: Graph, { at }: Moment, result: AgentResult): void {
  const answer = graph.answers.get(result.child_thread_id, result.child_codex_turn_id);
  const source: TraceAnchor =
    answer === undefined
      ? { type: 'thread', thread_id: result.child_thread_id }
      : { type: 'conversation_item', item_id: answer.item_id };
  deliver(graph, {
    edgeId: result.edge_id,
    kind: 'agent_result',
    source,
    senderThreadId: result.child_thread_id,
    targetThreadId: result.parent_thread_id,
    message: result.message,
    spawnedThreadId: null,
    startedAt: at,
    endedAt: at,
    payloadIds: result.carried_payload === null ? [] : [result.carried_payload.raw_payload_id],
  });
}

/** Gives the first edge that waits for this message its target. */
export function resolveDelivery(graph: Graph, item: ConversationItem): void {
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
}

/** The oldest item that delivered a message and that no edge points at yet. */
function arrivedItem(graph: Graph, threadId: string, key: string): ConversationItem | undefined {
  const records = graph.deliveries.get(threadId, key) ?? [];
  for (;;) {
    const first = records[0]?.item;
    if (first === undefined) return undefined;
    if (!graph.targetedItems.has(first.item_id) && deliveryKey(graph, first) === key) return first;
    records.shift();
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

function deliveryKey(graph: Graph, item: ConversationItem): string | undefined {
  const delivery = deliveryOf(item);
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

/** Connects the edge when its message has arrived, and lets it wait otherwise. */
function deliver(graph: Graph, edge: PendingEdge): void {
  const key = pendingKey(graph, edge);
  const arrived = arrivedItem(graph, edge.targetThreadId, key);
  if (arrived !== undefined) {
    connect(graph, edge, { type: 'conversation_item', item_id: arrived.item_id });
    return;
  }
  const waiting = graph.pendingEdges.get(edge.edgeId);
  if (waiting === undefined) {
    graph.pendingEdges.set(edge.edgeId, edge);
    graph.pendingEdgesByDelivery.reach(edge.targetThreadId, key, () => new Set()).add(edge);
    if (edge.source.type === 'tool_call') {
      reach(graph.pendingEdgesByTool, edge.source.tool_call_id, () => new Set()).add(edge);
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
  waiting.startedAt = earliest(waiting.startedAt, edge.startedAt);
  waiting.endedAt = latest(waiting.endedAt, edge.endedAt);
  for (const id of edge.payloadIds) addUnique(waiting.payloadIds, id);
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

function upsert(graph: Graph, edge: InteractionEdge): void {
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
  known.started_at_unix_ms = earliest(known.started_at_unix_ms, edge.started_at_unix_ms);
  known.ended_at_unix_ms = latest(known.ended_at_unix_ms, edge.ended_at_unix_ms);
  for (const id of edge.carried_item_ids) addUnique(known.carried_item_ids, id);
  for (const id of edge.carried_raw_payload_ids) addUnique(known.carried_raw_payload_ids, id);
}

function insert(graph: Graph, edge: InteractionEdge): void {
  graph.state.interaction_edges.set(edge.edge_id, edge);
  if (edge.source.type === 'tool_call') {
    reach(graph.edgesByTool, edge.source.tool_call_id, () => []).push(edge);
  }
  if (edge.target.type === 'conversation_item') graph.targetedItems.add(edge.target.item_id);
}

function spawnEdge(
  tool: ToolCall,
  parentId: string,
  childId: string,
  message: string,
  at: Integer,
): PendingEdge {
  return {
    ...toolEdge(tool),
    edgeId: spawnEdgeId(parentId, childId),
    kind: 'spawn_agent',
    targetThreadId: childId,
    message,
    spawnedThreadId: childId,
    endedAt: at,
  };
}

function messageEdge(
  tool: ToolCall,
  kind: 'assign_agent_task' | 'send_message',
  targetThreadId: string,
  message: string,
  endedAt: Integer | null,
): PendingEdge {
  return { ...toolEdge(tool), kind, targetThreadId, message, spawnedThreadId: null, endedAt };
}

function closeEdge(graph: Graph, tool: ToolCall, targetThreadId: string, endedAt: Integer | null): void {
  // A failed close may name a thread that is not in this recording.
  if (!graph.state.threads.has(targetThreadId)) return;
  const { edgeId, source, startedAt, payloadIds } = toolEdge(tool);
  upsert(graph, {
    edge_id: edgeId,
    kind: 'close_agent',
    source,
    target: { type: 'thread', thread_id: targetThreadId },
    started_at_unix_ms: startedAt,
    ended_at_unix_ms: endedAt,
    carried_item_ids: [],
    carried_raw_payload_ids: payloadIds,
  });
}

function toolEdge(
  tool: ToolCall,
): Pick<PendingEdge, 'edgeId' | 'source' | 'senderThreadId' | 'startedAt' | 'payloadIds'> {
  const payloadIds: string[] = [];
  const { raw_invocation_payload_id, raw_runtime_payload_ids, raw_result_payload_id } = tool;
  for (const id of [raw_invocation_payload_id, ...raw_runtime_payload_ids, raw_result_payload_id]) {
    if (id !== null) addUnique(payloadIds, id);
  }
  return {
    edgeId: `edge:tool:${tool.tool_call_id}`,
    source: { type: 'tool_call', tool_call_id: tool.tool_call_id },
    senderThreadId: tool.thread_id,
    startedAt: tool.execution.started_at_unix_ms,
    payloadIds,
  };
}

/** What the model wrote to the agent. Newer recordings have it in the tool's invocation only. */
function sentMessage(graph: Graph, tool: ToolCall): string {
  const what = `agent activity tool call ${tool.tool_call_id}`;
  const invocationId = tool.raw_invocation_payload_id;
  const ref = invocationId === null ? undefined : graph.state.raw_payloads.get(invocationId);
  if (ref === undefined) throw new Rejection('invocation-missing', `${what} missing invocation payload`);
  try {
    const message = messageArgument(graph.payloads.json(ref));
    if (message !== undefined) return message;
  } catch (error) {
    if (!(error instanceof TypeMismatch || error instanceof JsonSyntaxError)) throw error;
    const parsing = `parse agent activity tool call ${tool.tool_call_id} arguments`;
    throw new Rejection('agent-payload-invalid', parsing, [error.message]);
  }
  throw new Rejection('invocation-missing', `${what} missing function arguments`);
}

function read<T>(graph: Graph, ref: RawPayloadRef, shape: Decode<T>): T {
  try {
    return shape(graph.payloads.json(ref), '');
  } catch (error) {
    if (error instanceof TypeMismatch) throw new Rejection('agent-payload-invalid', error.ofValue);
    throw error;
  }
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

function rustName(name: string): string {
  return name.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** A tool kind as the reference prints it. */
function rustKind({ type, ...members }: ToolCallKind): string {
  const fields = Object.entries(members).map(([name, value]) => `${name}: ${JSON.stringify(value)}`);
  return fields.length === 0 ? rustName(type) : `${rustName(type)} { ${fields.join(', ')} }`;
}
