// Other providers' APIs, read as if they were the Responses API: the shapes, and what their readers share. Each has a
// file of its own; which one a request is of is known-apis.ts. What they have no word for stays in the evidence alone.

import type { JsonObject } from './json.js';

/** A request in the words of the Responses API. */
export interface ReadRequest {
  input: JsonObject[];
  /** Messages of the user so far: each begins a turn. */
  userMessages: number;
  /** What the request says of its session. */
  sessionId: string | undefined;
  /** All else of the body, as it was sent. */
  rest: JsonObject;
}

/** One call. Events are in the order in which they came; what they give are events of the Responses API. */
export interface ApiReader {
  readonly name: string;
  /** Undefined when it is no request of this API. */
  request(body: JsonObject): ReadRequest | undefined;
  event(name: string | undefined, body: JsonObject): JsonObject[];
  /** A response that came as a whole, as a response object. */
  response(body: JsonObject): JsonObject;
  /** Nothing more comes: what had begun, and the final event if all was there. */
  end(): JsonObject[];
}

/** Counts of tokens as the Responses API has them: `input` with all that came from or went to a cache. */
export function usageOf(counts: {
  input: number;
  cached: number;
  cacheWrite: number;
  output: number;
  reasoning: number;
}): JsonObject {
  return {
    input_tokens: counts.input,
    input_tokens_details: { cached_tokens: counts.cached, cache_write_tokens: counts.cacheWrite },
    output_tokens: counts.output,
    output_tokens_details: { reasoning_tokens: counts.reasoning },
    total_tokens: counts.input + counts.output,
  };
}

/** Output items of a response get ids that they have not on the wire, so that they can be told to be accepted. */
export function named(items: readonly JsonObject[], responseId: string | undefined, from = 0): JsonObject[] {
  if (responseId === undefined) return [...items];
  return items.map(({ type, ...item }, index) => ({ type, id: `${responseId}:${from + index}`, ...item }));
}

export const itemDone = (item: JsonObject): JsonObject => ({ type: 'response.output_item.done', item });
