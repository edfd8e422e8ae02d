// The reduced graph of one rollout, as state.json holds it: types only, after the model of Codex's own reducer. The order of the members is the
// order in the file. Maps are keyed by id and written sorted by the UTF-8 bytes of the key.
//
// Times are milliseconds since the Unix epoch. A `seq` is the number of the event in the log; it orders
// causes, times do not.

import type { Integer } from '../trace/json-value.js';
import type {
  CodeCellStatus,
  ExecutionStatus,
  RawPayloadRef,
  RolloutStatus,
  SchemaVersion,
  ToolCallKind,
  ToolCallSummary,
} from '../trace/raw-event.js';

export interface ReducedState {
  schema_version: SchemaVersion;
  /** This recording; one rollout may have several. */
  trace_id: string;
  /** The rollout that was observed. */
  rollout_id: string;
  started_at_unix_ms: Integer;
  /** null while the rollout runs, or when the recording stops before its end. */
  ended_at_unix_ms: Integer | null;
  status: RolloutStatus;
  /** The log ends with a whole recording_completed event; undefined and absent in schema 1, which has none. */
  recording_complete: boolean | undefined;
  root_thread_id: string;
  threads: Map<string, AgentThread>;
  codex_turns: Map<string, CodexTurn>;
  conversation_items: Map<string, ConversationItem>;
  inference_calls: Map<string, InferenceCall>;
  code_cells: Map<string, CodeCell>;
  tool_calls: Map<string, ToolCall>;
  terminal_sessions: Map<string, TerminalSession>;
  terminal_operations: Map<string, TerminalOperation>;
  compactions: Map<string, Compaction>;
  compaction_requests: Map<string, CompactionRequest>;
  interaction_edges: Map<string, InteractionEdge>;
  /** Every payload that an event refers to. */
  raw_payloads: Map<string, RawPayloadRef>;
}

/** When something ran, and how it ended. */
export interface ExecutionWindow {
  started_at_unix_ms: Integer;
  started_seq: Integer;
  ended_at_unix_ms: Integer | null;
  ended_seq: Integer | null;
  status: ExecutionStatus;
}

/** One agent: the root session or a spawned child. */
export interface AgentThread {
  thread_id: string;
  /** Where the agent is in the tree, such as `/root/search`. */
  agent_path: string;
  /** For display; not unique. */
  nickname: string | null;
  origin: AgentOrigin;
  execution: ExecutionWindow;
  /** The configured model; each inference call names its own. */
  default_model: string | null;
  /** What the thread's model was shown or what was accepted into its history, in order of first sight. */
  conversation_item_ids: string[];
}

export type AgentOrigin =
  | { type: 'root' }
  | {
      type: 'spawned';
      parent_thread_id: string;
      spawn_edge_id: string;
      task_name: string;
      /** Empty when the child has no role. */
      agent_role: string;
    };

/** One activation of a thread; not a pair of messages. */
export interface CodexTurn {
  codex_turn_id: string;
  thread_id: string;
  execution: ExecutionWindow;
  input_item_ids: string[];
}

export type ConversationRole = 'system' | 'developer' | 'user' | 'assistant' | 'tool';
export type ConversationChannel = 'analysis' | 'commentary' | 'final' | 'summary';
export type ConversationItemKind =
  | 'message'
  | 'reasoning'
  | 'function_call'
  | 'function_call_output'
  | 'custom_tool_call'
  | 'custom_tool_call_output'
  | 'compaction_marker';

/** One item that a model was shown or produced. */
export interface ConversationItem {
  item_id: string;
  /** The `id` of the item on the wire; undefined, and absent in the file, when it has none. */
  responses_item_id: string | undefined;
  /** When the item was accepted into the thread's history; undefined and absent when it was not. */
  accepted_at_unix_ms: Integer | undefined;
  accepted_seq: Integer | undefined;
  thread_id: string;
  /** The turn that first brought the item into this thread. */
  codex_turn_id: string | null;
  first_seen_at_unix_ms: Integer;
  role: ConversationRole;
  channel: ConversationChannel | null;
  kind: ConversationItemKind;
  /** Sender and recipient paths of a message between agents; undefined and absent otherwise. */
  agent_message: AgentMessage | undefined;
  body: { parts: ConversationPart[] };
  /** Pairs a call with its output. */
  call_id: string | null;
  /** What made the item: an inference, a tool, a code cell or a compaction. */
  produced_by: Producer[];
}

export interface AgentMessage {
  author: string;
  recipient: string;
}

export type ConversationPart =
  | { type: 'text'; text: string }
  /** The provider's summary of its reasoning. */
  | { type: 'summary'; text: string }
  /** Content that only the provider can read. */
  | { type: 'encoded'; label: string; value: string }
  /** JSON, cut to 240 bytes; the whole is in the payload. */
  | { type: 'json'; summary: string; raw_payload_id: string }
  | { type: 'code'; language: string; source: string }
  /** Anything else; the hash is of the part's compact JSON with sorted keys. */
  | { type: 'payload_ref'; label: string; raw_payload_id: string; content_sha256?: string };

export type Producer =
  | { type: 'inference'; inference_call_id: string }
  | { type: 'tool'; tool_call_id: string }
  | { type: 'code_cell'; code_cell_id: string }
  | { type: 'compaction'; compaction_id: string };

/** One request to a model and its response. */
export interface InferenceCall {
  inference_call_id: string;
  thread_id: string;
  codex_turn_id: string;
  execution: ExecutionWindow;
  model: string;
  provider_name: string;
  /** The provider's id of the response; `previous_response_id` of a later request refers to it. */
  response_id: string | null;
  /** The transport's request id, such as `x-request-id`. */
  upstream_request_id: string | null;
  /** The whole input, also what an incremental request left out. */
  request_item_ids: string[];
  response_item_ids: string[];
  tool_call_ids_started_by_response: string[];
  usage: TokenUsage | null;
  raw_request_payload_id: string;
  raw_response_payload_id: string | null;
}

export interface TokenUsage {
  input_tokens: Integer;
  cached_input_tokens: Integer;
  /** Undefined and absent in schema 1. */
  cache_write_input_tokens: Integer | undefined;
  output_tokens: Integer;
  reasoning_output_tokens: Integer;
}

/** One piece of JavaScript that a model wrote for its `exec` tool. */
export interface CodeCell {
  /** Derived from the model-visible call; runtime ids repeat across threads. */
  code_cell_id: string;
  model_visible_call_id: string;
  thread_id: string;
  codex_turn_id: string;
  source_item_id: string;
  output_item_ids: string[];
  runtime_cell_id: string | null;
  execution: ExecutionWindow;
  runtime_status: CodeCellStatus;
  initial_response_at_unix_ms: Integer | null;
  initial_response_seq: Integer | null;
  /** This member and the next two are undefined and absent in schema 1. */
  initial_response_status: CodeCellStatus | null | undefined;
  raw_initial_response_payload_id: string | null | undefined;
  raw_result_payload_id: string | null | undefined;
  yielded_at_unix_ms: Integer | null;
  yielded_seq: Integer | null;
  source_js: string;
  /** Tools that the cell called. */
  nested_tool_call_ids: string[];
  /** `wait` calls of the model on this cell. */
  wait_tool_call_ids: string[];
}

/** One run of a tool, whoever asked for it. */
export interface ToolCall {
  tool_call_id: string;
  mcp_call_id: string | null;
  /** The call id that the model used; null for a call from a code cell. */
  model_visible_call_id: string | null;
  code_mode_runtime_tool_id: string | null;
  /** The code cell that this `exec` call started; undefined and absent for other calls. */
  started_code_cell_id: string | undefined;
  thread_id: string;
  started_by_codex_turn_id: string | null;
  execution: ExecutionWindow;
  requester: { type: 'model' } | { type: 'code_cell'; code_cell_id: string };
  kind: ToolCallKind;
  model_visible_call_item_ids: string[];
  model_visible_output_item_ids: string[];
  terminal_operation_id: string | null;
  summary: ToolCallSummary;
  /** What the requester sent. */
  raw_invocation_payload_id: string | null;
  /** What the requester got back. */
  raw_result_payload_id: string | null;
  /** What Codex observed while the tool ran. */
  raw_runtime_payload_ids: string[];
}

/** A process with a terminal. Its end is not recorded. */
export interface TerminalSession {
  terminal_id: string;
  thread_id: string;
  created_by_operation_id: string;
  operation_ids: string[];
  execution: ExecutionWindow;
}

export type TerminalOperationKind = 'exec_command' | 'write_stdin';

/** One command, write or poll. */
export interface TerminalOperation {
  operation_id: string;
  terminal_id: string | null;
  tool_call_id: string;
  kind: TerminalOperationKind;
  execution: ExecutionWindow;
  request: TerminalRequest;
  /** What the runtime saw, which need not be what the model was shown. */
  result: TerminalResult | null;
  model_observations: TerminalObservation[];
  raw_payload_ids: string[];
}

export type TerminalRequest =
  | {
      type: 'exec_command';
      command: string[];
      display_command: string;
      cwd: string;
      yield_time_ms: Integer | null;
      max_output_tokens: Integer | null;
    }
  | {
      type: 'write_stdin';
      /** Empty: only look for output. */
      stdin: string;
      yield_time_ms: Integer | null;
      max_output_tokens: Integer | null;
    };

export interface TerminalResult {
  exit_code: Integer | null;
  stdout: string;
  stderr: string;
  formatted_output: string | null;
  /** Before truncation. */
  original_token_count: Integer | null;
  chunk_id: string | null;
}

/** The conversation items through which a model saw the operation. */
export interface TerminalObservation {
  call_item_ids: string[];
  output_item_ids: string[];
  source: 'direct_tool_call' | 'code_cell_output';
}

/** The point where a thread's history was replaced by a shorter one. */
export interface Compaction {
  compaction_id: string;
  thread_id: string;
  codex_turn_id: string;
  installed_at_unix_ms: Integer;
  marker_item_id: string;
  request_ids: string[];
  input_item_ids: string[];
  replacement_item_ids: string[];
}

/** One request to the provider for a shorter history. */
export interface CompactionRequest {
  compaction_request_id: string;
  compaction_id: string;
  thread_id: string;
  codex_turn_id: string;
  execution: ExecutionWindow;
  model: string;
  provider_name: string;
  raw_request_payload_id: string;
  raw_response_payload_id: string | null;
}

export type InteractionEdgeKind =
  | 'spawn_agent'
  | 'assign_agent_task'
  | 'send_message'
  | 'agent_result'
  | 'close_agent';

/** Information that went from one agent to another. */
export interface InteractionEdge {
  edge_id: string;
  kind: InteractionEdgeKind;
  source: TraceAnchor;
  target: TraceAnchor;
  started_at_unix_ms: Integer;
  ended_at_unix_ms: Integer | null;
  carried_item_ids: string[];
  carried_raw_payload_ids: string[];
}

export type TraceAnchor =
  | { type: 'conversation_item'; item_id: string }
  | { type: 'tool_call'; tool_call_id: string }
  | { type: 'thread'; thread_id: string };
