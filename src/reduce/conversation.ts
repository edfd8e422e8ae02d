// What a thread's model was shown and what it answered, as one list of items: every request and response is
// matched against what was there before, so that repeated history keeps its ids.

import { asArray, asInteger, asString, type Integer, type Json, member } from '../trace/json-value.js';
import type { RawPayloadRef } from '../trace/raw-event.js';
import { Rejection } from '../trace/rejection.js';
import { flushReadyCells } from './code-cell.js';
import type { Graph, ItemRecord } from './graph.js';
import { adoptOrCreate, checkCallContent, listItems, type Sighting, see } from './item.js';
import { normalizeItem, normalizeItems } from './normalize.js';
import { inPayload, type NormalizedItem, refersToPayload } from './normalized-item.js';
import { matches, SnapshotIndex } from './snapshot-index.js';
import type { InferenceCall, TokenUsage } from './state.js';

/**
 * Reduces the input of a request. An incremental request gets the input and output of the response that it
 * continues in front. Returns the ids of the whole input.
 */
export function reduceRequest(
  graph: Graph,
  { threadId, codexTurnId, at }: Sighting,
  inferenceId: string,
  ref: RawPayloadRef,
): string[] {
  const sighting: Sighting = { threadId, codexTurnId, at, payloadId: ref.raw_payload_id };
  const payload = graph.payloads.request(ref, threadId);
  const input = member(payload, 'input');
  if (input === undefined)
    throw invalid(`inference request payload ${ref.raw_payload_id} did not contain input`);
  if (!Array.isArray(input))
    throw invalid(`inference request payload ${ref.raw_payload_id} had non-array input`);
  const items = requestItems(graph, threadId, input, ref.raw_payload_id);
  const previousResponse = asString(member(payload, 'previous_response_id'));
  let shown: ItemRecord[];
  if (previousResponse === undefined) {
    const replacement = graph.replacements.get(threadId);
    shown = reconcileSnapshot(graph, sighting, items, replacement ?? graph.snapshots.get(threadId) ?? []);
    graph.replacements.delete(threadId);
  } else {
    const continued = continuedItems(graph, threadId, previousResponse);
    if (continued === undefined) {
      throw new Rejection(
        'unknown-previous-response',
        `incremental inference request ${inferenceId} referenced unknown previous_response_id ${previousResponse}`,
      );
    }
    shown = [...continued, ...reconcileAppended(graph, sighting, items, continued.length)];
  }
  graph.thread(threadId);
  listItems(graph, shown);
  graph.snapshots.set(threadId, shown);
  graph.latestInference.set(threadId, inferenceId);
  const ids = shown.map(({ item }) => item.item_id);
  graph.shown.set(threadId, { ids, records: shown });
  return ids;
}

/** The items of a request, of which those that the thread's last request had at the same place are known. */
function requestItems(
  graph: Graph,
  threadId: string,
  input: readonly Json[],
  payloadId: string,
): NormalizedItem[] {
  const last = graph.requestItems.get(threadId);
  const normalized = input.map((item, index) => {
    const known = last?.input[index] === item ? last.normalized[index] : undefined;
    if (known === undefined) return normalizeItem(item, payloadId, graph.schema);
    return refersToPayload(known) ? inPayload(known, payloadId) : known;
  });
  graph.requestItems.set(threadId, { input, normalized });
  return normalized.filter((item) => item !== undefined);
}

/**
 * Reduces the output of a response. Its items belong to the conversation once they are accepted or shown; an
 * output that was seen before, in a response cut short, keeps its ids.
 */
export function reduceResponse(
  graph: Graph,
  at: Integer,
  inference: InferenceCall,
  ref: RawPayloadRef,
): string[] {
  const payload = graph.payloads.json(ref);
  const output = asArray(member(payload, 'output_items'));
  if (output === undefined) {
    throw invalid(`inference response payload ${ref.raw_payload_id} did not contain output_items`);
  }
  const items = normalizeItems(output, ref.raw_payload_id, graph.schema);
  const { thread_id: threadId, inference_call_id } = inference;
  const sighting: Sighting = {
    threadId,
    codexTurnId: inference.codex_turn_id,
    at,
    producer: { type: 'inference', inference_call_id },
  };
  const records = reconcileDetached(graph, sighting, items, namesakes(graph, threadId, items));
  if (!graph.schema.wireIds) {
    listItems(graph, records);
    graph.snapshots.set(threadId, [...(graph.snapshots.get(threadId) ?? []), ...records]);
  } else if (graph.latestInference.get(threadId) === inference_call_id && !graph.replacements.has(threadId)) {
    // Otherwise a later request has shown the thread's model something else, or the next one will: what a
    // compaction put in place.
    graph.snapshots.set(threadId, [...recordsOf(graph, threadId, inference.request_item_ids), ...records]);
  }
  const usage = tokenUsage(member(payload, 'token_usage'));
  if (usage !== undefined) graph.journal.assign(inference, { usage });
  return records.map(({ item }) => item.item_id);
}

/** The items of a thread that have the wire id of one of `items`. */
function namesakes(graph: Graph, threadId: string, items: readonly NormalizedItem[]): ItemRecord[] {
  const records = new Set<ItemRecord>();
  for (const { responsesItemId } of items) {
    if (responsesItemId === undefined) continue;
    for (const record of graph.itemsByWireId.get(threadId, responsesItemId) ?? []) records.add(record);
  }
  return [...records].sort((a, b) => a.ordinal - b.ordinal);
}

/** Items without a place of their own, matched by content against `candidates`. */
export function reconcileDetached(
  graph: Graph,
  sighting: Sighting,
  items: readonly NormalizedItem[],
  candidates: readonly ItemRecord[],
): ItemRecord[] {
  const index = new SnapshotIndex(candidates, graph.schema.singleUse);
  return reconcile(
    graph,
    sighting,
    items,
    (item) => index.take(item),
    (record) => index.use(record),
  );
}

/** A whole input: an item keeps its id at the same position, else when it is anywhere in the last snapshot. */
function reconcileSnapshot(
  graph: Graph,
  sighting: Sighting,
  items: readonly NormalizedItem[],
  snapshot: readonly ItemRecord[],
): ItemRecord[] {
  const index = new SnapshotIndex(snapshot, graph.schema.singleUse);
  const find = (item: NormalizedItem, position: number) => index.at(position, item) ?? index.take(item);
  return reconcile(graph, sighting, items, find, (record) => index.use(record));
}

/** Items that follow a known prefix of `start` items. */
function reconcileAppended(
  graph: Graph,
  sighting: Sighting,
  items: readonly NormalizedItem[],
  start: number,
): ItemRecord[] {
  const { threadId, codexTurnId } = sighting;
  const snapshot = graph.snapshots.get(threadId) ?? [];
  return reconcile(graph, sighting, items, (item, offset) => {
    const expected = snapshot[start + offset];
    if (expected === undefined || matches(expected, item)) return expected;
    throw new Rejection(
      'conversation-mismatch',
      `model conversation mismatch while reducing turn ${codexTurnId} for thread ${threadId} at item index ${start + offset}: existing item ${expected.item.item_id} does not match the current model payload item`,
    );
  });
}

/** Finds or creates the record of each item, in order. */
function reconcile(
  graph: Graph,
  sighting: Sighting,
  items: readonly NormalizedItem[],
  find: (item: NormalizedItem, position: number) => ItemRecord | undefined,
  use: (record: ItemRecord) => void = () => {},
): ItemRecord[] {
  const records: ItemRecord[] = [];
  for (const [position, item] of items.entries()) {
    checkCallContent(graph, sighting.threadId, item);
    const record = find(item, position) ?? adoptOrCreate(graph, sighting, item);
    use(record);
    see(graph, sighting, record, item);
    records.push(record);
  }
  flushReadyCells(graph);
  return records;
}

function continuedItems(graph: Graph, threadId: string, responseId: string): ItemRecord[] | undefined {
  const calls = graph.inferencesByResponse.get(threadId, responseId);
  if (calls === undefined) return undefined;
  let first: InferenceCall | undefined;
  for (const call of calls) {
    if (first === undefined || call.inference_call_id < first.inference_call_id) first = call;
  }
  if (first === undefined) return undefined;
  const { request_item_ids, response_item_ids } = first;
  return [...recordsOf(graph, threadId, request_item_ids), ...recordsOf(graph, threadId, response_item_ids)];
}

/** The records of a list of ids; that of the thread's last request is known. */
function recordsOf(graph: Graph, threadId: string, itemIds: readonly string[]): readonly ItemRecord[] {
  const shown = graph.shown.get(threadId);
  if (shown?.ids === itemIds) return shown.records;
  const records: ItemRecord[] = [];
  for (const id of itemIds) {
    const record = graph.items.get(id);
    if (record !== undefined) records.push(record);
  }
  return records;
}

/** A response without cache writes does not mention them; without any other count it has no usage. */
function tokenUsage(value: Json | undefined): TokenUsage | undefined {
  const input_tokens = count(value, 'input_tokens');
  const cached_input_tokens = count(value, 'cached_input_tokens');
  const cache_write_input_tokens = count(value, 'cache_write_input_tokens') ?? 0;
  const output_tokens = count(value, 'output_tokens');
  const reasoning_output_tokens = count(value, 'reasoning_output_tokens');
  if (
    input_tokens === undefined ||
    cached_input_tokens === undefined ||
    output_tokens === undefined ||
    reasoning_output_tokens === undefined
  ) {
    return undefined;
  }
  return {
    input_tokens,
    cached_input_tokens,
    cache_write_input_tokens,
    output_tokens,
    reasoning_output_tokens,
  };
}

const MAX_COUNT = 0x7fff_ffff_ffff_ffffn;

function count(usage: Json | undefined, name: string): Integer | undefined {
  const value = asInteger(member(usage, name));
  if (value === undefined || value > MAX_COUNT || value < -MAX_COUNT - 1n) return undefined;
  return value < 0 ? 0 : value;
}

function invalid(what: string): Rejection {
  return new Rejection('payload-incomplete', what);
}
