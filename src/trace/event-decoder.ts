// One line of the event log → RawEvent, or the reason why it is none. Knows the shape of every event type,
// not what the events mean.

import { afterObject, decodeText, faultEnd, JsonTextError, type Place } from './json-text.js';
import { member } from './json-value.js';
import type {
  CodeCellStatus,
  ExecutionStatus,
  RawEvent,
  RawEventPayload,
  RawPayloadKind,
  RawPayloadRef,
  RolloutStatus,
  SchemaVersion,
  ToolCallKind,
  ToolCallRequester,
  ToolCallSummary,
} from './raw-event.js';
import {
  adjacentlyTagged,
  anyJson,
  type Decode,
  i64,
  identifier,
  list,
  optional,
  struct,
  tagged,
  text,
  u32,
  u64,
  variant,
} from './typed-json.js';

const payloadKind = adjacentlyTagged<RawPayloadKind>('RawPayloadKind', [
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
]);
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

/** The members of every event type of schema 2, in the order in which the reference names them. */
const schema2 = {
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

/** Schema 1 has fewer types, and no kind in what the runtime observes. */
const { recording_completed: _end, thread_resumed: _resume, ...common } = schema2;
const {
  history_item_accepted: _accept,
  stdin_target_resolved: _target,
  ...schema1
} = {
  ...common,
  tool_call_runtime_started: { tool_call_id: text, runtime_payload: ref },
};

const typeOf = {
  1: { type: identifier(Object.keys(schema1)) },
  2: { type: identifier(Object.keys(schema2)) },
};
const payloadOf: Readonly<Record<SchemaVersion, Decode<RawEventPayload>>> = {
  1: tagged('RawTraceEventPayload', schema1),
  2: tagged('RawTraceEventPayload', schema2),
};

const envelopeOf = (schema: SchemaVersion) => ({
  schema_version: u32,
  seq: u64,
  wall_time_unix_ms: i64,
  rollout_id: text,
  thread_id: optional(text),
  codex_turn_id: optional(text),
  payload: payloadOf[schema],
});
const envelopes = { 1: envelopeOf(1), 2: envelopeOf(2) };

/**
 * Decodes one line of the event log, its newline included when it has one. Throws JsonTextError in the words of
 * the reference.
 *
 * An array of the seven members in order counts as an event, as in the reference.
 */
export function decodeEvent(line: Uint8Array, schema: SchemaVersion): RawEvent {
  let payload: number | undefined;
  const faultAt = (key: string, place: Place) =>
    key === 'payload' ? payloadFault(line, place) : faultEnd(place);
  const onOpen = (key: string, start: number) => {
    if (key === 'payload') payload = start;
  };
  try {
    const event = decodeText(line, 'struct RawTraceEvent', envelopes[schema], { faultAt, onOpen });
    return { ...event, schema_version: Number(event.schema_version) };
  } catch (error) {
    throw (payload === undefined ? undefined : typeFault(line, payload, schema)) ?? error;
  }
}

/** The reference finds a fault in the type of an event right after it, whatever comes then. */
function typeFault(line: Uint8Array, payload: number, schema: SchemaVersion): JsonTextError | undefined {
  try {
    decodeText(line, '', typeOf[schema], { lenient: false, start: payload });
  } catch (error) {
    if (!(error instanceof JsonTextError)) throw error;
    if (error.ofMember) return error;
  }
  return undefined;
}

/** Where the reference finds another fault in a payload: once it has read past it, which it does when it has a type. */
function payloadFault(line: Uint8Array, { value, end }: Place): number {
  const type = Array.isArray(value) ? value[0] : member(value, 'type');
  return type === undefined ? end : afterObject(line, end);
}
