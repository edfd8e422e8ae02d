// Which provider's API a request is of, where it is not the Responses API.

import { field, type RequestHead } from '../protocol/http1-head.js';
import { AnthropicMessages } from './anthropic-messages.js';
import type { ApiReader } from './api-reader.js';
import { ChatCompletions } from './chat-completions.js';
import { arrayAt, type JsonObject } from './json.js';

/** The API that `path` is of; undefined for none of these. */
export function apiOfPath(path: string, head: RequestHead): ApiReader | undefined {
  if (path.endsWith('/chat/completions')) return new ChatCompletions();
  // Gateways do without the header that Anthropic wants; messages of another kind stand below what they belong to.
  if (path.endsWith('/v1/messages') || (path.endsWith('/messages') && isAnthropic(head))) {
    return new AnthropicMessages();
  }
  return undefined;
}

/** The API of a request whose path is not known. */
export function apiOfBody(head: RequestHead, body: JsonObject): ApiReader | undefined {
  if (arrayAt(body, 'messages') === undefined) return undefined;
  return isAnthropic(head) || 'system' in body ? new AnthropicMessages() : new ChatCompletions();
}

function isAnthropic(head: RequestHead): boolean {
  return field(head.headers, 'anthropic-version') !== undefined;
}
