// Items of the Responses API as they enter a trace bundle. Owns which ones the reference refuses (one of them
// would make it reject the whole bundle) and the form in which Codex sends an item back to the model.

import { normalizeItem } from '../reduce/normalize.js';
import { type NormalizedItem, refersToPayload } from '../reduce/normalized-item.js';
import { schemaOf } from '../reduce/schema.js';
import { fromPlain } from '../trace/json-value.js';
import { Rejection } from '../trace/rejection.js';
import { isObject, type JsonObject, stringAt } from './json.js';

const SCHEMA = schemaOf(2);

const ROLES = new Set(['system', 'developer', 'user', 'assistant', 'tool']);
const OUTPUTS = new Set(['function_call_output', 'custom_tool_call_output']);

/** What the reference knows a call with an id by. It takes no second content of the same call. */
export interface CallIdentity {
  key: string;
  content: string;
}

/** Whether the reference takes `item`, where its kind tells; undefined for those that have to be read, see `accepted`. */
export function acceptedByKind(item: unknown): boolean | undefined {
  if (!isObject(item)) return false;
  const type = stringAt(item, 'type') ?? '';
  if (type === 'message') return ROLES.has(stringAt(item, 'role') ?? '');
  return OUTPUTS.has(type) ? true : undefined;
}

/** Whether the reference takes `item`, and which call it is then, if it is one with an id. */
export function accepted(item: JsonObject): { call?: CallIdentity } | undefined {
  let said: NormalizedItem | undefined;
  try {
    said = normalizeItem(fromPlain(item), '', SCHEMA);
  } catch (error) {
    if (error instanceof Rejection) return undefined;
    throw error;
  }
  if (said === undefined || said.callId === null) return {};
  // A call that only refers to where it was sent would be another one in the next request.
  if (refersToPayload(said)) return undefined;
  return { call: { key: `${said.kind} ${said.callId}`, content: said.content } };
}

/** Items made by the model or by its tools, as opposed to what a person or Codex puts in front of it. */
export function isModelOrToolItem(item: unknown): boolean {
  const type = stringAt(item, 'type') ?? '';
  if (type === 'message') return stringAt(item, 'role') === 'assistant';
  return type === 'reasoning' || type.endsWith('_call') || type.endsWith('_output');
}

// The reference compares these types by their whole JSON text, and Codex sends them back with these fields in
// this order. An item kept as the server wrote it would differ from its own echo in the next request.
const ECHOED_FIELDS: Readonly<Record<string, readonly string[]>> = {
  web_search_call: ['type', 'id', 'status', 'action'],
  image_generation_call: ['type', 'id', 'status', 'revised_prompt', 'result'],
  tool_search_call: ['type', 'id', 'call_id', 'status', 'execution', 'arguments'],
  local_shell_call: ['type', 'id', 'call_id', 'status', 'action'],
};

/** `item` as Codex will echo it. */
export function echoed(item: JsonObject): JsonObject {
  const fields = ECHOED_FIELDS[stringAt(item, 'type') ?? ''];
  if (fields === undefined) return item;
  return Object.fromEntries(fields.filter((key) => key in item).map((key) => [key, item[key]]));
}

/** `msg_4ba24fa2-fd67-595a-…`: an id that Codex computes from the text is not that of an item of the history. */
export function isComputedId(id: string): boolean {
  return /_[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-/.test(id);
}
