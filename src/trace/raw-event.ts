// The shapes of a trace bundle's manifest and events, schema 2, as Codex 0.169.0 writes them (and schema 1
// where it differs by absence). Shapes only: reading is bundle-reader.ts, writing is bundle-writer.ts.

import type { Integer, Json } from './json-value.js';

/** The numbers of the schemas of the trace format. */
export type SchemaVersion = 1 | 2;

export interface Manifest {
  schema_version: number;
  trace_id: string;
  rollout_id: string;
  root_thread_id: string;
  started_at_unix_ms: Integer;
  /** File name of the event log, relative to the bundle. */
  raw_event_log: string;
  payloads_dir: string;
}

export type RawPayloadKind =
  | 'inference_request'
  | 'inference_response'
  | 'compaction_request'
  | 'compaction_checkpoint'
  | 'compaction_response'
  | 'tool_invocation'
  | 'tool_result'
  | 'tool_runtime_event'
  | 'terminal_runtime_event'
  | 'protocol_event'
  | 'session_metadata'
  | 'agent_result';

/** Reference to a payload file; `path` is relative to the bundle. */
export interface RawPayloadRef {
  raw_payload_id: string;
  kind: { type: RawPayloadKind };
  path: string;
}

export type ExecutionStatus = 'running' | 'completed' | 'failed' | 'cancelled' | 'aborted';
export type RolloutStatus = 'running' | 'completed' | 'failed' | 'aborted';
export type CodeCellStatus = 'starting' | 'running' | 'yielded' | 'completed' | 'failed' | 'terminated';

export type ToolCallKind =
  | { type: 'exec_command' | 'write_stdin' | 'apply_patch' | 'web' | 'image_generation' }
  | { type: 'spawn_agent' | 'assign_agent_task' | 'send_message' | 'wait_agent' | 'close_agent' }
  | { type: 'mcp'; server: string; tool: string }
  | { type: 'other'; name: string };

export type ToolCallRequester = { type: 'model' } | { type: 'code_cell'; runtime_cell_id: string };

/** What Codex records is always `generic`; the reader knows the other three too. */
export type ToolCallSummary =
  | { type: 'generic'; label: string; input_preview: string | null; output_preview: string | null }
  | { type: 'terminal'; operation_id: string }
  | { type: 'agent'; target_agent_path: string; task_name: string | null; message_preview: string }
  | { type: 'wait_agent'; target_agent_path: string | null; timeout_ms: Integer | null };

/** The `payload` of an event, told apart by `type`. */
export type RawEventPayload =
  | { type: 'rollout_started'; trace_id: string; root_thread_id: string }
  | { type: 'rollout_ended'; status: RolloutStatus }
  | { type: 'recording_completed' }
  | { type: 'thread_started'; thread_id: string; agent_path: string; metadata_payload: RawPayloadRef | null }
  | { type: 'thread_resumed'; thread_id: string }
  | { type: 'thread_ended'; thread_id: string; status: RolloutStatus }
  | { type: 'codex_turn_started'; codex_turn_id: string; thread_id: string }
  | { type: 'codex_turn_ended'; codex_turn_id: string; status: ExecutionStatus }
  | {
      type: 'inference_started';
      inference_call_id: string;
      thread_id: string;
      codex_turn_id: string;
      model: string;
      provider_name: string;
      request_payload: RawPayloadRef;
    }
  | {
      type: 'inference_completed';
      inference_call_id: string;
      response_id: string | null;
      upstream_request_id: string | null;
      response_payload: RawPayloadRef;
    }
  | {
      type: 'inference_failed';
      inference_call_id: string;
      upstream_request_id: string | null;
      error: string;
      partial_response_payload: RawPayloadRef | null;
    }
  | {
      type: 'inference_cancelled';
      inference_call_id: string;
      upstream_request_id: string | null;
      reason: string;
      partial_response_payload: RawPayloadRef | null;
    }
  | { type: 'history_item_accepted'; item_id: string; agent_message_payload?: RawPayloadRef | null }
  | {
      type: 'tool_call_started';
      tool_call_id: string;
      model_visible_call_id: string | null;
      code_mode_runtime_tool_id: string | null;
      requester: ToolCallRequester;
      kind: ToolCallKind;
      summary: ToolCallSummary;
      invocation_payload: RawPayloadRef | null;
    }
  | {
      type: 'tool_call_runtime_started';
      tool_call_id: string;
      /** Absent in schema 1: the tool is of the kind that it was when it started. */
      kind?: ToolCallKind;
      runtime_payload: RawPayloadRef;
    }
  | {
      type: 'tool_call_runtime_ended';
      tool_call_id: string;
      status: ExecutionStatus;
      runtime_payload: RawPayloadRef;
    }
  | {
      type: 'tool_call_ended';
      tool_call_id: string;
      status: ExecutionStatus;
      result_payload: RawPayloadRef | null;
    }
  | { type: 'stdin_target_resolved'; tool_call_id: string; exec_tool_call_id: string }
  | { type: 'mcp_tool_call_correlation_assigned'; tool_call_id: string; mcp_call_id: string }
  | {
      type: 'code_cell_started';
      runtime_cell_id: string;
      model_visible_call_id: string;
      source_js: string;
    }
  | {
      type: 'code_cell_initial_response' | 'code_cell_ended';
      runtime_cell_id: string;
      status: CodeCellStatus;
      response_payload: RawPayloadRef | null;
    }
  | {
      type: 'compaction_request_started';
      compaction_id: string;
      compaction_request_id: string;
      thread_id: string;
      codex_turn_id: string;
      model: string;
      provider_name: string;
      request_payload: RawPayloadRef;
    }
  | {
      type: 'compaction_request_completed';
      compaction_id: string;
      compaction_request_id: string;
      response_payload: RawPayloadRef;
    }
  | { type: 'compaction_request_failed'; compaction_id: string; compaction_request_id: string; error: string }
  | { type: 'compaction_installed'; compaction_id: string; checkpoint_payload: RawPayloadRef }
  | {
      type: 'agent_result_observed';
      edge_id: string;
      child_thread_id: string;
      child_codex_turn_id: string;
      parent_thread_id: string;
      message: string;
      carried_payload: RawPayloadRef | null;
    }
  | { type: 'protocol_event_observed'; event_type: string; event_payload: RawPayloadRef }
  | { type: 'other'; kind: string; summary: string; payloads: RawPayloadRef[]; metadata: Json };

/** One line of trace.jsonl. */
export interface RawEvent {
  schema_version: number;
  /** Contiguous from 1 within one log. */
  seq: Integer;
  wall_time_unix_ms: Integer;
  rollout_id: string;
  thread_id: string | null;
  codex_turn_id: string | null;
  payload: RawEventPayload;
}
