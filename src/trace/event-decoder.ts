// One line of the event log → RawEvent, or the reason why it is none. Knows the shape of every event type,
// not what the events mean.

import { JsonSyntaxError, jsonPosition, parseJsonMembers } from './json-parser.js';
import type { Json } from './json-value.js';
import type {
  CodeCellStatus,
  ExecutionStatus,
  RawEvent,
  RawEventPayload,
  RawPayloadKind,
  RawPayloadRef,
  RolloutStatus,
  ToolCallKind,
  ToolCallRequester,
  ToolCallSummary,
} from './raw-event.js';
import {
  anyJson,
  type Decode,
  i64,
  list,
  mismatch,
  optional,
  struct,
  TypeMismatch,
  tagged,
  text,
  u32,
  u64,
  variant,
} from './typed-json.js';

const payloadKind: Decode<{ type: RawPayloadKind }> = struct('adjacently tagged enum RawPayloadKind', {
  type: variant<RawPayloadKind>([
    'inference_request',
    'inference_response',
    'compaction_request',
    'compaction_checkpoint',
    'compaction_response',
    'tool_invocation',
    'tool_result',
    'tool_runtime_event',
    'terminal_runtime_event',
    'protocol_event',
    'session_metadata',
    'agent_result',
  ]),
});
const ref: Decode<RawPayloadRef> = struct('struct RawPayloadRef', {
  raw_payload_id: text,
  kind: payloadKind,
  path: text,
});

const rolloutStatus = variant<RolloutStatus>(['running', 'completed', 'failed', 'aborted']);
const executionStatus = variant<ExecutionStatus>(['running', 'completed', 'failed', 'cancelled', 'aborted']);
const cellStatus = variant<CodeCellStatus>([
  'starting',
  'running',
  'yielded',
  'completed',
  'failed',
  'terminated',
]);

const requester = tagged<ToolCallRequester>('RawToolCallRequester', {
  model: {},
  code_cell: { runtime_cell_id: text },
});

const toolKind = tagged<ToolCallKind>('ToolCallKind', {
  exec_command: {},
  write_stdin: {},
  apply_patch: {},
  mcp: { server: text, tool: text },
  web: {},
  image_generation: {},
  spawn_agent: {},
  assign_agent_task: {},
  send_message: {},
  wait_agent: {},
  close_agent: {},
  other: { name: text },
});

const summary = tagged<ToolCallSummary>('ToolCallSummary', {
  terminal: { operation_id: text },
  agent: { target_agent_path: text, task_name: optional(text), message_preview: text },
  wait_agent: { target_agent_path: optional(text), timeout_ms: optional(u64) },
  generic: { label: text, input_preview: optional(text), output_preview: optional(text) },
});

const inferenceEnd = { inference_call_id: text, upstream_request_id: optional(text) };
const partialResponse = { partial_response_payload: optional(ref) };
const cellEnd = { runtime_cell_id: text, status: cellStatus, response_payload: optional(ref) };
const compactionRequest = { compaction_id: text, compaction_request_id: text };
const upstreamCall = {
  thread_id: text,
  codex_turn_id: text,
  model: text,
  provider_name: text,
  request_payload: ref,
};

/** The members of every event type, in the order in which the reference names them. */
const payloadShapes = {
  recording_completed: {},
  rollout_started: { trace_id: text, root_thread_id: text },
  rollout_ended: { status: rolloutStatus },
  thread_started: { thread_id: text, agent_path: text, metadata_payload: optional(ref) },
  thread_ended: { thread_id: text, status: rolloutStatus },
  thread_resumed: { thread_id: text },
  codex_turn_started: { codex_turn_id: text, thread_id: text },
  codex_turn_ended: { codex_turn_id: text, status: executionStatus },
  history_item_accepted: { item_id: text, agent_message_payload: optional(ref) },
  inference_started: { inference_call_id: text, ...upstreamCall },
  inference_completed: {
    inference_call_id: text,
    response_id: optional(text),
    upstream_request_id: optional(text),
    response_payload: ref,
  },
  inference_failed: { ...inferenceEnd, error: text, ...partialResponse },
  inference_cancelled: { ...inferenceEnd, reason: text, ...partialResponse },
  tool_call_started: {
    tool_call_id: text,
    model_visible_call_id: optional(text),
    code_mode_runtime_tool_id: optional(text),
    requester,
    kind: toolKind,
    summary,
    invocation_payload: optional(ref),
  },
  mcp_tool_call_correlation_assigned: { tool_call_id: text, mcp_call_id: text },
  stdin_target_resolved: { tool_call_id: text, exec_tool_call_id: text },
  tool_call_runtime_started: { tool_call_id: text, kind: toolKind, runtime_payload: ref },
  tool_call_runtime_ended: { tool_call_id: text, status: executionStatus, runtime_payload: ref },
  tool_call_ended: { tool_call_id: text, status: executionStatus, result_payload: optional(ref) },
  code_cell_started: { runtime_cell_id: text, model_visible_call_id: text, source_js: text },
  code_cell_initial_response: cellEnd,
  code_cell_ended: cellEnd,
  compaction_request_started: { ...compactionRequest, ...upstreamCall },
  compaction_request_completed: { ...compactionRequest, response_payload: ref },
  compaction_request_failed: { ...compactionRequest, error: text },
  compaction_installed: { compaction_id: text, checkpoint_payload: ref },
  agent_result_observed: {
    edge_id: text,
    child_thread_id: text,
    child_codex_turn_id: text,
    parent_thread_id: text,
    message: text,
    carried_payload: optional(ref),
  },
  protocol_event_observed: { event_type: text, event_payload: ref },
  other: { kind: text, summary: text, payloads: list(ref), metadata: anyJson },
};
const payload = tagged<RawEventPayload>('RawTraceEventPayload', payloadShapes);

/** Why a line is no event, in the words of the reference, position included. */
export class EventSyntaxError extends Error {}

const ENVELOPE_LENGTH = 7;

/**
 * Decodes one line of the event log, its newline included when it has one. Throws EventSyntaxError.
 *
 * An array of the seven members in order counts as an event, as in the reference.
 */
export function decodeEvent(line: Uint8Array): RawEvent {
  const { value, members, end } = parse(line);
  const fail = (what: string, at: number) => new EventSyntaxError(`${what} at ${jsonPosition(line, at)}`);
  if (Array.isArray(value)) {
    if (value.length < ENVELOPE_LENGTH) {
      const expected = `struct RawTraceEvent with ${ENVELOPE_LENGTH} elements`;
      throw fail(`invalid length ${value.length}, expected ${expected}`, end);
    }
    if (value.length > ENVELOPE_LENGTH) throw fail('trailing characters', end);
  } else if (!(value instanceof Map)) {
    throw fail(mismatch(value, '', 'struct RawTraceEvent').message, end);
  }
  let index = 0;
  const take = <T>(name: string, decode: Decode<T>): T => {
    const field = Array.isArray(value)
      ? { value: value[index++], start: end, end }
      : members.find(({ key }) => key === name);
    try {
      return decode(field?.value, name);
    } catch (error) {
      if (!(error instanceof TypeMismatch)) throw error;
      if (field === undefined) throw fail(error.message, end);
      if (name === 'payload') throw payloadFault(line, field, error, fail);
      throw fail(error.ofText, faultEnd(field));
    }
  };
  return {
    schema_version: Number(take('schema_version', u32)),
    seq: take('seq', u64),
    wall_time_unix_ms: take('wall_time_unix_ms', i64),
    rollout_id: take('rollout_id', text),
    thread_id: take('thread_id', optional(text)),
    codex_turn_id: take('codex_turn_id', optional(text)),
    payload: take('payload', payload),
  };
}

function parse(line: Uint8Array): ReturnType<typeof parseJsonMembers> {
  try {
    return parseJsonMembers(line);
  } catch (error) {
    if (error instanceof JsonSyntaxError) throw new EventSyntaxError(error.message);
    throw error;
  }
}

/**
 * The reference finds a wrong event type right after its name, a missing one after the payload, and all else
 * only once it has read past the payload.
 */
function payloadFault(
  line: Uint8Array,
  field: { value?: Json | undefined; start: number; end: number },
  error: TypeMismatch,
  fail: (what: string, at: number) => EventSyntaxError,
): EventSyntaxError {
  if (!(field.value instanceof Map) || !field.value.has('type')) return fail(error.message, field.end);
  const type = field.value.get('type');
  if (typeof type !== 'string' || !Object.hasOwn(payloadShapes, type)) {
    const inner = parseJsonMembers(line.subarray(field.start, field.end));
    const member = inner.members.find(({ key }) => key === 'type');
    if (member !== undefined) return fail(error.ofText, field.start + faultEnd(member));
  }
  let after = field.end;
  while (after < line.length && [9, 10, 13, 32].includes(line[after] ?? 0)) after++;
  return fail(error.message, line[after] === 125 ? after + 1 : after);
}

/** The reference does not read on into an array or object that cannot be right. */
export function faultEnd({
  value,
  start,
  end,
}: {
  value?: Json | undefined;
  start: number;
  end: number;
}): number {
  return Array.isArray(value) || value instanceof Map ? start : end;
}
