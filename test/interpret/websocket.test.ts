// Calls over a WebSocket and connections that are put together from AEAD contexts.

import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { EvidenceEvent, TlsEvent } from '../../src/evidence/event.js';
import { reduceBundle } from '../../src/reduce/reduce.js';
import { Deflater, frame, MASK, OPCODE } from '../support/websocket-frames.js';
import {
  captureEnd,
  captureStart,
  evidenceOf,
  exitEvent,
  Records,
  Wire,
  wireRecording,
} from '../support/wire.js';
import {
  answer,
  completed,
  created,
  done,
  interpret,
  interpretOne,
  jsonResponse,
  request,
  response,
  snapshot,
  sse,
  THREAD,
  TURN,
  toolCall,
  toolOutput,
  userMessage,
} from './story.js';

const ms = (time: number): bigint => BigInt(time) * 1_000_000n;
const HANDSHAKE = 22;
const ALERT = 21;
const FINISHED = [20, 0, 0, 2, 1, 1];
const CLOSE_NOTIFY = [1, 0];

function capture(...events: EvidenceEvent[]): EvidenceEvent[] {
  const last = events.at(-1)?.timeNs ?? 0n;
  return [captureStart(ms(1)), ...events, exitEvent(last + ms(1), { exitCode: 0 }), captureEnd(last + ms(2))];
}

/** Everything of one process, in the order in which it is written down, 10 ms apart. */
class Story {
  readonly events: TlsEvent[] = [];
  #time = 0;

  tell(make: (timeNs: bigint) => TlsEvent[]): this {
    this.#time += 10;
    this.events.push(...make(ms(this.#time)));
    return this;
  }

  /** On both directions of a connection with contexts of its own. */
  sends(context: Records, content: string | Uint8Array, type?: number): this {
    return this.tell((timeNs) => context.content(content, timeNs, type));
  }
}

const keyOf = (name: string) => Buffer.from(name.padEnd(16)).toString('base64');
const acceptOf = (name: string) =>
  createHash('sha1')
    .update(`${keyOf(name)}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest('base64');

function upgrade(name = 'key', threadId = THREAD): string {
  const metadata = JSON.stringify({ thread_id: threadId, turn_id: '', request_kind: 'prewarm' });
  const head = [
    'GET /v1/responses HTTP/1.1',
    'Host: api.test',
    'Connection: Upgrade',
    'Upgrade: websocket',
    `Sec-WebSocket-Key: ${keyOf(name)}`,
    `x-codex-turn-metadata: ${metadata}`,
    `thread-id: ${threadId}`,
    `session-id: ${threadId}`,
  ];
  return `${head.join('\r\n')}\r\n\r\n`;
}

function switching(name = 'key', extensions?: string): string {
  const head = [
    'HTTP/1.1 101 Switching Protocols',
    `sec-websocket-accept: ${acceptOf(name)}`,
    'x-request-id: req_ws',
  ];
  if (extensions !== undefined) head.push(`sec-websocket-extensions: ${extensions}`);
  return `${head.join('\r\n')}\r\n\r\n`;
}

interface CreateFields {
  turnId?: string;
  threadId?: string;
  input?: unknown[];
  extra?: Record<string, unknown>;
}

function create({ turnId = TURN, threadId = THREAD, input, extra }: CreateFields = {}): string {
  return JSON.stringify({
    type: 'response.create',
    model: 'gpt-5.5',
    ...extra,
    input: input ?? [userMessage('hi')],
    client_metadata: {
      turn_id: turnId,
      thread_id: threadId,
      session_id: threadId,
      'x-codex-ws-stream-request-start-ms': '17',
    },
  });
}

const warmUp = (input: unknown[]) => create({ turnId: '', input, extra: { generate: false } });
const sent = (text: string) => frame(text, { mask: MASK });
const received = (...events: unknown[]) => Buffer.concat(events.map((event) => frame(JSON.stringify(event))));

/** A connection with a socket on it, told up to the first message. */
function opened(story: Story, name = 'key', contexts: [number, number] = [1, 2]) {
  const [client, server] = [new Records(contexts[0], 'send'), new Records(contexts[1], 'receive')];
  story.sends(client, upgrade(name)).sends(server, switching(name));
  return { client, server };
}

describe('a call', () => {
  const preamble = userMessage('preamble', 'msg_preamble');

  test('after a warm-up is told as Codex records it, as if the warm-up had not been', () => {
    const story = new Story();
    const { client, server } = opened(story);
    story
      .sends(client, sent(warmUp([preamble])))
      .sends(server, received(created('resp_w'), completed('resp_w')))
      .sends(client, sent(create({ extra: { previous_response_id: 'resp_w' } })))
      .sends(server, received(created(), done(answer('ok')), completed()));
    const { told, result } = interpretOne(capture(...story.events));
    expect(result.anomalies).toEqual([]);
    const started = told.the('inference_started');
    expect(started).toMatchObject({ thread_id: THREAD, codex_turn_id: TURN, provider_name: 'api.test' });
    expect(told.payload(started.request_payload)).toEqual({
      model: 'gpt-5.5',
      input: [preamble, userMessage('hi')],
      client_metadata: { turn_id: TURN, thread_id: THREAD, session_id: THREAD },
    });
    expect(told.the('inference_completed')).toMatchObject({
      inference_call_id: started.inference_call_id,
      response_id: 'resp_1',
      upstream_request_id: null,
    });
    expect(told.the('codex_turn_ended').status).toBe('completed');
    expect(result.exchanges.map(({ transport, call }) => [transport, call?.inTrace, call?.outcome])).toEqual([
      ['http', undefined, undefined],
      ['websocket', false, 'completed'],
      ['websocket', true, 'completed'],
    ]);
  });

  test('that continues a response is told with the bytes of its message', async () => {
    const first = create({ extra: { note: ' as it was \u2028 ' } });
    const second = create({
      input: [toolOutput('call_a', 'Chunk ID: 1')],
      extra: { previous_response_id: 'resp_1', number: 1 },
    }).replace('"number":1', '"number": 1.0');
    const story = new Story();
    const { client, server } = opened(story);
    story
      .sends(client, sent(first))
      .sends(server, received(created(), done(toolCall('call_a')), completed()))
      .sends(client, sent(second))
      .sends(server, received(created('resp_2'), done(answer('ok')), completed('resp_2')));
    const { told, result } = interpretOne(capture(...story.events));
    expect(result.anomalies).toEqual([]);
    const requests = told.all('inference_started');
    const files = snapshot(told.dir);
    expect(requests.map(({ request_payload: ref }) => files[ref.path])).toEqual(
      [first, second].map((text) => `600 ${Buffer.from(text).toString('latin1')}`),
    );
    expect(told.the('tool_call_ended')).toMatchObject({ tool_call_id: 'call_a', status: 'completed' });
    const { statePath } = await reduceBundle(told.dir, { strict: true });
    expect(statePath).toContain('state.json');
  });

  test('has an id of its own, the same for the same evidence', () => {
    const story = new Story();
    const { client, server } = opened(story);
    for (const id of ['resp_1', 'resp_2']) {
      story.sends(client, sent(create())).sends(server, received(created(id), completed(id)));
    }
    // Two of them in one record begin at the same time.
    story.sends(client, Buffer.concat([sent(create()), sent(create())]));
    const tell = () => interpretOne(capture(...story.events)).told.all('inference_started');
    const ids = tell().map(({ inference_call_id: id }) => id);
    expect(new Set(ids).size).toBe(4);
    expect(ids.every((id) => /^[0-9a-f-]{36}$/.test(id))).toBe(true);
    expect(tell().map(({ inference_call_id: id }) => id)).toEqual(ids);
  });

  test('that continues what is not in the evidence: the reference still takes it', async () => {
    const story = new Story();
    const { client, server } = opened(story);
    story
      .sends(client, sent(create({ extra: { previous_response_id: 'resp_before' } })))
      .sends(server, received(created(), completed()));
    const { told, result } = interpretOne(capture(...story.events));
    expect(result.anomalies).toEqual([
      { kind: 'unknown-previous-response', count: 1, example: 'resp_before' },
    ]);
    const payload = told.payload(told.the('inference_started').request_payload);
    expect(payload).toMatchObject({ unknown_previous_response_id: 'resp_before', input: [{ id: 'msg_u' }] });
    expect(payload).not.toHaveProperty('previous_response_id');
    await reduceBundle(told.dir, { strict: true });
  });

  test('that the server breaks off has failed, by a close frame or by the end of the connection', () => {
    for (const ending of ['frame', 'alert']) {
      const story = new Story();
      const { client, server } = opened(story);
      story.sends(client, sent(create())).sends(server, received(created(), done(answer('half'))));
      if (ending === 'frame') story.sends(server, frame('', { opcode: OPCODE.close }));
      else story.sends(server, Uint8Array.from(CLOSE_NOTIFY), ALERT);
      const { told } = interpretOne(capture(...story.events));
      const failed = told.the('inference_failed');
      expect(failed.error).toBe('connection closed without a final event');
      expect(told.payload(failed.partial_response_payload)).toMatchObject({ output_items: [answer('half')] });
    }
  });

  test('that the client gives up is cancelled', () => {
    const story = new Story();
    const { client, server } = opened(story);
    story
      .sends(client, sent(create()))
      .sends(server, received(created()))
      .sends(client, frame('', { opcode: OPCODE.close, mask: MASK }))
      .sends(client, Uint8Array.from(CLOSE_NOTIFY), ALERT);
    const { told } = interpretOne(capture(...story.events));
    expect(told.the('inference_cancelled').reason).toMatch(/^process ended/);
  });

  test('that ends with an error of the server', () => {
    const story = new Story();
    const { client, server } = opened(story);
    const error = { code: 'previous_response_not_found', message: 'gone' };
    story.sends(client, sent(create())).sends(server, received({ type: 'error', status: 400, error }));
    const { told } = interpretOne(capture(...story.events));
    expect(told.the('inference_failed').error).toBe('previous_response_not_found: gone');
  });

  test('over OpenSSL, with the answer in the piece that accepts the socket', () => {
    const wire = new Wire();
    const events = [
      ...wire.piece('send', upgrade(), ms(10)),
      ...wire.piece(
        'receive',
        Buffer.concat([Buffer.from(switching()), received({ type: 'hello' })]),
        ms(20),
      ),
      ...wire.piece('send', sent(create()), ms(30)),
      ...wire.piece('receive', received(created(), completed()), ms(40)),
    ];
    const { told, result } = interpretOne(capture(...events));
    expect(result.anomalies).toEqual([]);
    expect(told.the('inference_completed').response_id).toBe('resp_1');
  });

  test('in compressed messages', async () => {
    for (const takeover of [true, false]) {
      const client = new Records(1, 'send');
      const server = new Records(2, 'receive');
      const [up, down] = [new Deflater(takeover), new Deflater(takeover)];
      const extensions = `permessage-deflate${takeover ? '' : '; server_no_context_takeover; client_no_context_takeover'}`;
      const story = new Story().sends(client, upgrade()).sends(server, switching('key', extensions));
      for (const id of ['resp_1', 'resp_2']) {
        const compressed = await up.compress(create());
        story.sends(client, frame(compressed, { mask: MASK, compressed: true }));
        for (const event of [created(id), completed(id)]) {
          story.sends(server, frame(await down.compress(JSON.stringify(event)), { compressed: true }));
        }
      }
      const { told, result } = interpretOne(capture(...story.events));
      expect(result.anomalies).toEqual([]);
      expect(told.all('inference_completed').map(({ response_id: id }) => id)).toEqual(['resp_1', 'resp_2']);
    }
  });
});

describe('lost records', () => {
  test('of a response: its outcome is not known, the next call is told', () => {
    const story = new Story();
    const { client, server } = opened(story);
    story.sends(client, sent(create())).sends(server, received(created()));
    server.skip(500);
    story
      .sends(server, received({ type: 'response.output_text.delta' }))
      .sends(client, sent(create()))
      .sends(server, received(created('resp_2'), completed('resp_2')));
    const { told, result } = interpretOne(capture(...story.events));
    expect(result.exchanges.map(({ call }) => call?.outcome)).toEqual([undefined, 'unknown', 'completed']);
    expect(told.the('inference_completed').response_id).toBe('resp_2');
    expect(result.anomalies.map(({ kind }) => kind)).toEqual([
      'framing-lost',
      'incomplete-response',
      'stream-gap',
    ]);
  });

  test('of a response of which the end is there', () => {
    const story = new Story();
    const { client, server } = opened(story);
    story.sends(client, sent(create())).sends(server, received(created()));
    server.skip(500);
    story.sends(server, received(completed('resp_1', { output: [answer('from the end')] })));
    const { told } = interpretOne(capture(...story.events));
    expect(told.payload(told.the('inference_completed').response_payload)).toMatchObject({
      output_items: [answer('from the end')],
    });
  });

  test('of the first response of a connection over HTTP: the second is not taken for it', () => {
    const [send, receive] = [new Records(1, 'send'), new Records(2, 'receive')];
    receive.skip(500);
    const story = new Story()
      .sends(send, request({ inferenceCallId: 'call-1' }))
      .sends(send, request({ inferenceCallId: 'call-2' }))
      .sends(receive, response(created('resp_2'), completed('resp_2')));
    const { told } = interpretOne(capture(...story.events));
    expect(told.the('inference_completed')).toMatchObject({
      inference_call_id: 'call-2',
      response_id: 'resp_2',
    });
  });

  test('of a request: what answers it is not told of the call before', () => {
    const story = new Story();
    const { client, server } = opened(story);
    story.sends(client, sent(create())).sends(server, received(created(), done(answer('one'))));
    client.skip(500);
    story.sends(client, sent('{"type":"response.processed"}')).sends(server, received(completed('resp_2')));
    const { told, result } = interpretOne(capture(...story.events));
    expect(told.all('inference_completed')).toEqual([]);
    expect(result.anomalies.map(({ kind }) => kind)).toContain('unreadable-request');
  });

  test('of a response and of the request after it', () => {
    const story = new Story();
    const { client, server } = opened(story);
    story.sends(client, sent(create())).sends(server, received(created()));
    server.skip(500);
    story.sends(server, received({ type: 'response.output_text.delta' }));
    client.skip(500);
    story.sends(client, sent('{"type":"response.processed"}'));
    const { result } = interpret(capture(...story.events));
    expect(result.exchanges.map(({ call }) => call?.outcome)).toEqual([undefined, 'unknown']);
  });

  test('anywhere in a recorded run: nothing is told that is not so', () => {
    const events = evidenceOf(wireRecording('tools-ws'));
    const facts = (all: EvidenceEvent[]) => {
      const { bundles, result } = interpret(all);
      const completions = bundles.flatMap((told) =>
        told
          .all('inference_completed')
          .map((event) => [event.response_id, told.payload(event.response_payload)]),
      );
      const calls = bundles.flatMap((told) =>
        told.all('tool_call_started').map((event) => event.tool_call_id),
      );
      return { completions, calls, anomalies: result.anomalies.map(({ kind }) => kind) };
    };
    const whole = facts(events);
    expect(whole.completions).toHaveLength(3);
    for (const [index, event] of events.entries()) {
      if (event.kind !== 'tls' || event.additionalData === undefined) continue;
      const { completions, calls, anomalies } = facts(events.toSpliced(index, 1));
      expect(whole.completions).toEqual(expect.arrayContaining(completions));
      expect(whole.calls).toEqual(expect.arrayContaining(calls));
      const isLast = !events
        .slice(index + 1)
        .some((later) => later.kind === 'tls' && later.connection === event.connection);
      if (!isLast) expect(anomalies).toContain('stream-gap');
    }
  });
});

describe('a socket that was open before the capture began', () => {
  const continued = (id: string) => create({ turnId: `turn-${id}`, extra: { previous_response_id: id } });

  test('is followed from its next message on', () => {
    const [client, server] = [new Records(1, 'send'), new Records(2, 'receive')];
    const story = new Story()
      .sends(server, received({ type: 'response.output_text.delta' }))
      .sends(client, sent(continued('resp_0')))
      .sends(server, received(created(), done(answer('ok')), completed()))
      .sends(client, sent(continued('resp_1')))
      .sends(server, received(created('resp_2'), completed('resp_2')));
    const { told, result } = interpretOne(capture(...story.events));
    expect(result.anomalies).toEqual([
      { kind: 'unpaired-message', count: 1, example: 'a message on connection 2 of process 100, receive' },
      { kind: 'unknown-previous-response', count: 1, example: 'resp_0' },
    ]);
    expect(told.all('inference_completed').map(({ response_id: id }) => id)).toEqual(['resp_1', 'resp_2']);
    expect(told.all('inference_started')[0]).toMatchObject({ thread_id: THREAD, provider_name: 'unknown' });
  });

  test('in the middle of a message: that one is not told, and counted', () => {
    const [client, server] = [new Records(1, 'send'), new Records(2, 'receive')];
    const story = new Story()
      .sends(client, sent(continued('resp_0')).subarray(30))
      .sends(server, received(created(), completed()).subarray(5))
      .sends(client, sent(create()))
      .sends(server, received(created('resp_2'), completed('resp_2')));
    const { told, result } = interpretOne(capture(...story.events));
    expect(told.the('inference_completed').response_id).toBe('resp_2');
    expect(result.anomalies).toMatchObject([{ kind: 'framing-lost', count: 2 }]);
  });

  test('over OpenSSL, and in compressed messages that refer to nothing before them', async () => {
    const wire = new Wire();
    const deflater = new Deflater(false);
    const compressed = async (text: string) => await deflater.compress(text);
    const request = frame(await compressed(create()), { mask: MASK, compressed: true });
    const events: Buffer[] = [];
    for (const event of [created(), completed()]) {
      events.push(frame(await compressed(JSON.stringify(event)), { compressed: true }));
    }
    const { told, result } = interpretOne(
      capture(
        ...wire.piece('send', request, ms(10)),
        ...wire.piece('receive', Buffer.concat(events), ms(20)),
      ),
    );
    expect(result.anomalies).toEqual([]);
    expect(told.the('inference_completed').response_id).toBe('resp_1');
  });

  test('with messages that are compressed by reference to those before them, which are counted', async () => {
    const [client, server] = [new Records(1, 'send'), new Records(2, 'receive')];
    const [requests, answers] = [new Deflater(true), new Deflater(true)];
    const story = new Story();
    for (const turn of [1, 2]) {
      const asked = await requests.compress(create({ turnId: `turn-${turn}` }));
      const told: Buffer[] = [];
      for (const event of [created(`resp_${turn}`), completed(`resp_${turn}`)]) {
        told.push(frame(await answers.compress(JSON.stringify(event)), { compressed: true }));
      }
      if (turn === 1) continue;
      story.sends(client, frame(asked, { mask: MASK, compressed: true })).sends(server, Buffer.concat(told));
    }
    const { result } = interpret(capture(...story.events));
    expect(result.anomalies).toMatchObject([{ kind: 'unseen-context', count: 3 }]);
  });

  test('beside another: the server answers what was sent last, which is counted', () => {
    const other = '01a1f929-0000-7000-8000-000000000002';
    const story = new Story()
      .sends(new Records(1, 'send'), sent(create({ turnId: 'turn-1' })))
      .sends(new Records(2, 'send'), sent(create({ turnId: 'turn-2', threadId: other })))
      .sends(new Records(12, 'receive'), received(created('resp_of_2'), completed('resp_of_2')))
      .sends(new Records(11, 'receive'), received(created('resp_of_1'), completed('resp_of_1')));
    const { result } = interpret(capture(...story.events));
    expect(result.anomalies).toMatchObject([{ kind: 'inferred-pairing', count: 1 }]);
    expect(result.exchanges.map(({ call }) => [call?.threadId, call?.responseId])).toEqual([
      [THREAD, 'resp_of_1'],
      [other, 'resp_of_2'],
    ]);
  });
});

describe('contexts of one process', () => {
  test('are paired by the accept key, whatever their order', () => {
    const threads = [THREAD, '01a1f929-0000-7000-8000-000000000002'] as const;
    const clients = [new Records(1, 'send'), new Records(2, 'send')] as const;
    const servers = [new Records(3, 'receive'), new Records(4, 'receive')] as const;
    const story = new Story()
      .sends(clients[0], upgrade('first', threads[0]))
      .sends(clients[1], upgrade('second', threads[1]))
      .sends(servers[1], switching('second'))
      .sends(servers[0], switching('first'))
      .sends(clients[0], sent(create({ threadId: threads[0], turnId: 'turn-1' })))
      .sends(clients[1], sent(create({ threadId: threads[1], turnId: 'turn-2' })))
      .sends(servers[1], received(created('resp_of_2'), completed('resp_of_2')))
      .sends(servers[0], received(created('resp_of_1'), completed('resp_of_1')));
    const { result } = interpret(capture(...story.events));
    expect(result.anomalies).toEqual([]);
    const calls = result.exchanges.flatMap(({ call }) => (call === undefined ? [] : [call]));
    expect(calls.map(({ threadId, responseId }) => [threadId, responseId])).toEqual([
      [threads[0], 'resp_of_1'],
      [threads[1], 'resp_of_2'],
    ]);
  });

  test('a socket that was accepted for another key has no partner', () => {
    const story = new Story()
      .sends(new Records(1, 'send'), upgrade('first'))
      .sends(new Records(2, 'receive'), switching('second'));
    const { result } = interpret(capture(...story.events));
    expect(result.anomalies.map(({ kind }) => kind)).toEqual(['unpaired-message']);
  });

  test('of HTTP are paired by order where only one is possible', () => {
    const [send, receive] = [new Records(1, 'send'), new Records(2, 'receive')];
    const story = new Story();
    for (const [id, turnId] of [
      ['call-1', 'turn-1'],
      ['call-2', 'turn-2'],
    ] as const) {
      story
        .sends(send, request({ inferenceCallId: id, turnId }))
        .sends(receive, response(created(`resp_${id}`), completed(`resp_${id}`)));
    }
    const { told, result } = interpretOne(capture(...story.events));
    expect(result.anomalies).toEqual([]);
    expect(told.all('inference_completed')).toMatchObject([
      { inference_call_id: 'call-1', response_id: 'resp_call-1', upstream_request_id: 'req_1' },
      { inference_call_id: 'call-2', response_id: 'resp_call-2' },
    ]);
  });

  test('two waiting at once: told apart by what they ask for, or else by order, which is counted', () => {
    const models = 'GET /v1/models HTTP/1.1\r\naccept: */*\r\n\r\n';
    const told = (...requests: string[]) => {
      const story = new Story();
      for (const [index, text] of requests.entries()) story.sends(new Records(index + 1, 'send'), text);
      story.sends(new Records(11, 'receive'), response(created(), completed()));
      return interpret(capture(...story.events)).result;
    };
    const call = request({ headers: ['accept: text/event-stream'] });
    const apart = told(models, call);
    expect(apart.anomalies).toEqual([]);
    expect(apart.exchanges.map(({ status }) => status)).toEqual([undefined, 200]);
    const alike = told(models, models, request());
    expect(alike.anomalies.map(({ kind }) => kind)).toEqual(['inferred-pairing']);
    expect(alike.exchanges.map(({ status }) => status)).toEqual([200, undefined, undefined]);
  });

  test.each([
    ['after close_notify', CLOSE_NOTIFY, ALERT],
    ['after a handshake', FINISHED, HANDSHAKE],
    ['with nothing in between', [], HANDSHAKE],
  ])('are used again for another connection, %s', (_, between, type) => {
    const story = new Story();
    const first = opened(story, 'first');
    story
      .sends(first.client, sent(create({ turnId: 'turn-1' })))
      .sends(first.server, received(created(), completed()))
      .sends(first.client, Uint8Array.from(between), type)
      .sends(first.server, Uint8Array.from(between), type)
      .sends(first.client, upgrade('second'))
      .sends(first.server, switching('second'))
      .sends(first.client, sent(create({ turnId: 'turn-2' })))
      .sends(first.server, received(created('resp_2'), completed('resp_2')));
    const { told, result } = interpretOne(capture(...story.events));
    expect(result.anomalies).toEqual([]);
    expect(told.all('inference_completed').map(({ response_id: id }) => id)).toEqual(['resp_1', 'resp_2']);
  });

  test('are used again while a response is under way: that one is cut', () => {
    const [send, receive] = [new Records(1, 'send'), new Records(2, 'receive')];
    const whole = response(created(), completed());
    const story = new Story()
      .sends(send, request({ inferenceCallId: 'call-1' }))
      .sends(receive, whole.slice(0, 200))
      .sends(send, Uint8Array.from(FINISHED), HANDSHAKE)
      .sends(receive, Uint8Array.from(FINISHED), HANDSHAKE)
      .sends(send, request({ inferenceCallId: 'call-2' }))
      .sends(receive, whole);
    const { told, result } = interpretOne(capture(...story.events));
    expect(result.anomalies).toEqual([]);
    expect(told.the('inference_failed').inference_call_id).toBe('call-1');
    expect(told.the('inference_completed').inference_call_id).toBe('call-2');
  });

  test('that have a partner already are left to it', () => {
    const models = 'GET /v1/models HTTP/1.1\r\n\r\n';
    const [one, two] = [new Records(1, 'send'), new Records(2, 'send')];
    const story = new Story()
      .sends(one, models)
      .sends(new Records(11, 'receive'), jsonResponse(201, {}))
      .sends(one, models)
      .sends(two, models)
      .sends(new Records(12, 'receive'), jsonResponse(202, {}));
    const { result } = interpret(capture(...story.events));
    expect(result.anomalies).toEqual([]);
    expect(result.exchanges.map(({ status }) => status)).toEqual([201, undefined, 202]);
  });

  test('that wait are answered in the order of their requests', () => {
    const models = 'GET /v1/models HTTP/1.1\r\n\r\n';
    const [one, two] = [new Records(1, 'send'), new Records(2, 'send')];
    const first = new Records(11, 'receive');
    const story = new Story()
      .sends(one, models)
      .sends(first, jsonResponse(201, {}))
      .sends(first, Uint8Array.from(CLOSE_NOTIFY), ALERT)
      .sends(two, models)
      .sends(one, models)
      .sends(new Records(12, 'receive'), jsonResponse(202, {}));
    const { result } = interpret(capture(...story.events));
    expect(result.anomalies.map(({ kind }) => kind)).toEqual(['inferred-pairing']);
    expect(result.exchanges.map(({ status }) => status)).toEqual([201, 202, undefined]);
  });

  test('a stream that goes on until the close has failed once the close is seen, or was given up', () => {
    const open = `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n${sse(created())}`;
    const outcome = (closed: boolean) => {
      const story = new Story();
      const receive = new Records(2, 'receive');
      story.sends(new Records(1, 'send'), request()).sends(receive, open);
      if (closed) story.sends(receive, Uint8Array.from(CLOSE_NOTIFY), ALERT);
      return interpret(capture(...story.events)).result.exchanges[0]?.call?.outcome;
    };
    expect([outcome(true), outcome(false)]).toEqual(['failed', 'cancelled']);
  });

  test('that encrypt something else are counted', () => {
    const records = new Records(1, 'send');
    const event = records.record(Buffer.from('GET / HTTP/1.1'), ms(10), Uint8Array.from([1, 2, 3]));
    const { result } = interpret(capture(event));
    expect(result.anomalies).toEqual([
      { kind: 'not-tls', count: 1, example: 'connection 1 of process 100, send' },
    ]);
  });

  test('of another process are never partners', () => {
    const story = new Story()
      .sends(new Records(1, 'send', 100), upgrade())
      .sends(new Records(2, 'receive', 101), switching());
    const { result } = interpret(capture(...story.events));
    expect(result.exchanges.map(({ status }) => status)).toEqual([undefined]);
    expect(result.anomalies.map(({ kind }) => kind)).toEqual(['unpaired-message']);
  });

  test('with any records in any order: nothing throws', () => {
    const content = fc.oneof(
      fc.constantFrom<string | Uint8Array>(
        upgrade(),
        switching(),
        request(),
        response(created(), completed()),
        sent(create()),
        sent(warmUp([])),
        received(created()),
        received(completed()),
        sent(create()).subarray(0, 40),
      ),
      fc.uint8Array({ minLength: 1, maxLength: 40 }),
    );
    const step = fc.record({
      content,
      context: fc.integer({ min: 1, max: 3 }),
      direction: fc.constantFrom('send', 'receive'),
      type: fc.constantFrom(23, 23, 23, HANDSHAKE, ALERT),
      skip: fc.constantFrom(0, 0, 0, 7),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const contexts = new Map<string, Records>();
        const story = new Story();
        for (const { content: bytes, context, direction, type, skip } of steps) {
          const key = `${context} ${direction}`;
          const records = contexts.get(key) ?? new Records(context, direction);
          contexts.set(key, records);
          records.skip(skip);
          story.sends(records, bytes, type);
        }
        interpret(capture(...story.events));
      }),
      { numRuns: 60 },
    );
  });
});
