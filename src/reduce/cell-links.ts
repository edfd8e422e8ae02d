// What hangs on a code cell: the tools that it called, the waits for it, the call that started it and the
// items that show its output. Its own life is code-cell.ts.

import { parseJson } from '../trace/json-parser.js';
import { JsonSyntaxError } from '../trace/json-scanner.js';
import { asString, type Json, member } from '../trace/json-value.js';
import type { RawPayloadRef } from '../trace/raw-event.js';
import { Rejection } from '../trace/rejection.js';
import type { Graph } from './graph.js';
import { reach } from './pair-map.js';
import type { CodeCell, ConversationItem } from './state.js';

/** A tool that a cell called; the cell itself may still be waiting. */
export function linkNestedTool(graph: Graph, cellId: string, toolCallId: string): void {
  graph.journal.push(
    reach(graph.nestedTools, cellId, () => []),
    toolCallId,
  );
  const cell = graph.state.code_cells.get(cellId);
  if (cell !== undefined) graph.journal.addUnique(cell.nested_tool_call_ids, toolCallId);
}

/** Names on the `exec` calls of models the cells that they started in the same turn. Called after the last event. */
export function linkStartedCells(graph: Graph): void {
  for (const tool of graph.state.tool_calls.values()) {
    const { kind, model_visible_call_id: callId } = tool;
    if (kind.type !== 'other' || kind.name !== 'exec' || callId === null) continue;
    const cell = graph.state.code_cells.get(cellIdOf(callId));
    const { thread_id, started_by_codex_turn_id } = tool;
    if (cell?.thread_id !== thread_id || cell.codex_turn_id !== started_by_codex_turn_id) continue;
    tool.started_code_cell_id = cell.code_cell_id;
  }
}

/** Links a `wait` call of the model to the cell that it waits for. */
export function linkWait(graph: Graph, threadId: string, toolCallId: string, ref: RawPayloadRef): void {
  const payload = graph.payloads.json(ref);
  const runtimeCellId = waitedCell(payload, ref.raw_payload_id);
  if (runtimeCellId === undefined) return;
  const cellId = graph.cellsByRuntime.get(threadId, runtimeCellId);
  const cell = cellId === undefined ? undefined : graph.state.code_cells.get(cellId);
  if (cell !== undefined) graph.journal.addUnique(cell.wait_tool_call_ids, toolCallId);
}

/**
 * The cell that a call waits for, by its id at run time; undefined when it is no `wait`. Throws Rejection
 * `wait-payload-invalid`.
 *
 * @param invocation what the call was given, as the payload `payloadId` has it
 */
export function waitedCell(invocation: Json, payloadId: string): string | undefined {
  if (asString(member(invocation, 'tool_name')) !== 'wait') return undefined;
  const what = `wait tool request payload ${payloadId}`;
  const text = asString(member(member(invocation, 'payload'), 'arguments'));
  if (text === undefined) {
    throw new Rejection('wait-payload-invalid', `${what} did not contain function arguments`);
  }
  const runtimeCellId = asString(member(parseArguments(text, what), 'cell_id'));
  if (runtimeCellId === undefined) {
    throw new Rejection('wait-payload-invalid', `${what} did not contain cell_id`);
  }
  return runtimeCellId;
}

function parseArguments(text: string, what: string): Json {
  try {
    return parseJson(Buffer.from(text));
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    throw new Rejection('wait-payload-invalid', `${what} had invalid JSON arguments`, [error.message]);
  }
}

/** Links the sighted output of an `exec` call to its cell. */
export function attachCellOutput(graph: Graph, item: ConversationItem, callId: string): void {
  if (item.kind !== 'custom_tool_call_output') return;
  const cell = graph.state.code_cells.get(cellIdOf(callId));
  if (cell !== undefined) addOutput(graph, cell, item);
}

export function addOutput(graph: Graph, cell: CodeCell, item: ConversationItem): void {
  const { code_cell_id } = cell;
  graph.journal.addUnique(cell.output_item_ids, item.item_id);
  if (item.produced_by.some((known) => known.type === 'code_cell' && known.code_cell_id === code_cell_id))
    return;
  graph.journal.push(item.produced_by, { type: 'code_cell', code_cell_id });
}

/** Runtime ids of cells repeat; the id of the call that wrote the cell does not. */
export function cellIdOf(callId: string): string {
  return `code_cell:${callId}`;
}
