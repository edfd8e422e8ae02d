// Terminals: the commands, writes and polls that tools made, and the sessions that they shared.
//
// A command opens a session of its own. A write goes to the session of its process id, or to the one that
// Codex later says it went to.

import { JsonSyntaxError, parseJson } from '../trace/json-parser.js';
import { asArray, asString, compactJson, type Json, JsonNumber, member } from '../trace/json-value.js';
import type { ExecutionStatus, RawPayloadRef, ToolCallKind } from '../trace/raw-event.js';
import { Rejection } from '../trace/rejection.js';
import {
  anyJson,
  type Decode,
  defaulted,
  i32,
  list,
  optional,
  struct,
  TypeMismatch,
  tagged,
  text,
  u64,
  usize,
} from '../trace/typed-json.js';
import { closeWindow, type Graph, type Moment, openWindow } from './graph.js';
import { addUnique } from './pair-map.js';
import type { TerminalOperation, TerminalRequest, TerminalResult, ToolCall } from './state.js';

/** What starts an operation. */
interface OperationStart {
  threadId: string;
  toolCallId: string;
  request: TerminalRequest;
  processId: string | null;
  payloadId: string;
}

const beginShape = struct('struct ExecCommandBeginPayload', {
  process_id: optional(text),
  command: list(text),
  cwd: text,
  interaction_input: optional(text),
});

const endShape = struct('struct ExecCommandEndPayload', {
  process_id: optional(text),
  aggregated_output: defaulted(text, ''),
  exit_code: i32,
});

const invocationShape = struct('struct DispatchedToolTraceRequestPayload', {
  tool_name: text,
  tool_namespace: optional(text),
  payload: struct('struct DispatchedToolPayload', { type: text, arguments: optional(text) }),
});

const writeArgumentsShape = struct('struct DispatchedWriteStdinArgs', {
  session_id: anyJson,
  chars: defaulted(text, ''),
  yield_time_ms: optional(u64),
  max_output_tokens: optional(usize),
});

const dispatchResultShape = tagged<
  | { type: 'direct_response'; response_item: Json }
  | { type: 'code_mode_response'; value: Json }
  | { type: 'error'; error: string }
>('DispatchedToolTraceResponsePayload', {
  direct_response: { response_item: anyJson },
  code_mode_response: { value: anyJson },
  error: { error: text },
});

const codeModeResultShape = struct('struct CodeModeExecResult', {
  chunk_id: optional(text),
  exit_code: optional(i32),
  original_token_count: optional(usize),
  output: text,
});

/** The operation of a write, from what the tool was asked; null when that names no session. */
export function startWrite(
  graph: Graph,
  moment: Moment,
  threadId: string,
  toolCallId: string,
  ref: RawPayloadRef,
): string | null {
  const parsed = parseWrite(graph, ref);
  if (parsed === undefined) return null;
  const start = { threadId, toolCallId, ...parsed, payloadId: ref.raw_payload_id };
  return insertOperation(graph, moment, start);
}

function parseWrite(
  graph: Graph,
  ref: RawPayloadRef,
): { processId: string; request: TerminalRequest } | undefined {
  const payload = graph.payloads.json(ref);
  const refuse = (cause: string) =>
    new Rejection(
      'terminal-payload-invalid',
      `parse terminal invocation payload ${ref.raw_payload_id} as dispatch payload`,
      [cause],
    );
  const invocation = decode(invocationShape, payload, refuse);
  if (invocation.tool_name !== 'write_stdin') {
    throw refuse(`dispatch terminal request is for ${invocation.tool_name}, not write_stdin`);
  }
  if (invocation.payload.type !== 'function') {
    throw refuse(`write_stdin dispatch payload used unsupported ${invocation.payload.type} payload`);
  }
  if (invocation.payload.arguments === null) {
    throw refuse('write_stdin dispatch payload omitted function arguments');
  }
  let args: ReturnType<typeof writeArgumentsShape>;
  try {
    args = writeArgumentsShape(parseJson(Buffer.from(invocation.payload.arguments)), '');
  } catch (error) {
    // The model wrote these; the tool has refused them already.
    if (error instanceof TypeMismatch || error instanceof JsonSyntaxError) return undefined;
    throw error;
  }
  const processId = processIdOf(args.session_id);
  if (processId === undefined) return undefined;
  const { chars, yield_time_ms, max_output_tokens } = args;
  return { processId, request: { type: 'write_stdin', stdin: chars, yield_time_ms, max_output_tokens } };
}

function processIdOf(sessionId: Json): string | undefined {
  if (sessionId instanceof JsonNumber) return sessionId.text;
  return typeof sessionId === 'string' && sessionId !== '' ? sessionId : undefined;
}

/** The operation of a command or write whose start the runtime observed; null for other tools. */
export function startObservedOperation(
  graph: Graph,
  moment: Moment,
  { tool_call_id, thread_id }: ToolCall,
  kind: ToolCallKind,
  ref: RawPayloadRef,
): string | null {
  if (!isTerminalTool(kind)) return null;
  const { process_id, command, cwd, interaction_input } = decode(
    beginShape,
    graph.payloads.json(ref),
    (cause) =>
      new Rejection(
        'terminal-payload-invalid',
        `parse terminal runtime start payload ${ref.raw_payload_id}`,
        [cause],
      ),
  );
  const limits = { yield_time_ms: null, max_output_tokens: null };
  const request: TerminalRequest =
    kind.type === 'exec_command'
      ? { type: 'exec_command', command, display_command: command.join(' '), cwd, ...limits }
      : { type: 'write_stdin', stdin: interaction_input ?? '', ...limits };
  return insertOperation(graph, moment, {
    threadId: thread_id,
    toolCallId: tool_call_id,
    request,
    processId: process_id,
    payloadId: ref.raw_payload_id,
  });
}

export function isTerminalTool(kind: ToolCallKind): kind is { type: 'exec_command' | 'write_stdin' } {
  return kind.type === 'exec_command' || kind.type === 'write_stdin';
}

function insertOperation(graph: Graph, moment: Moment, start: OperationStart): string {
  const operationId = `terminal_operation:${graph.nextOperation++}`;
  const operation: TerminalOperation = {
    operation_id: operationId,
    terminal_id: null,
    tool_call_id: start.toolCallId,
    kind: start.request.type,
    execution: openWindow(moment),
    request: start.request,
    result: null,
    model_observations: [],
    raw_payload_ids: [start.payloadId],
  };
  graph.state.terminal_operations.set(operationId, operation);
  if (start.processId !== null) joinSession(graph, start.threadId, operation, start.processId);
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
  const ended = ref === null ? undefined : parseEnd(graph, operation, ref);
  closeWindow(operation.execution, moment, status);
  if (ref === null || ended === undefined) return;
  addUnique(operation.raw_payload_ids, ref.raw_payload_id);
  const known = graph.processes.get(operation.terminal_id ?? '');
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
  operation.result = ended.result;
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
  const existing = graph.sessionsByProcess.get(threadId, processId);
  const terminalId = operation.kind === 'exec_command' ? own : (existing ?? own);
  graph.sessionsByProcess.set(threadId, processId, terminalId);
  graph.processes.set(terminalId, processId);
  operation.terminal_id = terminalId;
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
  addUnique(session.operation_ids, operation.operation_id);
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
    left.operation_ids = left.operation_ids.filter((id) => id !== write.operation_id);
    if (left.operation_ids.length === 0) terminal_sessions.delete(left.terminal_id);
  }
  write.terminal_id = target;
  addUnique(session.operation_ids, write.operation_id);
}

/** Shows on the operation which conversation items a model saw it through. */
export function observeOperation(graph: Graph, tool: ToolCall): void {
  if (tool.terminal_operation_id === null) return;
  const call_item_ids = [...tool.model_visible_call_item_ids];
  const output_item_ids = [...tool.model_visible_output_item_ids];
  if (call_item_ids.length === 0 && output_item_ids.length === 0) return;
  const operation = graph.state.terminal_operations.get(tool.terminal_operation_id);
  if (operation === undefined) return;
  operation.model_observations = [{ call_item_ids, output_item_ids, source: 'direct_tool_call' }];
}

interface OperationEnd {
  processId: string | null;
  result: TerminalResult;
}

function parseEnd(graph: Graph, operation: TerminalOperation, ref: RawPayloadRef): OperationEnd {
  const payload = graph.payloads.json(ref);
  if (operation.kind === 'exec_command') {
    return observedEnd(
      decode(endShape, payload, (cause) => {
        const what = `parse exec terminal response ${ref.raw_payload_id}`;
        return new Rejection('terminal-payload-invalid', what, [cause]);
      }),
    );
  }
  let unlike: string;
  try {
    return observedEnd(endShape(payload, ''));
  } catch (error) {
    if (!(error instanceof TypeMismatch)) throw error;
    unlike = error.ofValue;
  }
  try {
    return { processId: null, result: dispatchedResult(dispatchResultShape(payload, '')) };
  } catch (error) {
    if (!(error instanceof TypeMismatch)) throw error;
    throw new Rejection(
      'terminal-payload-invalid',
      `parse write_stdin terminal response ${ref.raw_payload_id} as protocol payload (${unlike}) or dispatch payload`,
      [error.message],
    );
  }
}

function observedEnd({
  process_id,
  aggregated_output,
  exit_code,
}: ReturnType<typeof endShape>): OperationEnd {
  return { processId: process_id, result: { ...resultOf(aggregated_output, null), exit_code } };
}

function dispatchedResult(result: ReturnType<typeof dispatchResultShape>): TerminalResult {
  switch (result.type) {
    case 'error':
      return { ...resultOf('', result.error), stderr: result.error };
    case 'direct_response': {
      const output = shownText(member(result.response_item, 'output')) ?? compactJson(result.response_item);
      return resultOf(output, output);
    }
    case 'code_mode_response':
      return codeModeResult(result.value);
  }
}

function codeModeResult(value: Json): TerminalResult {
  try {
    const { output, exit_code, original_token_count, chunk_id } = codeModeResultShape(value, '');
    return { ...resultOf(output, output), exit_code, original_token_count, chunk_id };
  } catch (error) {
    if (!(error instanceof TypeMismatch)) throw error;
    const output = shownText(value) ?? compactJson(value);
    return resultOf(output, output);
  }
}

function resultOf(stdout: string, formatted: string | null): TerminalResult {
  return {
    exit_code: null,
    stdout,
    stderr: '',
    formatted_output: formatted,
    original_token_count: null,
    chunk_id: null,
  };
}

/** The text of a tool output; undefined when there is none to show. */
function shownText(value: Json | undefined): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'string') return value;
  const items = asArray(value);
  if (items === undefined) return compactJson(value);
  const texts = items.map((item) => asString(member(item, 'text'))).filter((part) => part !== undefined);
  return texts.length === 0 ? undefined : texts.join('\n') || undefined;
}

function decode<T>(shape: Decode<T>, value: Json, refuse: (cause: string) => Rejection): T {
  try {
    return shape(value, '');
  } catch (error) {
    if (error instanceof TypeMismatch) throw refuse(error.ofValue);
    throw error;
  }
}
