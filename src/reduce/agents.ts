// What one agent did to another, as Codex recorded it: spawned, messaged, answered or closed it. Makes the
// edges that edges.ts connects.

import { JsonTextError } from '../trace/json-text.js';
import { type Integer, member } from '../trace/json-value.js';
import type { RawPayloadRef, ToolCallKind } from '../trace/raw-event.js';
import { Rejection } from '../trace/rejection.js';
import { type Decode, TypeMismatch } from '../trace/typed-json.js';
import {
  activityShape,
  closeBeginShape,
  closeEndShape,
  messageArgument,
  messageBeginShape,
  messageEndShape,
  spawnEndShape,
} from './agent-payloads.js';
import { deliver, spawnEdgeId, upsert } from './edges.js';
import type { Graph, Moment, PendingEdge } from './graph.js';
import type { ToolCall, TraceAnchor } from './state.js';

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
  if (tool.kind.type === 'mcp' && !graph.schema.mcpActivities) return;
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
  const { kind: activity, agent_thread_id } = read(graph, ref, activityShape(graph.schema));
  if (activity === 'completed') return;
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
    if (id !== null && !payloadIds.includes(id)) payloadIds.push(id);
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
    if (!(error instanceof JsonTextError)) throw error;
    const parsing = `parse agent activity tool call ${tool.tool_call_id} arguments`;
    throw new Rejection('agent-payload-invalid', parsing, [error.message]);
  }
  throw new Rejection('invocation-missing', `${what} missing function arguments`);
}

function read<T>(graph: Graph, ref: RawPayloadRef, shape: Decode<T>): T {
  try {
    return shape(graph.payloads.json(ref), '');
  } catch (error) {
    if (error instanceof TypeMismatch) throw new Rejection('agent-payload-invalid', error.message);
    throw error;
  }
}

function rustName(name: string): string {
  return name.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** A tool kind as the reference prints it. */
function rustKind({ type, ...members }: ToolCallKind): string {
  const fields = Object.entries(members).map(([name, value]) => `${name}: ${JSON.stringify(value)}`);
  return fields.length === 0 ? rustName(type) : `${rustName(type)} { ${fields.join(', ')} }`;
}
