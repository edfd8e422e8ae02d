// Calls of Anthropic's Messages API as ones of the Responses API.

import { type ApiReader, itemDone, named, type ReadRequest, usageOf } from './api-reader.js';
import { countAt, isObject, type JsonObject, objectAt, parseObject, stringAt } from './json.js';

/** A content block whose deltas are still coming. */
interface OpenBlock {
  block: JsonObject;
  text: string;
  json: string;
  signature: string;
}

export class AnthropicMessages implements ApiReader {
  readonly name = 'anthropic.messages';
  readonly #open = new Map<number, OpenBlock>();
  #id: string | undefined;
  #usage: JsonObject | undefined;
  #items = 0;

  request({ messages, system, ...rest }: JsonObject): ReadRequest | undefined {
    if (!Array.isArray(messages)) return undefined;
    const instructions = system === undefined ? [] : itemsOf('system', system);
    const userMessages = messages.filter(
      (message) => stringAt(message, 'role') === 'user' && !holdsToolResult(Object(message).content),
    );
    return {
      input: [
        ...instructions,
        ...messages.flatMap((message) => itemsOf(stringAt(message, 'role') ?? '', Object(message).content)),
      ],
      userMessages: userMessages.length,
      sessionId: sessionOf(stringAt(objectAt(rest, 'metadata'), 'user_id') ?? ''),
      rest,
    };
  }

  event(name: string | undefined, body: JsonObject): JsonObject[] {
    switch (stringAt(body, 'type') ?? name) {
      case 'message_start': {
        const message = objectAt(body, 'message');
        this.#id = stringAt(message, 'id');
        this.#usage = objectAt(message, 'usage');
        return [{ type: 'response.created', response: { id: this.#id } }];
      }
      case 'content_block_start': {
        const block = objectAt(body, 'content_block');
        if (block === undefined) return [];
        const text = stringAt(block, 'text') ?? stringAt(block, 'thinking') ?? '';
        this.#open.set(indexOf(body), {
          block,
          text,
          json: '',
          signature: stringAt(block, 'signature') ?? '',
        });
        return [];
      }
      case 'content_block_delta': {
        const open = this.#open.get(indexOf(body));
        const delta = objectAt(body, 'delta');
        if (open === undefined) return [];
        open.text += stringAt(delta, 'text') ?? stringAt(delta, 'thinking') ?? '';
        open.json += stringAt(delta, 'partial_json') ?? '';
        open.signature += stringAt(delta, 'signature') ?? '';
        return [];
      }
      case 'content_block_stop': {
        const open = this.#open.get(indexOf(body));
        this.#open.delete(indexOf(body));
        return open === undefined ? [] : this.#done(open);
      }
      case 'message_delta':
        this.#usage = { ...this.#usage, ...objectAt(body, 'usage') };
        return [];
      case 'message_stop':
        return [{ type: 'response.completed', response: { id: this.#id, usage: usage(this.#usage) } }];
      case 'error':
        return [{ ...body, type: 'error' }];
      default:
        return [];
    }
  }

  response(body: JsonObject): JsonObject {
    const id = stringAt(body, 'id');
    const output = named(itemsOf('assistant', body.content), id);
    return { id, status: 'completed', output, usage: usage(objectAt(body, 'usage')) };
  }

  end(): JsonObject[] {
    // The input of a tool that is not whole is no call yet.
    const open = [...this.#open.values()].filter(({ json }) => json === '');
    this.#open.clear();
    return open.flatMap((block) => this.#done(block));
  }

  #done({ block, text, json, signature }: OpenBlock): JsonObject[] {
    const items = itemsOf('assistant', [
      {
        ...block,
        ...('text' in block ? { text } : {}),
        ...('thinking' in block ? { thinking: text, signature } : {}),
        ...(json === '' ? {} : { input: parseObject(json) ?? json }),
      },
    ]);
    const first = this.#items;
    this.#items += items.length;
    return named(items, this.#id, first).map(itemDone);
  }
}

function indexOf(body: JsonObject): number {
  return countAt(body, 'index') ?? 0;
}

function holdsToolResult(content: unknown): boolean {
  return Array.isArray(content) && content.some((block) => stringAt(block, 'type') === 'tool_result');
}

/** Claude Code names its session in the id of the user, as a part of the text or of JSON in it. */
function sessionOf(userId: string): string | undefined {
  return stringAt(parseObject(userId), 'session_id') ?? /_session_([0-9a-f-]{36})$/.exec(userId)?.[1];
}

/** The items that a message is: an assistant's blocks one by one, others' text and images together. */
function itemsOf(role: string, content: unknown): JsonObject[] {
  const blocks = typeof content === 'string' ? [{ type: 'text', text: content }] : content;
  if (!Array.isArray(blocks)) return [];
  const items: JsonObject[] = [];
  let together: JsonObject[] = [];
  const flush = (): void => {
    if (together.length > 0) items.push({ type: 'message', role, content: together });
    together = [];
  };
  for (const block of blocks.filter(isObject)) {
    const item = itemOf(block);
    if (item === undefined) together.push(...partsOf(block, role));
    if (item !== undefined || role === 'assistant') flush();
    if (item !== undefined) items.push(item);
  }
  flush();
  return items;
}

/** A block that is an item of its own; undefined for a part of a message. */
function itemOf(block: JsonObject): JsonObject | undefined {
  const type = stringAt(block, 'type') ?? '';
  if (type === 'tool_use' || type === 'server_tool_use' || type === 'mcp_tool_use') {
    const [call_id, name] = [stringAt(block, 'id') ?? '', stringAt(block, 'name') ?? ''];
    const { input } = block;
    const text = typeof input === 'string' ? input : JSON.stringify(input ?? {});
    return { type: 'function_call', call_id, name, arguments: text };
  }
  if (type.endsWith('tool_result')) {
    const call_id = stringAt(block, 'tool_use_id') ?? '';
    return { type: 'function_call_output', call_id, output: output(block.content) };
  }
  if (type === 'thinking') {
    const signature = stringAt(block, 'signature') ?? '';
    return {
      type: 'reasoning',
      summary: [],
      content: [{ type: 'reasoning_text', text: stringAt(block, 'thinking') ?? '' }],
      ...(signature === '' ? {} : { encrypted_content: signature }),
    };
  }
  if (type === 'redacted_thinking') {
    return { type: 'reasoning', summary: [], encrypted_content: stringAt(block, 'data') ?? '' };
  }
  return undefined;
}

function partsOf({ cache_control: _, ...block }: JsonObject, role: string): JsonObject[] {
  const text = stringAt(block, 'text');
  if (text !== undefined) {
    return text === '' ? [] : [{ type: role === 'assistant' ? 'output_text' : 'input_text', text }];
  }
  const source = objectAt(block, 'source');
  if (block.type !== 'image' || source === undefined) return [block];
  const data = `data:${stringAt(source, 'media_type')};base64,${stringAt(source, 'data')}`;
  return [{ type: 'input_image', image_url: stringAt(source, 'url') ?? data }];
}

function output(content: unknown): string | JsonObject[] {
  if (!Array.isArray(content)) return typeof content === 'string' ? content : JSON.stringify(content ?? '');
  const parts = content.filter(isObject).flatMap((block) => partsOf(block, 'user'));
  const texts = parts.map((part) => stringAt(part, 'text'));
  return texts.every((text) => text !== undefined) ? texts.join('\n') : parts;
}

/** Of the input tokens, those that came from the cache or went into it are counted apart. */
function usage(sent: JsonObject | undefined): JsonObject | undefined {
  const fresh = countAt(sent, 'input_tokens');
  if (fresh === undefined) return undefined;
  const cached = countAt(sent, 'cache_read_input_tokens') ?? 0;
  const cacheWrite = countAt(sent, 'cache_creation_input_tokens') ?? 0;
  return usageOf({
    input: fresh + cached + cacheWrite,
    cached,
    cacheWrite,
    output: countAt(sent, 'output_tokens') ?? 0,
    reasoning: 0,
  });
}
