// Tool calls: from the request to the result, with the conversation items that show them to a model.

import type {
  ExecutionStatus,
  RawPayloadRef,
  ToolCallKind,
  ToolCallRequester,
  ToolCallSummary,
} from '../trace/raw-event.js';
import { Rejection } from '../trace/rejection.js';
import { endInteraction, startInteraction } from './agents.js';
import { linkNestedTool, linkWait } from './cell-links.js';
import { cellOfRuntime } from './code-cell.js';
import { attachResult } from './edges.js';
import { closeWindow, type Graph, itemsOfCall, type Moment, openWindow } from './graph.js';
import type { ConversationItem, ToolCall } from './state.js';
import {
  endOperation,
  isTerminalTool,
  observeOperation,
  startObservedOperation,
  startWrite,
} from './terminal.js';

export interface ToolStart {
  tool_call_id: string;
  model_visible_call_id: string | null;
  code_mode_runtime_tool_id: string | null;
  requester: ToolCallRequester;
  kind: ToolCallKind;
  summary: ToolCallSummary;
  invocation_payload: RawPayloadRef | null;
}

export function startTool(
  graph: Graph,
  moment: Moment,
  eventThreadId: string | null,
  turnId: string | null,
  start: ToolStart,
): void {
  const { tool_call_id, model_visible_call_id: callId, kind, invocation_payload } = start;
  if (graph.state.tool_calls.has(tool_call_id)) {
    throw new Rejection('duplicate-tool', `duplicate tool call start for ${tool_call_id}`);
  }
  if (callId !== null && graph.toolsByVisibleCall.has(callId)) {
    throw new Rejection('duplicate-tool', `duplicate tool call for model-visible call id ${callId}`);
  }
  const threadId = threadOf(graph, eventThreadId, turnId);
  const requester = reduceRequester(graph, threadId, start.requester);
  const operationId =
    kind.type === 'write_stdin' && invocation_payload !== null
      ? startWrite(graph, moment, threadId, tool_call_id, invocation_payload)
      : null;
  if (invocation_payload !== null) linkWait(graph, threadId, tool_call_id, invocation_payload);
  const tool: ToolCall = {
    tool_call_id,
    mcp_call_id: null,
    model_visible_call_id: callId,
    code_mode_runtime_tool_id: start.code_mode_runtime_tool_id,
    started_code_cell_id: undefined,
    thread_id: threadId,
    started_by_codex_turn_id: turnId,
    execution: openWindow(moment),
    requester,
    kind,
    model_visible_call_item_ids: [],
    model_visible_output_item_ids: [],
    terminal_operation_id: operationId,
    summary: operationId === null ? start.summary : { type: 'terminal', operation_id: operationId },
    raw_invocation_payload_id: invocation_payload?.raw_payload_id ?? null,
    raw_result_payload_id: null,
    raw_runtime_payload_ids: [],
  };
  graph.state.tool_calls.set(tool_call_id, tool);
  if (requester.type === 'code_cell') linkNestedTool(graph, requester.code_cell_id, tool_call_id);
  if (callId === null) return;
  graph.toolsByVisibleCall.set(callId, tool);
  for (const item of itemsOfCall(graph, threadId, callId)) attachItem(graph, tool, item);
  observeOperation(graph, tool);
}

function threadOf(graph: Graph, eventThreadId: string | null, turnId: string | null): string {
  const turnThread = turnId === null ? undefined : graph.state.codex_turns.get(turnId)?.thread_id;
  const unknownTurn = () =>
    new Rejection('unknown-turn', `tool call start referenced unknown Codex turn ${turnId}`);
  if (eventThreadId === null && turnId === null) {
    const what = 'tool call start did not include thread or Codex turn context';
    throw new Rejection('event-incomplete', what);
  }
  const threadId = eventThreadId ?? turnThread;
  if (threadId === undefined) throw unknownTurn();
  if (!graph.state.threads.has(threadId)) {
    throw new Rejection('unknown-thread', `tool call start referenced unknown thread ${threadId}`);
  }
  if (turnId === null) return threadId;
  if (turnThread === undefined) throw unknownTurn();
  if (turnThread !== threadId) {
    throw new Rejection(
      'turn-of-other-thread',
      `tool call start used thread ${threadId}, but Codex turn ${turnId} belongs to ${turnThread}`,
    );
  }
  return threadId;
}

function reduceRequester(
  graph: Graph,
  threadId: string,
  requester: ToolCallRequester,
): ToolCall['requester'] {
  if (requester.type === 'model') return requester;
  const cellId = cellOfRuntime(graph, threadId, requester.runtime_cell_id, 'code-mode nested tool');
  return { type: 'code_cell', code_cell_id: cellId };
}

export function correlateMcp(graph: Graph, toolCallId: string, mcpCallId: string): void {
  const tool = graph.state.tool_calls.get(toolCallId);
  if (tool === undefined) {
    throw new Rejection('unknown-tool', `MCP correlation referenced unknown tool call ${toolCallId}`);
  }
  if (tool.mcp_call_id !== null) {
    throw new Rejection('duplicate-correlation', `duplicate MCP correlation for tool call ${toolCallId}`);
  }
  graph.journal.assign(tool, { mcp_call_id: mcpCallId });
}

export function endTool(
  graph: Graph,
  moment: Moment,
  toolCallId: string,
  status: ExecutionStatus,
  result: RawPayloadRef | null,
): void {
  const tool = toolOf(graph, toolCallId, 'tool call end');
  closeWindow(graph, tool.execution, moment, status);
  graph.journal.assign(tool, { raw_result_payload_id: result?.raw_payload_id ?? null });
  // What the runtime observed of a terminal is nearer to the truth than what the requester was told.
  if (tool.terminal_operation_id !== null && tool.raw_runtime_payload_ids.length === 0) {
    endOperation(graph, moment, tool.thread_id, tool.terminal_operation_id, status, result);
  }
  if (result !== null) attachResult(graph, toolCallId, result.raw_payload_id);
}

export function startToolRuntime(
  graph: Graph,
  moment: Moment,
  toolCallId: string,
  observedKind: ToolCallKind | undefined,
  ref: RawPayloadRef,
): void {
  const tool = toolOf(graph, toolCallId, 'tool runtime start');
  graph.journal.addUnique(tool.raw_runtime_payload_ids, ref.raw_payload_id);
  if (observedKind !== undefined) graph.journal.assign(tool, { kind: observedKind });
  if (tool.terminal_operation_id !== null && isTerminalTool(tool.kind)) {
    const what = `tool runtime start would create a second terminal operation for ${toolCallId}`;
    throw new Rejection('duplicate-operation', what);
  }
  const operationId = startObservedOperation(graph, moment, tool, ref);
  if (operationId !== null) {
    graph.journal.assign(tool, {
      terminal_operation_id: operationId,
      summary: { type: 'terminal', operation_id: operationId },
    });
    observeOperation(graph, tool);
  }
  startInteraction(graph, tool, ref);
}

export function endToolRuntime(
  graph: Graph,
  moment: Moment,
  toolCallId: string,
  status: ExecutionStatus,
  ref: RawPayloadRef,
): void {
  const tool = toolOf(graph, toolCallId, 'tool runtime end');
  graph.journal.addUnique(tool.raw_runtime_payload_ids, ref.raw_payload_id);
  if (tool.terminal_operation_id !== null) {
    endOperation(graph, moment, tool.thread_id, tool.terminal_operation_id, status, ref);
  }
  endInteraction(graph, moment, tool, ref);
}

function toolOf(graph: Graph, toolCallId: string, what: string): ToolCall {
  const tool = graph.state.tool_calls.get(toolCallId);
  if (tool === undefined) {
    throw new Rejection('unknown-tool', `${what} referenced unknown call ${toolCallId}`);
  }
  return tool;
}

/** Links a sighted item to the tool call with its call id, if there is one yet. */
export function attachToolItem(graph: Graph, item: ConversationItem, callId: string): void {
  const tool = graph.toolsByVisibleCall.get(callId);
  if (tool === undefined) return;
  attachItem(graph, tool, item);
  observeOperation(graph, tool);
}

function attachItem(graph: Graph, tool: ToolCall, item: ConversationItem): void {
  const { tool_call_id } = tool;
  if (item.kind === 'function_call' || item.kind === 'custom_tool_call') {
    graph.journal.addUnique(tool.model_visible_call_item_ids, item.item_id);
    for (const callItemId of tool.model_visible_call_item_ids) {
      for (const inference of graph.inferencesByAnswer.get(callItemId) ?? []) {
        graph.journal.addUnique(inference.tool_call_ids_started_by_response, tool_call_id);
      }
    }
  } else {
    graph.journal.addUnique(tool.model_visible_output_item_ids, item.item_id);
    if (item.produced_by.some((known) => known.type === 'tool' && known.tool_call_id === tool_call_id))
      return;
    graph.journal.push(item.produced_by, { type: 'tool', tool_call_id });
  }
}
