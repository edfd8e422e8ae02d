// Code cells: JavaScript that a model wrote for its `exec` tool, from its start to its end.
//
// A cell may start, answer and end before the response that asked for it is in the log. Until then its
// events wait: a cell is reduced only once the item that holds its source is known.

import { compareUtf8 } from '../trace/json-value.js';
import type { CodeCellStatus, ExecutionStatus, RawPayloadRef } from '../trace/raw-event.js';
import { Rejection } from '../trace/rejection.js';
import { addOutput, cellIdOf } from './cell-links.js';
import {
  type CellLifecycleEvent,
  closeWindow,
  type Graph,
  itemsOfCall,
  type Moment,
  openWindow,
  type PendingCellStart,
} from './graph.js';
import { reach } from './pair-map.js';
import type { CodeCell, ConversationItem, ConversationItemKind } from './state.js';

export interface CellEventContext {
  moment: Moment;
  threadId: string | null;
  codexTurnId: string | null;
}

export function startCell(
  graph: Graph,
  { moment, threadId: eventThread, codexTurnId }: CellEventContext,
  runtimeCellId: string,
  callId: string,
  sourceJs: string,
): void {
  const threadId = threadOf(graph, eventThread, codexTurnId, runtimeCellId, 'code cell start');
  const cellId = cellIdOf(callId);
  bindRuntimeId(graph, threadId, runtimeCellId, cellId);
  const start = { moment, threadId, codexTurnId, cellId, runtimeCellId, callId, sourceJs };
  if (itemsOf(graph, threadId, callId, 'custom_tool_call').length > 0) {
    materialize(graph, start);
    return;
  }
  if (graph.state.code_cells.has(cellId) || graph.pendingCells.has(cellId)) throw duplicate(cellId);
  graph.pendingCells.set(cellId, start);
  graph.pendingCellsByCall.reach(threadId, callId, () => graph.newSet()).add(cellId);
}

/** Called when an item appears that may hold the source of a waiting cell. */
export function noticeCellSource(graph: Graph, threadId: string, callId: string): void {
  for (const cellId of graph.pendingCellsByCall.get(threadId, callId) ?? []) graph.readyCells.add(cellId);
}

/** Reduces the cells whose source has appeared. Called after every request, response and checkpoint. */
export function flushReadyCells(graph: Graph): void {
  if (graph.readyCells.size === 0) return;
  const ready = [...graph.readyCells].sort(compareUtf8);
  graph.readyCells.clear();
  for (const cellId of ready) {
    const start = graph.pendingCells.get(cellId);
    if (start === undefined) continue;
    graph.pendingCells.delete(cellId);
    graph.pendingCellsByCall.get(start.threadId, start.callId)?.delete(cellId);
    materialize(graph, start);
  }
}

function materialize(graph: Graph, start: PendingCellStart): void {
  const { moment, threadId, codexTurnId, cellId, callId } = start;
  if (graph.state.code_cells.has(cellId)) throw duplicate(cellId);
  if (codexTurnId === null) {
    throw new Rejection('event-incomplete', `code cell start ${cellId} did not include a Codex turn id`);
  }
  checkTurn(graph, threadId, codexTurnId);
  const [source] = itemsOf(graph, threadId, callId, 'custom_tool_call');
  if (source === undefined) {
    throw new Rejection(
      'cell-without-source',
      `code cell ${cellId} referenced model-visible call ${callId}, but no custom tool call item was observed`,
    );
  }
  const cell: CodeCell = {
    code_cell_id: cellId,
    model_visible_call_id: callId,
    thread_id: threadId,
    codex_turn_id: codexTurnId,
    source_item_id: source.item_id,
    output_item_ids: [],
    runtime_cell_id: start.runtimeCellId,
    execution: openWindow(moment),
    runtime_status: 'starting',
    initial_response_at_unix_ms: null,
    initial_response_seq: null,
    initial_response_status: null,
    raw_initial_response_payload_id: null,
    raw_result_payload_id: null,
    yielded_at_unix_ms: null,
    yielded_seq: null,
    source_js: start.sourceJs,
    nested_tool_call_ids: [...(graph.nestedTools.get(cellId) ?? [])].sort(compareUtf8),
    wait_tool_call_ids: [],
  };
  graph.state.code_cells.set(cellId, cell);
  reach(graph.runningCells, codexTurnId, () => graph.newSet()).add(cell);
  for (const item of itemsOf(graph, threadId, callId, 'custom_tool_call_output'))
    addOutput(graph, cell, item);
  const waiting = [...(graph.pendingCellEvents.get(cellId) ?? [])];
  waiting.sort((a, b) => (a.moment.seq < b.moment.seq ? -1 : Number(a.moment.seq > b.moment.seq)));
  for (const event of waiting) applyLifecycle(graph, cell, event);
  graph.pendingCellEvents.delete(cellId);
}

export function respondCell(
  graph: Graph,
  context: CellEventContext,
  runtimeCellId: string,
  status: CodeCellStatus,
  response: RawPayloadRef | null,
): void {
  lifecycle(graph, context, 'code cell initial response', {
    moment: context.moment,
    end: false,
    runtimeCellId,
    status,
    payloadId: response?.raw_payload_id ?? null,
  });
}

export function endCell(
  graph: Graph,
  context: CellEventContext,
  runtimeCellId: string,
  status: CodeCellStatus,
  response: RawPayloadRef | null,
): void {
  lifecycle(graph, context, 'code cell end', {
    moment: context.moment,
    end: true,
    runtimeCellId,
    status,
    payloadId: response?.raw_payload_id ?? null,
  });
}

function lifecycle(graph: Graph, context: CellEventContext, what: string, event: CellLifecycleEvent): void {
  const { threadId: eventThread, codexTurnId } = context;
  const threadId = threadOf(graph, eventThread, codexTurnId, event.runtimeCellId, what);
  const cellId = cellOfRuntime(graph, threadId, event.runtimeCellId, what);
  const cell = graph.state.code_cells.get(cellId);
  if (cell !== undefined) {
    applyLifecycle(graph, cell, event);
  } else if (graph.pendingCells.has(cellId)) {
    graph.journal.push(
      reach(graph.pendingCellEvents, cellId, () => []),
      event,
    );
  } else {
    throw new Rejection('unknown-cell', `${what} referenced unknown cell ${cellId}`);
  }
}

function applyLifecycle(graph: Graph, cell: CodeCell, event: CellLifecycleEvent): void {
  const { moment, status, payloadId } = event;
  if (event.end) {
    graph.journal.assign(cell, { raw_result_payload_id: payloadId });
    finish(graph, cell, moment, status);
    return;
  }
  const answered = graph.schema.endIsAnswer ? cell.initial_response_at_unix_ms : cell.initial_response_status;
  if (answered === null) {
    graph.journal.assign(cell, {
      initial_response_at_unix_ms: moment.at,
      initial_response_seq: moment.seq,
      initial_response_status: status,
      raw_initial_response_payload_id: payloadId,
    });
  }
  if (status === 'yielded') {
    graph.journal.assign(cell, { yielded_at_unix_ms: moment.at, yielded_seq: moment.seq });
  }
  graph.journal.assign(cell, { runtime_cell_id: event.runtimeCellId, runtime_status: status });
}

/** A cell that ends without an initial response counts as having answered then. */
function finish(graph: Graph, cell: CodeCell, moment: Moment, status: CodeCellStatus): void {
  if (cell.initial_response_at_unix_ms === null) {
    graph.journal.assign(cell, {
      initial_response_at_unix_ms: moment.at,
      initial_response_seq: moment.seq,
    });
  }
  closeWindow(graph, cell.execution, moment, EXECUTION_STATUS[status]);
  graph.journal.assign(cell, { runtime_status: status });
  if (cell.execution.status !== 'running') graph.runningCells.get(cell.codex_turn_id)?.delete(cell);
}

const EXECUTION_STATUS: Readonly<Record<CodeCellStatus, ExecutionStatus>> = {
  starting: 'running',
  running: 'running',
  yielded: 'running',
  completed: 'completed',
  failed: 'failed',
  terminated: 'cancelled',
};

/** A cell may outlive a turn that completed, but not one that was interrupted. */
export function closeCellsOfTurn(
  graph: Graph,
  moment: Moment,
  turnId: string,
  status: ExecutionStatus,
): void {
  if (status === 'running' || status === 'completed') return;
  for (const cell of [...(graph.runningCells.get(turnId) ?? [])]) {
    graph.journal.assign(cell, { raw_result_payload_id: null });
    finish(graph, cell, moment, status === 'failed' ? 'failed' : 'terminated');
  }
}

/** The cell behind a runtime's cell id, which is unique only within its thread. */
export function cellOfRuntime(graph: Graph, threadId: string, runtimeCellId: string, what: string): string {
  const cellId = graph.cellsByRuntime.get(threadId, runtimeCellId);
  if (cellId === undefined) {
    throw new Rejection(
      'unknown-cell',
      `${what} referenced unknown runtime cell ${runtimeCellId} in thread ${threadId}`,
    );
  }
  return cellId;
}

function bindRuntimeId(graph: Graph, threadId: string, runtimeCellId: string, cellId: string): void {
  const bound = graph.cellsByRuntime.get(threadId, runtimeCellId);
  if (bound !== undefined && bound !== cellId) {
    throw new Rejection(
      'cell-rebound',
      `runtime code cell ${runtimeCellId} in thread ${threadId} mapped to both ${bound} and ${cellId}`,
    );
  }
  graph.cellsByRuntime.set(threadId, runtimeCellId, cellId);
}

function threadOf(
  graph: Graph,
  threadId: string | null,
  turnId: string | null,
  runtimeCellId: string,
  what: string,
): string {
  if (threadId !== null) return threadId;
  if (turnId === null) {
    throw new Rejection('event-incomplete', `${what} ${runtimeCellId} did not include a thread id`);
  }
  const turn = graph.state.codex_turns.get(turnId);
  if (turn === undefined) {
    const claim = `${what} ${runtimeCellId} referenced unknown Codex turn ${turnId}`;
    throw new Rejection('unknown-turn', claim);
  }
  return turn.thread_id;
}

function checkTurn(graph: Graph, threadId: string, turnId: string): void {
  if (!graph.state.threads.has(threadId)) {
    throw new Rejection('unknown-thread', `code cell start referenced unknown thread ${threadId}`);
  }
  const turn = graph.state.codex_turns.get(turnId);
  if (turn === undefined) {
    throw new Rejection('unknown-turn', `code cell start referenced unknown Codex turn ${turnId}`);
  }
  if (turn.thread_id !== threadId) {
    throw new Rejection(
      'turn-of-other-thread',
      `code cell start used thread ${threadId}, but Codex turn ${turnId} belongs to ${turn.thread_id}`,
    );
  }
}

function itemsOf(
  graph: Graph,
  threadId: string,
  callId: string,
  kind: ConversationItemKind,
): ConversationItem[] {
  return itemsOfCall(graph, threadId, callId).filter((item) => item.kind === kind);
}

function duplicate(cellId: string): Rejection {
  return new Rejection('duplicate-cell', `duplicate code cell start for ${cellId}`);
}
