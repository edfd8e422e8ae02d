// What the reducer knows while it replays: the reduced state itself, and the indexes that make every lookup
// a step instead of a scan. Owns the data and nothing else; the modules beside it change it.

import type { PayloadReader } from '../trace/bundle-reader.js';
import type { Integer } from '../trace/json-value.js';
import type { CodeCellStatus, Manifest } from '../trace/raw-event.js';
import { Rejection } from '../trace/rejection.js';
import { PairMap } from './pair-map.js';
import type {
  AgentThread,
  CodeCell,
  ConversationItem,
  ExecutionWindow,
  InferenceCall,
  InteractionEdge,
  InteractionEdgeKind,
  ReducedState,
  ToolCall,
  TraceAnchor,
} from './state.js';

/** When an event happened. */
export interface Moment {
  seq: Integer;
  at: Integer;
}

/** A conversation item and what the state does not say of it. */
export interface ItemRecord {
  readonly item: ConversationItem;
  /** Counts the items of all threads, in the order in which they were first seen. */
  readonly ordinal: number;
  /** Identifies what the item says. */
  content: string;
  /** A request showed it or it was accepted: it belongs to its thread's list. */
  listed: boolean;
}

/** A code cell that runs although the item that asked for it was not seen yet. */
export interface PendingCellStart {
  moment: Moment;
  threadId: string;
  codexTurnId: string | null;
  cellId: string;
  runtimeCellId: string;
  callId: string;
  sourceJs: string;
}

export interface CellLifecycleEvent {
  moment: Moment;
  end: boolean;
  runtimeCellId: string;
  status: CodeCellStatus;
  payloadId: string | null;
}

/** A delivery between agents whose arrival in the recipient's conversation was not seen yet. */
export interface PendingEdge {
  edgeId: string;
  kind: InteractionEdgeKind;
  source: TraceAnchor;
  senderThreadId: string;
  targetThreadId: string;
  message: string;
  /** Of a spawn: the child thread, the target when no message ever arrives. */
  spawnedThreadId: string | null;
  startedAt: Integer;
  endedAt: Integer | null;
  payloadIds: string[];
}

export class Graph {
  readonly state: ReducedState;

  nextItem = 1;
  nextOperation = 1;

  // Conversation. Pairs are (thread id, …).
  readonly items = new Map<string, ItemRecord>();
  /** What the thread's model was last shown plus what it answered. */
  readonly snapshots = new Map<string, ItemRecord[]>();
  /** History that a compaction installed and that no request has shown yet. */
  readonly replacements = new Map<string, ItemRecord[]>();
  /** (thread, kind and call id) → the one content that this call has. */
  readonly callContents = new PairMap<string>();
  readonly itemsByCall = new PairMap<ItemRecord[]>();
  readonly itemsByWireId = new PairMap<ItemRecord[]>();
  /** (thread, wire id) → when it was first accepted. */
  readonly accepted = new PairMap<Moment>();
  /** (thread, wire id) → messages between agents that were accepted and that no model was shown yet. */
  readonly unseenAgentMessages = new PairMap<ItemRecord>();
  /** (thread, turn) → its latest message of the assistant. */
  readonly answers = new PairMap<ConversationItem>();

  // Inference.
  /** Thread → its inference call that started last. */
  readonly latestInference = new Map<string, string>();
  readonly runningInferences = new Map<string, Set<InferenceCall>>();
  /** (thread, response id) → calls that had it. */
  readonly inferencesByResponse = new PairMap<Set<InferenceCall>>();
  readonly inferencesByAnswer = new Map<string, Set<InferenceCall>>();

  // Tools and code cells.
  readonly toolsByVisibleCall = new Map<string, ToolCall>();
  readonly nestedTools = new Map<string, string[]>();
  readonly cellsByRuntime = new PairMap<string>();
  readonly pendingCells = new Map<string, PendingCellStart>();
  readonly pendingCellsByCall = new PairMap<Set<string>>();
  readonly pendingCellEvents = new Map<string, CellLifecycleEvent[]>();
  /** Pending cells whose source item has appeared since the last flush. */
  readonly readyCells = new Set<string>();
  readonly runningCells = new Map<string, Set<CodeCell>>();
  /** Terminal session → its process. */
  readonly processes = new Map<string, string>();
  /** (thread, process id) → terminal session. */
  readonly sessionsByProcess = new PairMap<string>();

  // Agents.
  readonly pendingEdges = new Map<string, PendingEdge>();
  /** (target thread, sender and message) → edges that wait for it. */
  readonly pendingEdgesByDelivery = new PairMap<Set<PendingEdge>>();
  readonly pendingEdgesByTool = new Map<string, Set<PendingEdge>>();
  readonly edgesByTool = new Map<string, InteractionEdge[]>();
  readonly targetedItems = new Set<string>();
  /** (thread, sender and message) → items that delivered it, oldest first. */
  readonly deliveries = new PairMap<ItemRecord[]>();

  // Compaction.
  readonly requestsByCompaction = new Map<string, string[]>();

  constructor(
    manifest: Manifest,
    readonly payloads: PayloadReader,
  ) {
    this.state = {
      schema_version: 2,
      trace_id: manifest.trace_id,
      rollout_id: manifest.rollout_id,
      started_at_unix_ms: manifest.started_at_unix_ms,
      ended_at_unix_ms: null,
      status: 'running',
      recording_complete: false,
      root_thread_id: manifest.root_thread_id,
      threads: new Map(),
      codex_turns: new Map(),
      conversation_items: new Map(),
      inference_calls: new Map(),
      code_cells: new Map(),
      tool_calls: new Map(),
      terminal_sessions: new Map(),
      terminal_operations: new Map(),
      compactions: new Map(),
      compaction_requests: new Map(),
      interaction_edges: new Map(),
      raw_payloads: new Map(),
    };
  }

  thread(threadId: string): AgentThread {
    const thread = this.state.threads.get(threadId);
    if (thread === undefined) {
      throw new Rejection('unknown-thread', `trace event referenced unknown thread ${threadId}`);
    }
    return thread;
  }
}

/** A window that opens at `moment`. */
export function openWindow({ seq, at }: Moment): ExecutionWindow {
  return {
    started_at_unix_ms: at,
    started_seq: seq,
    ended_at_unix_ms: null,
    ended_seq: null,
    status: 'running',
  };
}

export function closeWindow(
  window: ExecutionWindow,
  { seq, at }: Moment,
  status: ExecutionWindow['status'],
): void {
  window.ended_at_unix_ms = at;
  window.ended_seq = seq;
  window.status = status;
}
