// Terminals: the commands, writes and polls that tools made, and the sessions that they shared.
//
// A command opens a session of its own. A write goes to the session of its process id, or to the one that
// Codex later says it went to.

import type { ExecutionStatus, RawPayloadRef, ToolCallKind } from '../trace/raw-event.js';
import { Rejection } from '../trace/rejection.js';
import { closeWindow, type Graph, type Moment, openWindow } from './graph.js';
import type { TerminalOperation, ToolCall } from './state.js';
import { type OperationRequest, parseBegin, parseEnd, parseWrite } from './terminal-payloads.js';

/** The operation of a write, from what the tool was asked; null when that names no process. */
export function startWrite(
  graph: Graph,
  moment: Moment,
  threadId: string,
  toolCallId: string,
  ref: RawPayloadRef,
): string | null {
  const request = parseWrite(graph.payloads.json(ref), ref.raw_payload_id, graph.schema);
  if (request === undefined) return null;
  return insertOperation(graph, moment, threadId, toolCallId, request, ref.raw_payload_id);
}

/** The operation of a command or write whose start the runtime observed; null for other tools. */
export function startObservedOperation(
  graph: Graph,
  moment: Moment,
  tool: ToolCall,
  ref: RawPayloadRef,
): string | null {
  if (!isTerminalTool(tool.kind)) return null;
  const request = parseBegin(tool.kind.type, graph.payloads.json(ref), ref.raw_payload_id);
  return insertOperation(graph, moment, tool.thread_id, tool.tool_call_id, request, ref.raw_payload_id);
}

export function isTerminalTool(kind: ToolCallKind): kind is { type: 'exec_command' | 'write_stdin' } {
  return kind.type === 'exec_command' || kind.type === 'write_stdin';
}

function insertOperation(
  graph: Graph,
  moment: Moment,
  threadId: string,
  toolCallId: string,
  { request, processId }: OperationRequest,
  payloadId: string,
): string {
  const operationId = `terminal_operation:${graph.nextOperation++}`;
  const operation: TerminalOperation = {
    operation_id: operationId,
    terminal_id: null,
    tool_call_id: toolCallId,
    kind: request.type,
    execution: openWindow(moment),
    request,
    result: null,
    model_observations: [],
    raw_payload_ids: [payloadId],
  };
  graph.state.terminal_operations.set(operationId, operation);
  if (processId !== null) joinSession(graph, threadId, operation, processId);
  return operationId;
}

/** Ends an operation with what the runtime or the tool's result says of it. */
export function endOperation(
  graph: Graph,
  moment: Moment,
  threadId: string,
  operationId: string,
  status: ExecutionStatus,
  ref: RawPayloadRef | null,
): void {
  const operation = operationOf(graph, operationId, 'terminal end referenced');
  const ended =
    ref === null
      ? undefined
      : parseEnd(operation.kind, graph.payloads.json(ref), ref.raw_payload_id, graph.schema);
  closeWindow(graph, operation.execution, moment, status);
  if (ref === null || ended === undefined) return;
  graph.journal.addUnique(operation.raw_payload_ids, ref.raw_payload_id);
  const known = operation.terminal_id === null ? undefined : graph.processes.get(operation.terminal_id);
  if (ended.processId !== null) {
    if (known === undefined) {
      joinSession(graph, threadId, operation, ended.processId);
    } else if (known !== ended.processId) {
      throw new Rejection(
        'process-changed',
        `terminal operation ${operationId} changed process id from ${known} to ${ended.processId}`,
      );
    }
  }
  graph.journal.assign(operation, { result: ended.result });
}

function operationOf(graph: Graph, operationId: string, what: string): TerminalOperation {
  const operation = graph.state.terminal_operations.get(operationId);
  if (operation === undefined) {
    throw new Rejection('unknown-operation', `${what} unknown operation ${operationId}`);
  }
  return operation;
}

function joinSession(graph: Graph, threadId: string, operation: TerminalOperation, processId: string): void {
  const own = `terminal_session:${operation.operation_id}`;
  const shared =
    operation.kind === 'exec_command' ? undefined : graph.sessionsByProcess.get(threadId, processId);
  const terminalId = graph.schema.sessionsByProcess ? processId : (shared ?? own);
  graph.sessionsByProcess.set(threadId, processId, terminalId);
  graph.processes.set(terminalId, processId);
  graph.journal.assign(operation, { terminal_id: terminalId });
  let session = graph.state.terminal_sessions.get(terminalId);
  if (session === undefined) {
    const { started_at_unix_ms, started_seq } = operation.execution;
    session = {
      terminal_id: terminalId,
      thread_id: threadId,
      created_by_operation_id: operation.operation_id,
      operation_ids: [],
      execution: openWindow({ at: started_at_unix_ms, seq: started_seq }),
    };
    graph.state.terminal_sessions.set(terminalId, session);
  }
  if (session.thread_id !== threadId) {
    const what = `terminal session ${terminalId} belongs to thread ${session.thread_id}, not ${threadId}`;
    throw new Rejection('session-of-other-thread', what);
  }
  graph.journal.addUnique(session.operation_ids, operation.operation_id);
}

/** Moves a write to the session of the command that it went to. */
export function resolveWriteTarget(graph: Graph, toolCallId: string, execToolCallId: string): void {
  const { tool_calls, terminal_operations, terminal_sessions } = graph.state;
  const tool = tool_calls.get(toolCallId);
  if (tool === undefined) {
    throw new Rejection('unknown-tool', `stdin target referenced unknown call ${toolCallId}`);
  }
  const exec = tool_calls.get(execToolCallId);
  if (exec === undefined) {
    throw new Rejection('unknown-tool', `stdin target referenced unknown exec ${execToolCallId}`);
  }
  const write = terminal_operations.get(tool.terminal_operation_id ?? '');
  const target = terminal_operations.get(exec.terminal_operation_id ?? '')?.terminal_id ?? null;
  if (write === undefined || target === null || write.terminal_id === target) return;
  const session = terminal_sessions.get(target);
  if (session === undefined) {
    throw new Rejection('unknown-session', `stdin target referenced unknown session ${target}`);
  }
  const left = terminal_sessions.get(write.terminal_id ?? '');
  if (left !== undefined) {
    const operation_ids = left.operation_ids.filter((id) => id !== write.operation_id);
    graph.journal.assign(left, { operation_ids });
    if (left.operation_ids.length === 0) terminal_sessions.delete(left.terminal_id);
  }
  graph.journal.assign(write, { terminal_id: target });
  graph.journal.addUnique(session.operation_ids, write.operation_id);
}

/** Shows on the operation which conversation items a model saw it through. */
export function observeOperation(graph: Graph, tool: ToolCall): void {
  if (tool.terminal_operation_id === null) return;
  const call_item_ids = [...tool.model_visible_call_item_ids];
  const output_item_ids = [...tool.model_visible_output_item_ids];
  if (call_item_ids.length === 0 && output_item_ids.length === 0) return;
  const operation = graph.state.terminal_operations.get(tool.terminal_operation_id);
  if (operation === undefined) return;
  const [known] = operation.model_observations;
  const unchanged =
    known?.call_item_ids.length === call_item_ids.length &&
    known.output_item_ids.length === output_item_ids.length;
  if (unchanged) return;
  graph.journal.assign(operation, {
    model_observations: [{ call_item_ids, output_item_ids, source: 'direct_tool_call' }],
  });
}
