// Agents that speak other APIs than Codex: their calls are told as inferences, and reduce to a readable thread.

import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { EvidenceEvent } from '../../src/evidence/event.js';
import { AnthropicMessages } from '../../src/interpret/anthropic-messages.js';
import { ChatCompletions } from '../../src/interpret/chat-completions.js';
import { reduceBundle } from '../../src/reduce/reduce.js';
import { captureEnd, captureStart, exitEvent, Wire } from '../support/wire.js';
import { chunk, interpret, interpretOne, jsonResponse, snapshot } from './story.js';

const ms = (time: number): bigint => BigInt(time) * 1_000_000n;

function capture(...pieces: ['>' | '<', string | Uint8Array][]): EvidenceEvent[] {
  const wire = new Wire();
  const events = pieces.flatMap(([direction, bytes], index) =>
    wire.piece(direction === '>' ? 'send' : 'receive', bytes, ms(10 * (index + 1))),
  );
  return [captureStart(ms(1)), ...events, exitEvent(ms(900), { exitCode: 0 }), captureEnd(ms(1000))];
}

function post(path: string, body: unknown, headers: string[] = []): string {
  const text = JSON.stringify(body);
  const head = [
    `POST ${path} HTTP/1.1`,
    'host: api.provider.test',
    'content-type: application/json',
    ...headers,
  ];
  return `${head.join('\r\n')}\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;
}

const eventHead =
  'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n';
const stream = (...events: string[]): string => `${eventHead}${events.map(chunk).join('')}0\r\n\r\n`;

interface State {
  threads: Record<string, { conversation_item_ids: string[] }>;
  codex_turns: Record<string, { execution: { status: string } }>;
  conversation_items: Record<
    string,
    { role: string; kind: string; body: { parts: { type: string; text?: string }[] } }
  >;
  inference_calls: Record<
    string,
    { model: string; usage: unknown; response_id: string; execution: { status: string } }
  >;
  tool_calls: Record<string, { tool_call_id: string; execution: { status: string } }>;
}

async function reduced(dir: string) {
  const { statePath } = await reduceBundle(dir, { strict: true });
  const state: State = JSON.parse(readFileSync(statePath, 'utf8'));
  return {
    items: Object.values(state.threads).flatMap(({ conversation_item_ids }) =>
      conversation_item_ids.map((id) => {
        const { role = '', kind = '', body } = state.conversation_items[id] ?? {};
        return `${role} ${kind}: ${body?.parts.map(({ text, type }) => text ?? type).join(' | ')}`;
      }),
    ),
    inferences: Object.values(state.inference_calls).map(({ model, usage, response_id, execution }) => ({
      model,
      usage,
      response_id,
      status: execution.status,
    })),
    tools: Object.values(state.tool_calls).map(
      ({ tool_call_id, execution }) => `${tool_call_id} ${execution.status}`,
    ),
    turns: Object.values(state.codex_turns).map(({ execution }) => execution.status),
  };
}

const counts = (input: number, cached: number, cacheWrite: number, output: number, reasoning: number) => ({
  input_tokens: input,
  cached_input_tokens: cached,
  cache_write_input_tokens: cacheWrite,
  output_tokens: output,
  reasoning_output_tokens: reasoning,
});

describe('Chat Completions', () => {
  const path = '/openai/v1/chat/completions';
  const system = { role: 'system', content: 'You help.' };
  const user = { role: 'user', content: [{ type: 'text', text: 'Weather?' }] };
  const calls = [
    { id: 'call_w', type: 'function', function: { name: 'get_weather', arguments: '{"city":"Köln"}' } },
  ];
  const first = { model: 'gpt-4o', stream: true, messages: [system, user], tools: [{ type: 'function' }] };
  const second = {
    ...first,
    messages: [
      system,
      user,
      { role: 'assistant', content: null, tool_calls: calls },
      { role: 'tool', tool_call_id: 'call_w', content: '"prompt_tokens": 5, rain' },
    ],
  };
  const part = (delta: unknown, finish: string | null = null, id = 'chatcmpl-1') =>
    `data: ${JSON.stringify({ id, object: 'chat.completion.chunk', model: 'gpt-4o-2024-08-06', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
  const usage = (prompt: number, id = 'chatcmpl-1') =>
    `data: ${JSON.stringify({ id, choices: [], usage: { prompt_tokens: prompt, completion_tokens: 20, total_tokens: prompt + 20, prompt_tokens_details: { cached_tokens: 64 }, completion_tokens_details: { reasoning_tokens: 7 } } })}\n\n`;
  const done = 'data: [DONE]\n\n';
  const toolStream = stream(
    part({ role: 'assistant', content: null }),
    part({
      tool_calls: [
        { index: 0, id: 'call_w', type: 'function', function: { name: 'get_weather', arguments: '' } },
      ],
    }),
    part({ tool_calls: [{ index: 0, function: { arguments: '{"city":' } }] }),
    part({ tool_calls: [{ index: 0, function: { arguments: '"Köln"}' } }] }),
    part({}, 'tool_calls'),
    usage(100),
    done,
  );
  const whole = {
    id: 'chatcmpl-2',
    object: 'chat.completion',
    model: 'gpt-4o-2024-08-06',
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: 'Take an umbrella.', refusal: null },
        finish_reason: 'stop',
      },
    ],
    usage: { prompt_tokens: 150, completion_tokens: 9, total_tokens: 159 },
  };

  test('a streamed call of a tool and a whole answer are a thread with its usage', async () => {
    const { told, result } = interpretOne(
      capture(
        ['>', post(path, first)],
        ['<', toolStream],
        ['>', post(path, { ...second, stream: false })],
        ['<', jsonResponse(200, whole)],
      ),
    );
    expect(result.anomalies).toMatchObject([{ kind: 'inferred-thread', count: 2 }]);
    expect(await reduced(told.dir)).toEqual({
      items: [
        'system message: You help.',
        'user message: Weather?',
        'assistant function_call: json',
        'tool function_call_output: "prompt_tokens": 5, rain',
        'assistant message: Take an umbrella.',
      ],
      inferences: [
        { model: 'gpt-4o', usage: counts(100, 64, 0, 20, 7), response_id: 'chatcmpl-1', status: 'completed' },
        { model: 'gpt-4o', usage: counts(150, 0, 0, 9, 0), response_id: 'chatcmpl-2', status: 'completed' },
      ],
      tools: ['call_w completed'],
      turns: ['completed'],
    });
    expect(told.payload(told.all('inference_started')[0]?.request_payload)).toMatchObject({
      model: 'gpt-4o',
      translated_from: 'chat.completions',
      tools: [{ type: 'function' }],
    });
  });

  test('a next message of the user begins a turn of the same thread', () => {
    const next = {
      ...first,
      messages: [...second.messages, whole.choices[0]?.message, { role: 'user', content: 'Thanks' }],
    };
    const { result } = interpretOne(
      capture(
        ['>', post(path, first)],
        ['<', toolStream],
        ['>', post(path, second)],
        ['<', jsonResponse(200, whole)],
        ['>', post(path, next)],
        ['<', jsonResponse(200, { ...whole, id: 'chatcmpl-3' })],
      ),
    );
    const [a, b, c] = result.exchanges.map(({ call }) => call?.turnId);
    expect(a).toBe(b);
    expect(c).not.toBe(a);
  });

  test('another beginning is another thread', () => {
    const other = { ...first, messages: [{ role: 'user', content: 'Name this chat' }] };
    const { bundles } = interpret(
      capture(
        ['>', post(path, first)],
        ['<', toolStream],
        ['>', post(path, other)],
        ['<', jsonResponse(200, whole)],
      ),
    );
    expect(bundles).toHaveLength(2);
  });

  test('a stream that is cut keeps its text, but no half call', () => {
    const cut = `${eventHead}${[part({ role: 'assistant', content: 'It ' }), part({ content: 'rains' }), part({ tool_calls: [{ index: 0, id: 'c', function: { name: 'f', arguments: '{"a' } }] })].map(chunk).join('')}`;
    const { told } = interpretOne(capture(['>', post(path, first)], ['<', cut]));
    const payload = told.payload(told.the('inference_cancelled').partial_response_payload);
    expect(payload.output_items).toEqual([
      {
        type: 'message',
        id: 'chatcmpl-1:0',
        role: 'assistant',
        content: [{ type: 'output_text', text: 'It rains' }],
      },
    ]);
  });

  test('errors before and within the stream are told', () => {
    const limited = interpretOne(
      capture(['>', post(path, first)], ['<', jsonResponse(429, { error: { message: 'slow' } })]),
    );
    expect(limited.told.the('inference_failed').error).toBe('HTTP 429: {"error":{"message":"slow"}}');
    const broken = stream(
      part({ content: 'It ' }),
      'data: {"error":{"code":"server_error","message":"oops"}}\n\n',
    );
    const { told } = interpretOne(capture(['>', post(path, first)], ['<', broken]));
    expect(told.the('inference_failed').error).toBe('server_error: oops');
  });

  test('without [DONE], a finished answer is complete', () => {
    const { result } = interpret(
      capture(['>', post(path, first)], ['<', stream(part({ content: 'yes' }, 'stop'))]),
    );
    expect(result.exchanges).toMatchObject([{ call: { outcome: 'completed', usage: undefined } }]);
  });
});

describe("Anthropic's Messages", () => {
  const path = '/v1/messages?beta=true';
  const headers = ['anthropic-version: 2023-06-01', 'x-api-key: sk-ant-api03-0123456789abcdef0123456789'];
  const session = '5c9d2ab4-5ec2-4d1f-9d0d-2b7d1a6f0c11';
  const first = {
    model: 'claude-sonnet-4-5',
    max_tokens: 32_000,
    stream: true,
    metadata: { user_id: `user_0a1b_account_3f2e_session_${session}` },
    system: [{ type: 'text', text: 'You are an agent.', cache_control: { type: 'ephemeral' } }],
    messages: [
      { role: 'user', content: [{ type: 'text', text: 'List files', cache_control: { type: 'ephemeral' } }] },
    ],
  };
  const thinking = { type: 'thinking', thinking: 'Use ls.', signature: 'EqRkc2ln' };
  const toolUse = {
    type: 'tool_use',
    id: 'toolu_1',
    name: 'Bash',
    input: { command: 'ls -la', description: 'list' },
  };
  const second = {
    ...first,
    messages: [
      { role: 'user', content: [{ type: 'text', text: 'List files' }] },
      { role: 'assistant', content: [thinking, { type: 'text', text: 'I look.' }, toolUse] },
      {
        role: 'user',
        content: [
          {
            type: 'tool_result',
            tool_use_id: 'toolu_1',
            content: [{ type: 'text', text: '"input_tokens": 5' }],
          },
          { type: 'text', text: 'a reminder', cache_control: { type: 'ephemeral' } },
        ],
      },
    ],
  };
  const event = (type: string, fields: Record<string, unknown> = {}) =>
    `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
  const delta = (index: number, fields: unknown) => event('content_block_delta', { index, delta: fields });
  const start = event('message_start', {
    message: {
      id: 'msg_01',
      type: 'message',
      role: 'assistant',
      content: [],
      model: 'claude-sonnet-4-5-20250929',
      usage: {
        input_tokens: 10,
        cache_creation_input_tokens: 2000,
        cache_read_input_tokens: 500,
        output_tokens: 1,
      },
    },
  });
  const thinkingBlock = [
    event('content_block_start', {
      index: 0,
      content_block: { type: 'thinking', thinking: '', signature: '' },
    }),
    delta(0, { type: 'thinking_delta', thinking: 'Use ' }),
    delta(0, { type: 'thinking_delta', thinking: 'ls.' }),
    delta(0, { type: 'signature_delta', signature: 'EqRkc2ln' }),
    event('content_block_stop', { index: 0 }),
  ];
  const textStart = event('content_block_start', { index: 1, content_block: { type: 'text', text: '' } });
  const toolStream = stream(
    start,
    event('ping'),
    ...thinkingBlock,
    textStart,
    delta(1, { type: 'text_delta', text: 'I look.' }),
    event('content_block_stop', { index: 1 }),
    event('content_block_start', {
      index: 2,
      content_block: { type: 'tool_use', id: 'toolu_1', name: 'Bash', input: {} },
    }),
    delta(2, { type: 'input_json_delta', partial_json: '{"command":"ls -la",' }),
    delta(2, { type: 'input_json_delta', partial_json: '"description":"list"}' }),
    event('content_block_stop', { index: 2 }),
    event('message_delta', {
      delta: { stop_reason: 'tool_use', stop_sequence: null },
      usage: { output_tokens: 64 },
    }),
    event('message_stop'),
  );
  const whole = {
    id: 'msg_02',
    type: 'message',
    role: 'assistant',
    model: 'claude-sonnet-4-5-20250929',
    content: [{ type: 'text', text: 'There are three.' }],
    stop_reason: 'end_turn',
    usage: {
      input_tokens: 7,
      cache_creation_input_tokens: 0,
      cache_read_input_tokens: 2600,
      output_tokens: 12,
    },
  };

  test('a streamed call of a tool and a whole answer are a thread with its usage', async () => {
    const { told, result } = interpretOne(
      capture(
        ['>', post(path, first, headers)],
        ['<', toolStream],
        ['>', post(path, { ...second, stream: false }, headers)],
        ['<', jsonResponse(200, whole)],
      ),
    );
    expect(result.anomalies).toMatchObject([{ kind: 'inferred-thread', count: 2 }]);
    expect(await reduced(told.dir)).toEqual({
      items: [
        'system message: You are an agent.',
        'user message: List files',
        'assistant reasoning: Use ls. | encoded',
        'assistant message: I look.',
        'assistant function_call: json',
        'tool function_call_output: "input_tokens": 5',
        'user message: a reminder',
        'assistant message: There are three.',
      ],
      inferences: [
        {
          model: 'claude-sonnet-4-5',
          usage: counts(2510, 500, 2000, 64, 0),
          response_id: 'msg_01',
          status: 'completed',
        },
        {
          model: 'claude-sonnet-4-5',
          usage: counts(2607, 2600, 0, 12, 0),
          response_id: 'msg_02',
          status: 'completed',
        },
      ],
      tools: ['toolu_1 completed'],
      turns: ['completed'],
    });
    expect(told.payload(told.all('inference_started')[0]?.request_payload)).toMatchObject({
      client_metadata: { session_id: session },
    });
    const everything = JSON.stringify(snapshot(told.dir));
    expect(everything).not.toContain('sk-ant-api03');
  });

  test('a compressed stream is read as it comes, and what was there when it is cut is kept', () => {
    const cut = gzipSync(
      [start, ...thinkingBlock, textStart, delta(1, { type: 'text_delta', text: 'I lo' })].join(''),
      { finishFlush: 2 },
    );
    const head = eventHead.replace('\r\n\r\n', '\r\ncontent-encoding: gzip\r\n\r\n');
    const body = Buffer.concat([
      Buffer.from(head),
      Buffer.from(`${cut.length.toString(16)}\r\n`),
      cut,
      Buffer.from('\r\n'),
    ]);
    const { told } = interpretOne(capture(['>', post(path, first, headers)], ['<', body]));
    const payload = told.payload(told.the('inference_cancelled').partial_response_payload);
    expect(payload.output_items).toMatchObject([{ type: 'reasoning' }, { content: [{ text: 'I lo' }] }]);
  });

  test('errors are told', () => {
    const overloaded = stream(
      start,
      event('error', { error: { type: 'overloaded_error', message: 'Overloaded' } }),
    );
    const { told } = interpretOne(capture(['>', post(path, first, headers)], ['<', overloaded]));
    expect(told.the('inference_failed').error).toBe('overloaded_error: Overloaded');
  });

  test.each([
    ['/v1/messages', [], 1],
    ['/proxy/messages', headers, 1],
    ['/v1/threads/thread_1/messages', [], 0],
  ])('a request to %s with %j is one of a model: %i', (target, sent, calls) => {
    const { result } = interpret(capture(['>', post(target, first, sent)], ['<', jsonResponse(200, whole)]));
    expect(result.exchanges.filter(({ call }) => call !== undefined)).toHaveLength(calls);
  });

  test('images, documents and plain text have their forms', () => {
    const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAAA' } };
    const messages = [
      { role: 'user', content: 'plain' },
      {
        role: 'user',
        content: [
          image,
          { type: 'document', title: 'x' },
          { type: 'tool_result', tool_use_id: 't', content: [image] },
        ],
      },
    ];
    expect(new AnthropicMessages().request({ messages })?.input).toEqual([
      { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'plain' }] },
      {
        type: 'message',
        role: 'user',
        content: [
          { type: 'input_image', image_url: 'data:image/png;base64,AAAA' },
          { type: 'document', title: 'x' },
        ],
      },
      {
        type: 'function_call_output',
        call_id: 't',
        output: [{ type: 'input_image', image_url: 'data:image/png;base64,AAAA' }],
      },
    ]);
  });
});

describe('the Responses API without ids', () => {
  const ask = (text: string, previous?: string) => ({
    model: 'gpt-4.1',
    input: [{ role: 'user', type: 'message', content: [{ type: 'input_text', text }] }],
    ...(previous === undefined ? {} : { previous_response_id: previous }),
  });
  const reply = (id: string) => ({ id, status: 'completed', output: [] });
  const turns = (events: EvidenceEvent[]) =>
    interpret(events).result.exchanges.map(({ call }) => [call?.threadId, call?.turnId]);

  test('goes on with the response that it names, or with its own beginning', () => {
    const [a, b, c, d] = turns(
      capture(
        ['>', post('/v1/responses', ask('one'))],
        ['<', jsonResponse(200, reply('resp_a'))],
        ['>', post('/v1/responses', ask('two', 'resp_a'))],
        ['<', jsonResponse(200, reply('resp_b'))],
        ['>', post('/v1/responses', ask('three'))],
        ['<', jsonResponse(200, reply('resp_c'))],
        ['>', post('/v1/responses', ask('one'))],
        ['<', jsonResponse(200, reply('resp_d'))],
      ),
    );
    expect(b?.[0]).toBe(a?.[0]);
    expect(b?.[1]).not.toBe(a?.[1]);
    expect(c?.[0]).not.toBe(a?.[0]);
    expect(d).toEqual(a);
  });

  test('takes texts for messages, and messages without a type', async () => {
    const input = [
      { role: 'user', content: 'one' },
      { role: 'assistant', content: 'two' },
      { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'three' }] },
    ];
    const { told, result } = interpretOne(
      capture(
        ['>', post('/v1/responses', { model: 'gpt-4.1', input: 'one' })],
        ['<', jsonResponse(200, reply('resp_a'))],
        ['>', post('/v1/responses', { model: 'gpt-4.1', input })],
        ['<', jsonResponse(200, reply('resp_b'))],
      ),
    );
    expect(result.anomalies).toMatchObject([{ kind: 'inferred-thread' }]);
    expect((await reduced(told.dir)).items).toEqual([
      'user message: one',
      'assistant message: two',
      'user message: three',
    ]);
    const [first] = told.all('inference_started');
    expect(told.payload(first?.request_payload)).toMatchObject({ translated_from: 'responses' });
  });

  test('of Codex before 0.116 has the thread in its header, and turns are counted', () => {
    const thread = '01a1fa06-50b0-7221-8a2b-9cf8315e23cc';
    const headers = [`session_id: ${thread}`, 'x-codex-turn-metadata: {"sandbox":"none"}'];
    const [first, second] = turns(
      capture(
        ['>', post('/v1/responses', ask('one'), headers)],
        ['<', jsonResponse(200, reply('resp_a'))],
        [
          '>',
          post(
            '/v1/responses',
            { ...ask('one'), input: [...ask('one').input, ...ask('two').input] },
            headers,
          ),
        ],
        ['<', jsonResponse(200, reply('resp_b'))],
      ),
    );
    expect([first?.[0], second?.[0]]).toEqual([thread, thread]);
    expect(first?.[1]).not.toBe(second?.[1]);
  });
});

test('any JSON is read or refused', () => {
  const keys = fc.constantFrom(
    'id',
    'type',
    'messages',
    'role',
    'content',
    'choices',
    'delta',
    'index',
    'usage',
    'input',
    'tool_calls',
    'content_block',
    'message',
    'text',
    'source',
  );
  const { tree } = fc.letrec((tie) => ({
    leaf: fc.oneof(
      fc.string({ maxLength: 5 }),
      fc.constantFrom(
        'user',
        'assistant',
        'tool_use',
        'tool_result',
        'thinking',
        'content_block_delta',
        'message_start',
      ),
      fc.integer(),
      fc.constant(null),
    ),
    tree: fc.oneof(
      { maxDepth: 5 },
      tie('leaf'),
      fc.array(tie('tree'), { maxLength: 4 }),
      fc.dictionary(keys, tie('tree'), { maxKeys: 5 }),
    ),
  }));
  fc.assert(
    fc.property(fc.array(tree, { maxLength: 6 }), (values) => {
      for (const reader of [new ChatCompletions(), new AnthropicMessages()]) {
        for (const value of values) {
          const body = Object(value);
          reader.request({ messages: [body] });
          reader.event(undefined, body);
          reader.response(body);
        }
        reader.end();
      }
    }),
  );
});
