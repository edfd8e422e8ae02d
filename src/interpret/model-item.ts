// Items of the Responses API as they enter a trace bundle. Owns which ones the reference refuses (one of them
// would make it reject the whole bundle) and the form in which Codex sends an item back to the model.

import { arrayAt, type JsonObject, stringAt } from './json.js';

const SUPPORTED = new Set([
  'message',
  'reasoning',
  'function_call',
  'function_call_output',
  'custom_tool_call',
  'custom_tool_call_output',
  'local_shell_call',
  'tool_search_call',
  'tool_search_output',
  'web_search_call',
  'image_generation_call',
  'compaction',
  'compaction_summary',
  'context_compaction',
  'additional_tools',
  'agent_message',
]);

const ROLES = new Set(['system', 'developer', 'user', 'assistant', 'tool']);

/** Whether the reference takes `item`. */
export function isSupported(item: unknown): item is JsonObject {
  const type = stringAt(item, 'type');
  if (type === undefined || !SUPPORTED.has(type)) return false;
  switch (type) {
    case 'message':
      return ROLES.has(stringAt(item, 'role') ?? '');
    case 'reasoning':
      return (
        stringAt(item, 'encrypted_content') !== undefined ||
        (arrayAt(item, 'summary')?.length ?? 0) + (arrayAt(item, 'content')?.length ?? 0) > 0
      );
    case 'compaction':
    case 'compaction_summary':
    case 'context_compaction':
      return stringAt(item, 'encrypted_content') !== undefined;
    default:
      return true;
  }
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
