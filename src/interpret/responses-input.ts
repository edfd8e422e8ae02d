// The input of a request of the Responses API in the one form that Codex gives it. Other programs may send a text for a
// message of the user, messages without a type, and a text as all that a message holds.

import { isObject, type JsonObject, stringAt } from './json.js';

/** `body` with a list of whole items as its input; the same object where it needs no change, or has no input. */
export function withWholeInput(body: JsonObject): JsonObject {
  const { input } = body;
  const given = typeof input === 'string' ? [{ role: 'user', content: input }] : input;
  if (!Array.isArray(given)) return body;
  const items = given.map(wholeItem);
  const isWhole = items.every((item, index) => item === given[index]);
  return isWhole ? body : { ...body, input: items, translated_from: 'responses' };
}

function wholeItem(item: unknown): unknown {
  const role = stringAt(item, 'role');
  if (!isObject(item) || role === undefined) return item;
  const { type = 'message', content } = item;
  if (type !== 'message' || (item.type !== undefined && typeof content !== 'string')) return item;
  const part = { type: role === 'assistant' ? 'output_text' : 'input_text', text: content };
  return { type, ...item, content: typeof content === 'string' ? [part] : content };
}
