// What the reducer knows while it replays: the reduced state itself, and the indexes that make every lookup
// a step instead of a scan. Owns the data and nothing else; the modules beside it change it.

import { compareUtf8, type Integer, type Json } from '../trace/json-value.js';
import type { PayloadReader } from '../trace/payload-reader.js';
import type { CodeCellStatus, Manifest } from '../trace/raw-event.js';
import { Rejection } from '../trace/rejection.js';
import { Journal, TrackedMap, TrackedSet } from './journal.js';
import type { NormalizedItem } from './normalized-item.js';
import { PairMap } from './pair-map.js';
import type { Schema } from './schema.js';
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

/** The input of a request. What was left out is undefined. */
interface RequestItems {
  input: readonly Json[];
  normalized: readonly (NormalizedItem | undefined)[];
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
  readonly journal = new Journal();
  readonly state: ReducedState;

  nextItem = 1;
  nextOperation = 1;

  // Conversation. Pairs are (thread id, …).
  readonly items = new TrackedMap<string, ItemRecord>(this.journal);
  /** What the thread's model was last shown plus what it answered. */
  readonly snapshots = new TrackedMap<string, ItemRecord[]>(this.journal);
  /** History that a compaction installed and that no request has shown yet. */
  readonly replacements = new TrackedMap<string, ItemRecord[]>(this.journal);
  /** (thread, kind and call id) → the one content that this call has. */
  readonly callContents = new PairMap<string>(this.journal);
  readonly itemsByCall = new PairMap<ItemRecord[]>(this.journal);
  readonly itemsByWireId = new PairMap<ItemRecord[]>(this.journal);
  /** (thread, wire id) → when it was first accepted. */
  readonly accepted = new PairMap<Moment>(this.journal);
  /** (thread, wire id) → messages between agents that were accepted and that no model was shown yet. */
  readonly unseenAgentMessages = new PairMap<ItemRecord>(this.journal);
  /** (thread, turn) → its latest message of the assistant. */
  readonly answers = new PairMap<ConversationItem>(this.journal);

  // Inference.
  /** Thread → the items of its last request, as they were read and as they were understood. No event depends on it. */
  readonly requestItems = new Map<string, RequestItems>();
  /** Thread → what its last request showed: the list of ids in the state, and their records. No event depends on it. */
  readonly shown = new Map<string, { ids: readonly string[]; records: readonly ItemRecord[] }>();
  /** Thread → its inference call that started last. */
  readonly latestInference = new TrackedMap<string, string>(this.journal);
  readonly runningInferences = new TrackedMap<string, Set<InferenceCall>>(this.journal);
  /** (thread, response id) → calls that had it. */
  readonly inferencesByResponse = new PairMap<Set<InferenceCall>>(this.journal);
  readonly inferencesByAnswer = new TrackedMap<string, Set<InferenceCall>>(this.journal);

  // Tools and code cells.
  readonly toolsByVisibleCall = new TrackedMap<string, ToolCall>(this.journal);
  readonly nestedTools = new TrackedMap<string, string[]>(this.journal);
  readonly cellsByRuntime = new PairMap<string>(this.journal);
  readonly pendingCells = new TrackedMap<string, PendingCellStart>(this.journal);
  readonly pendingCellsByCall = new PairMap<Set<string>>(this.journal);
  readonly pendingCellEvents = new TrackedMap<string, CellLifecycleEvent[]>(this.journal);
  /** Pending cells whose source item has appeared since the last flush. */
  readonly readyCells = new TrackedSet<string>(this.journal);
  readonly runningCells = new TrackedMap<string, Set<CodeCell>>(this.journal);
  /** Terminal session → its process. */
  readonly processes = new TrackedMap<string, string>(this.journal);
  /** (thread, process id) → terminal session. */
  readonly sessionsByProcess = new PairMap<string>(this.journal);

  // Agents.
  readonly pendingEdges = new TrackedMap<string, PendingEdge>(this.journal);
  /** (target thread, sender and message) → edges that wait for it. */
  readonly pendingEdgesByDelivery = new PairMap<Set<PendingEdge>>(this.journal);
  readonly pendingEdgesByTool = new TrackedMap<string, Set<PendingEdge>>(this.journal);
  readonly edgesByTool = new TrackedMap<string, InteractionEdge[]>(this.journal);
  readonly targetedItems = new TrackedSet<string>(this.journal);
  /** (thread, sender and message) → items that delivered it, oldest first. */
  readonly deliveries = new PairMap<ItemRecord[]>(this.journal);

  // Compaction.
  readonly requestsByCompaction = new TrackedMap<string, string[]>(this.journal);

  constructor(
    readonly schema: Schema,
    manifest: Manifest,
    readonly payloads: PayloadReader,
  ) {
    this.state = {
      schema_version: this.schema.version,
      trace_id: manifest.trace_id,
      rollout_id: manifest.rollout_id,
      started_at_unix_ms: manifest.started_at_unix_ms,
      ended_at_unix_ms: null,
      status: 'running',
      recording_complete: false,
      root_thread_id: manifest.root_thread_id,
      threads: new TrackedMap(this.journal),
      codex_turns: new TrackedMap(this.journal),
      conversation_items: new TrackedMap(this.journal),
      inference_calls: new TrackedMap(this.journal),
      code_cells: new TrackedMap(this.journal),
      tool_calls: new TrackedMap(this.journal),
      terminal_sessions: new TrackedMap(this.journal),
      terminal_operations: new TrackedMap(this.journal),
      compactions: new TrackedMap(this.journal),
      compaction_requests: new TrackedMap(this.journal),
      interaction_edges: new TrackedMap(this.journal),
      raw_payloads: new TrackedMap(this.journal),
    };
  }

  /** A set that takes part in the journal. */
  newSet<T>(): Set<T> {
    return new TrackedSet(this.journal);
  }

  thread(threadId: string): AgentThread {
    const thread = this.state.threads.get(threadId);
    if (thread === undefined) {
      throw new Rejection('unknown-thread', `trace event referenced unknown thread ${threadId}`);
    }
    return thread;
  }
}

/** The items of a thread that have this call id. */
export function itemsOfCall(graph: Graph, threadId: string, callId: string): ConversationItem[] {
  const items = (graph.itemsByCall.get(threadId, callId) ?? []).map(({ item }) => item);
  return graph.schema.callItemsInOrder ? items : items.sort((a, b) => compareUtf8(a.item_id, b.item_id));
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
  { journal }: Graph,
  window: ExecutionWindow,
  { seq, at }: Moment,
  status: ExecutionWindow['status'],
): void {
  journal.assign(window, { ended_at_unix_ms: at, ended_seq: seq, status });
}
