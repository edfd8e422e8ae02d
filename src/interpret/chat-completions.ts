// Calls of the Chat Completions API (OpenAI, and most providers that imitate it) as ones of the Responses API.

import { type ApiReader, itemDone, named, type ReadRequest, usageOf } from './api-reader.js';
import { arrayAt, countAt, isObject, type JsonObject, objectAt, stringAt } from './json.js';

/** What has come of one choice: a message in pieces. */
interface Choice {
  content: string;
  reasoning: string;
  refusal: string;
  tools: Map<number, Tool>;
  isFinished: boolean;
}

interface Tool {
  id: string;
  type: string;
  name: string;
  input: string;
}

export class ChatCompletions implements ApiReader {
  readonly name = 'chat.completions';
  readonly #choices = new Map<number, Choice>();
  #id: string | undefined;
  #usage: JsonObject | undefined;
  #items = 0;

  request({ messages, ...rest }: JsonObject): ReadRequest | undefined {
    if (!Array.isArray(messages)) return undefined;
    return {
      input: messages.flatMap((message) => (isObject(message) ? itemsOf(message) : [])),
      userMessages: messages.filter((message) => stringAt(message, 'role') === 'user').length,
      sessionId: undefined,
      rest,
    };
  }

  event(_name: string | undefined, body: JsonObject): JsonObject[] {
    const error = objectAt(body, 'error');
    if (error !== undefined) return [{ type: 'error', error }];
    const events: JsonObject[] = [];
    const id = stringAt(body, 'id');
    if (this.#id === undefined && id !== undefined && id !== '') {
      this.#id = id;
      events.push({ type: 'response.created', response: { id } });
    }
    this.#usage = objectAt(body, 'usage') ?? this.#usage;
    for (const part of arrayAt(body, 'choices') ?? []) {
      const choice = this.#choice(countAt(part, 'index') ?? 0);
      addDelta(choice, objectAt(part, 'delta'));
      if (stringAt(part, 'finish_reason') === undefined || choice.isFinished) continue;
      choice.isFinished = true;
      events.push(...this.#done(choice));
    }
    return events;
  }

  response(body: JsonObject): JsonObject {
    const id = stringAt(body, 'id');
    const items = (arrayAt(body, 'choices') ?? []).flatMap((choice) => {
      const message = objectAt(choice, 'message');
      return message === undefined ? [] : itemsOf({ role: 'assistant', ...message });
    });
    return { id, status: 'completed', output: named(items, id), usage: usage(objectAt(body, 'usage')) };
  }

  end(): JsonObject[] {
    const choices = [...this.#choices.values()];
    const open = choices.filter((choice) => !choice.isFinished);
    this.#choices.clear();
    // The arguments of a call that is not finished are no call yet.
    const events = open.flatMap((choice) => this.#done({ ...choice, tools: new Map() }));
    if (choices.length === 0 || open.length > 0) return events;
    const response = { id: this.#id, usage: usage(this.#usage) };
    return [...events, { type: 'response.completed', response }];
  }

  #choice(index: number): Choice {
    let choice = this.#choices.get(index);
    if (choice === undefined) {
      choice = { content: '', reasoning: '', refusal: '', tools: new Map(), isFinished: false };
      this.#choices.set(index, choice);
    }
    return choice;
  }

  #done({ content, reasoning, refusal, tools }: Choice): JsonObject[] {
    const tool_calls = [...tools.values()].map(({ id, type, name, input }) =>
      type === 'custom'
        ? { id, type, custom: { name, input } }
        : { id, function: { name, arguments: input } },
    );
    const items = itemsOf({ role: 'assistant', content, reasoning, refusal, tool_calls });
    const first = this.#items;
    this.#items += items.length;
    return named(items, this.#id, first).map(itemDone);
  }
}

function addDelta(choice: Choice, delta: JsonObject | undefined): void {
  choice.content += stringAt(delta, 'content') ?? '';
  choice.reasoning += stringAt(delta, 'reasoning_content') ?? stringAt(delta, 'reasoning') ?? '';
  choice.refusal += stringAt(delta, 'refusal') ?? '';
  for (const part of arrayAt(delta, 'tool_calls') ?? []) {
    const index = countAt(part, 'index') ?? choice.tools.size;
    const tool = choice.tools.get(index) ?? { id: '', type: 'function', name: '', input: '' };
    choice.tools.set(index, tool);
    const called = objectAt(part, 'function') ?? objectAt(part, 'custom');
    tool.id ||= stringAt(part, 'id') ?? '';
    tool.type = stringAt(part, 'type') ?? tool.type;
    tool.name += stringAt(called, 'name') ?? '';
    tool.input += stringAt(called, 'arguments') ?? stringAt(called, 'input') ?? '';
  }
}

/** The items that one message is; the text of an assistant comes before what it calls. */
function itemsOf(message: JsonObject): JsonObject[] {
  const role = stringAt(message, 'role') ?? '';
  if (role === 'tool' || role === 'function') {
    const call_id = stringAt(message, 'tool_call_id') ?? stringAt(message, 'name') ?? '';
    return [{ type: 'function_call_output', call_id, output: output(message.content) }];
  }
  const items: JsonObject[] = [];
  const reasoning = stringAt(message, 'reasoning_content') ?? stringAt(message, 'reasoning') ?? '';
  if (reasoning !== '') {
    items.push({ type: 'reasoning', summary: [], content: [{ type: 'reasoning_text', text: reasoning }] });
  }
  const content = parts(message.content, role === 'assistant' ? 'output_text' : 'input_text');
  const refusal = stringAt(message, 'refusal') ?? '';
  if (refusal !== '') content.push({ type: 'output_text', text: refusal });
  if (content.length > 0) items.push({ type: 'message', role, content });
  for (const call of arrayAt(message, 'tool_calls') ?? []) {
    const called = objectAt(call, 'function');
    const custom = objectAt(call, 'custom');
    const [call_id, name] = [stringAt(call, 'id') ?? '', stringAt(called ?? custom, 'name') ?? ''];
    if (called !== undefined) {
      items.push({ type: 'function_call', call_id, name, arguments: stringAt(called, 'arguments') ?? '' });
    } else if (custom !== undefined) {
      items.push({ type: 'custom_tool_call', call_id, name, input: stringAt(custom, 'input') ?? '' });
    }
  }
  return items;
}

function parts(content: unknown, textType: 'input_text' | 'output_text'): JsonObject[] {
  if (typeof content === 'string') return content === '' ? [] : [{ type: textType, text: content }];
  if (!Array.isArray(content)) return [];
  return content.filter(isObject).map((part) => {
    const text = stringAt(part, 'text') ?? stringAt(part, 'refusal');
    if (text !== undefined) return { type: textType, text };
    const image = stringAt(objectAt(part, 'image_url'), 'url');
    return image === undefined ? part : { type: 'input_image', image_url: image };
  });
}

function output(content: unknown): string | JsonObject[] {
  return typeof content === 'string' ? content : parts(content, 'input_text');
}

function usage(sent: JsonObject | undefined): JsonObject | undefined {
  const input = countAt(sent, 'prompt_tokens');
  if (input === undefined) return undefined;
  return usageOf({
    input,
    cached: countAt(objectAt(sent, 'prompt_tokens_details'), 'cached_tokens') ?? 0,
    cacheWrite: 0,
    output: countAt(sent, 'completion_tokens') ?? 0,
    reasoning: countAt(objectAt(sent, 'completion_tokens_details'), 'reasoning_tokens') ?? 0,
  });
}
