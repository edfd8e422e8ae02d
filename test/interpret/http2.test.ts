// Exchanges over HTTP/2: the streams of one connection are told apart, whatever becomes of them.

import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { EvidenceEvent } from '../../src/evidence/event.js';
import { FLAG, FRAME, PREFACE } from '../../src/protocol/http2-frame.js';
import { frame, literalFields } from '../support/http2-peers.js';
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
  request,
  snapshot,
  sse,
  THREAD,
  TURN,
  toolCall,
} from './story.js';

const ms = (time: number): bigint => BigInt(time) * 1_000_000n;
const settings = frame(FRAME.settings, 0, 0);
const opening = Buffer.concat([PREFACE, settings]);
const last = FLAG.endHeaders | FLAG.endStream;

function capture(...events: EvidenceEvent[]): EvidenceEvent[] {
  return [captureStart(ms(1)), ...events, exitEvent(ms(900), { exitCode: 0 }), captureEnd(ms(1000))];
}

/** Pieces of one connection at times 10, 20, 30 …; `>` is sent, `<` is received. */
function talk(...pieces: ['>' | '<', Uint8Array][]): EvidenceEvent[] {
  const wire = new Wire();
  return pieces.flatMap(([direction, bytes], index) =>
    wire.piece(direction === '>' ? 'send' : 'receive', bytes, ms(10 * (index + 1))),
  );
}

const OTHER_THREAD = THREAD.replace(/1$/, '2');
const OTHER_TURN = TURN.replace(/a$/, 'b');

interface Sent {
  threadId?: string;
  turnId?: string;
  inferenceCallId?: string;
  /** The head: as bytes of a header block. */
  head?: Uint8Array;
}

/** A request on `stream`, in one frame of each kind. */
function ask(stream: number, { head, ...fields }: Sent = {}): Buffer {
  const [lines = '', body = ''] = request(fields).split('\r\n\r\n');
  const [, ...headers] = lines.split('\r\n');
  const regular = headers
    .map((line) => line.split(': '))
    .filter(([name]) => !/^(host|content-length)$/.test(name ?? ''));
  const block = literalFields({
    ':method': 'POST',
    ':scheme': 'https',
    ':path': '/backend-api/codex/responses',
    ':authority': 'api.test:8443',
    ...Object.fromEntries(regular),
  });
  return Buffer.concat([
    frame(FRAME.headers, FLAG.endHeaders, stream, head ?? block),
    frame(FRAME.data, FLAG.endStream, stream, body),
  ]);
}

const okHead = (stream: number, extra: Record<string, string> = {}): Buffer =>
  frame(
    FRAME.headers,
    FLAG.endHeaders,
    stream,
    literalFields({
      ':status': '200',
      'content-type': 'text/event-stream',
      'x-request-id': 'req_1',
      ...extra,
    }),
  );
const data = (stream: number, ...events: { type: string }[]) => frame(FRAME.data, 0, stream, sse(...events));
const end = (stream: number) => frame(FRAME.data, FLAG.endStream, stream);
const reset = (stream: number, code: number) =>
  frame(FRAME.rstStream, 0, stream, Uint8Array.of(0, 0, 0, code));
const reply = (stream: number, ...events: { type: string }[]) =>
  Buffer.concat([okHead(stream), data(stream, ...events), end(stream)]);

const [REFUSED, CANCEL, INTERNAL_ERROR] = [7, 8, 2];

describe('streams', () => {
  const both: ['>' | '<', Uint8Array][] = [
    [
      '>',
      Buffer.concat([
        opening,
        ask(1),
        ask(3, { threadId: OTHER_THREAD, turnId: OTHER_TURN, inferenceCallId: 'call-2' }),
      ]),
    ],
    ['<', Buffer.concat([settings, okHead(3), okHead(1)])],
    [
      '<',
      Buffer.concat([
        data(1, created('resp_1')),
        data(3, created('resp_3')),
        data(1, done(answer('one', 'msg_1'))),
      ]),
    ],
    ['<', Buffer.concat([data(3, done(answer('three', 'msg_3')), completed('resp_3')), end(3)])],
    ['<', Buffer.concat([data(1, completed('resp_1')), end(1)])],
  ];

  test('at the same time are told apart', () => {
    const { result, bundles } = interpret(capture(...talk(...both)));
    expect(result.anomalies).toEqual([]);
    expect(result.exchanges).toMatchObject([
      {
        host: 'api.test:8443',
        path: '/backend-api/codex/responses',
        call: { threadId: THREAD, responseId: 'resp_1' },
      },
      { call: { threadId: OTHER_THREAD, responseId: 'resp_3', outcome: 'completed' } },
    ]);
    const items = bundles.map(
      (told) => told.payload(told.the('inference_completed').response_payload).output_items,
    );
    expect(items).toEqual([[answer('one', 'msg_1')], [answer('three', 'msg_3')]]);
  });

  test('in pieces of one byte are told the same', () => {
    const whole = interpret(capture(...talk(...both)));
    const wire = new Wire();
    const events = both.flatMap(([direction, bytes], index) =>
      wire.piece(direction === '>' ? 'send' : 'receive', bytes, ms(10 * (index + 1)), 1),
    );
    const split = interpret(capture(...events));
    expect(split.result).toEqual(whole.result);
    expect(split.bundles.map(({ dir }) => snapshot(dir))).toEqual(
      whole.bundles.map(({ dir }) => snapshot(dir)),
    );
  });

  test('of contexts that are seen one direction each find their partners', () => {
    const [first, second] = [
      Buffer.concat([opening, ask(1)]),
      Buffer.concat([
        opening,
        ask(1, { threadId: OTHER_THREAD, turnId: OTHER_TURN, inferenceCallId: 'call-2' }),
      ]),
    ];
    const next = ask(3, { turnId: OTHER_TURN, inferenceCallId: 'call-3' });
    const [sendA, sendB, receiveA, receiveB] = [1, 2, 3, 4].map(
      (context) => new Records(context, context < 3 ? 'send' : 'receive'),
    );
    if (!sendA || !sendB || !receiveA || !receiveB) throw new Error('no contexts');
    const { result } = interpret(
      capture(
        ...sendA.content(first, ms(10)),
        ...receiveA.content(
          Buffer.concat([settings, okHead(1), data(1, created('resp_a'), completed('resp_a')), end(1)]),
          ms(20),
        ),
        ...sendB.content(second, ms(30)),
        // Not by its age, which is the greater one: the first connection has both its directions by now.
        ...sendA.content(next, ms(25)),
        ...receiveB.content(
          Buffer.concat([settings, okHead(1), data(1, created('resp_b'), completed('resp_b')), end(1)]),
          ms(40),
        ),
        ...receiveA.content(reply(3, created('resp_c'), completed('resp_c')), ms(50)),
      ),
    );
    expect(result.exchanges.map(({ call }) => [call?.turnId, call?.responseId])).toEqual([
      [TURN, 'resp_a'],
      [OTHER_TURN, 'resp_b'],
      [OTHER_TURN, 'resp_c'],
    ]);
    expect(result.anomalies).toEqual([]);
  });
});

test('a response to nothing is not given to the same stream of another connection', () => {
  const [sendA, sendB] = [new Records(1, 'send'), new Records(2, 'send')];
  const receiveA = new Records(3, 'receive');
  const other = { threadId: OTHER_THREAD, turnId: OTHER_TURN, inferenceCallId: 'call-2' };
  const { result } = interpret(
    capture(
      ...sendA.content(Buffer.concat([opening, ask(1)]), ms(10)),
      ...receiveA.content(Buffer.concat([settings, reply(1, created(), completed())]), ms(20)),
      ...sendB.content(Buffer.concat([opening, ask(3, other)]), ms(30)),
      ...receiveA.content(reply(3, created('resp_x'), completed('resp_x')), ms(40)),
    ),
  );
  expect(result.exchanges.map(({ call }) => call?.responseId)).toEqual(['resp_1', undefined]);
  expect(result.anomalies.map(({ kind }) => kind)).toEqual(['unpaired-message']);
});

describe('endings', () => {
  test('a stream that the server resets has failed', () => {
    const { told } = interpretOne(
      capture(
        ...talk(
          ['>', Buffer.concat([opening, ask(1)])],
          [
            '<',
            Buffer.concat([
              settings,
              okHead(1),
              data(1, created(), done(toolCall('c1'))),
              reset(1, INTERNAL_ERROR),
            ]),
          ],
        ),
      ),
    );
    const failed = told.the('inference_failed');
    expect(failed.error).toBe('stream was reset');
    expect(told.payload(failed.partial_response_payload)).toMatchObject({ output_items: [toolCall('c1')] });
  });

  test('a stream that is refused and sent again is one inference', () => {
    const { told, result } = interpretOne(
      capture(
        ...talk(
          ['>', Buffer.concat([opening, ask(1)])],
          ['<', Buffer.concat([settings, reset(1, REFUSED)])],
          ['>', ask(3)],
          ['<', reply(3, created(), completed())],
        ),
      ),
    );
    expect(told.all('inference_started')).toHaveLength(1);
    expect(told.the('inference_completed').response_id).toBe('resp_1');
    expect(result.anomalies).toEqual([]);
  });

  test('a stream that the client cancels keeps what had come', () => {
    const { told, result } = interpretOne(
      capture(
        ...talk(
          ['>', Buffer.concat([opening, ask(1)])],
          ['<', Buffer.concat([settings, okHead(1), data(1, created(), done(answer('half')))])],
          ['>', reset(1, CANCEL)],
          ['<', frame(FRAME.goaway, 0, 0, Buffer.alloc(8))],
        ),
      ),
    );
    const cancelled = told.the('inference_cancelled');
    expect(told.payload(cancelled.partial_response_payload)).toMatchObject({
      output_items: [answer('half')],
    });
    expect(result.anomalies).toEqual([]);
  });

  test('an error of HTTP is told as such', () => {
    const head = frame(
      FRAME.headers,
      FLAG.endHeaders,
      1,
      literalFields({ ':status': '429', 'content-type': 'application/json' }),
    );
    const { told } = interpretOne(
      capture(
        ...talk(
          ['>', Buffer.concat([opening, ask(1)])],
          ['<', Buffer.concat([settings, head, frame(FRAME.data, FLAG.endStream, 1, '{"error":"slow"}')])],
        ),
      ),
    );
    expect(told.the('inference_failed').error).toBe('HTTP 429: {"error":"slow"}');
  });

  test('a response without a body has failed', () => {
    const head = frame(FRAME.headers, last, 1, literalFields({ ':status': '204' }));
    const { told } = interpretOne(
      capture(...talk(['>', Buffer.concat([opening, ask(1)])], ['<', Buffer.concat([settings, head])])),
    );
    expect(told.the('inference_failed').error).toBe('stream ended without a final event');
  });
});

describe('a connection that was open before', () => {
  /** `:method POST` and `:scheme https`; the path and all else refer to the table that was not seen. */
  const unknownHead = Buffer.from([0x83, 0x87, 0xbe, 0xbf, 0xc0]);
  const unknownOk = (stream: number) =>
    frame(FRAME.headers, FLAG.endHeaders, stream, Uint8Array.of(0x88, 0xbe, 0xbf));

  test('is read from its first whole frame on; what its heads do not tell, the bodies do', () => {
    const { told, result } = interpretOne(
      capture(
        ...talk(
          ['<', data(5, completed('resp_0'))],
          ['>', ask(7, { head: unknownHead })],
          [
            '<',
            Buffer.concat([
              end(5),
              unknownOk(7),
              data(7, created(), done(answer('hi')), completed()),
              end(7),
            ]),
          ],
        ),
      ),
    );
    expect(told.the('inference_completed')).toMatchObject({ response_id: 'resp_1' });
    expect(result.exchanges).toMatchObject([
      { call: { threadId: THREAD, turnId: TURN, model: 'gpt-5.5', outcome: 'completed' } },
    ]);
    expect(result.anomalies).toEqual([
      { kind: 'unpaired-message', count: 1, example: 'connection 1 of process 100, receive' },
      { kind: 'unknown-header-fields', count: 5, example: 'connection 1 of process 100, send' },
    ]);
  });

  test('tells a compressed body by its first bytes', () => {
    const body = gzipSync(sse(created(), done(answer('hi')), completed()));
    const { result } = interpret(
      capture(
        ...talk(
          ['>', ask(7, { head: unknownHead })],
          ['<', Buffer.concat([unknownOk(7), frame(FRAME.data, FLAG.endStream, 7, body)])],
        ),
      ),
    );
    expect(result.exchanges).toMatchObject([{ call: { outcome: 'completed', responseId: 'resp_1' } }]);
  });

  test('in the middle of a frame is found again with the next', () => {
    const { result } = interpret(
      capture(
        ...talk(
          ['>', Buffer.from('the end of a body"}')],
          ['<', Buffer.from('the end of an event"}\n\n')],
          ['>', ask(7)],
          ['<', reply(7, created(), completed())],
        ),
      ),
    );
    expect(result.exchanges).toMatchObject([{ call: { outcome: 'completed', responseId: 'resp_1' } }]);
  });
});

test('with bytes missing between frames, a response goes on behind them', () => {
  const wire = new Wire();
  const events = [
    ...wire.piece('send', Buffer.concat([opening, ask(1)]), ms(10)),
    ...wire.piece(
      'receive',
      Buffer.concat([settings, okHead(1), data(1, created(), done(answer('one', 'msg_1')))]),
      ms(20),
    ),
    ...wire
      .piece('receive', data(1, done(answer('lost', 'msg_2'))), ms(30))
      .map((event) => ({ ...event, missing: event.data.length, data: new Uint8Array() })),
    ...wire.piece('receive', Buffer.concat([data(1, done(answer('three', 'msg_3')))]), ms(40)),
    ...wire.piece('receive', Buffer.concat([data(1, completed()), end(1)]), ms(50)),
  ];
  const { result, told } = interpretOne(capture(...events));
  expect(told.payload(told.the('inference_completed').response_payload)).toMatchObject({
    token_usage: { input_tokens: 100 },
    output_items: [answer('one', 'msg_1')],
  });
  expect(result.anomalies.map(({ kind }) => kind)).toEqual(['framing-lost', 'stream-gap']);
});

test('what a server pushes is counted', () => {
  const push = frame(
    FRAME.pushPromise,
    FLAG.endHeaders,
    1,
    Buffer.concat([Uint8Array.of(0, 0, 0, 2), literalFields({ ':method': 'GET', ':path': '/x' })]),
  );
  const { result } = interpret(
    capture(
      ...talk(
        ['>', Buffer.concat([opening, ask(1)])],
        ['<', Buffer.concat([settings, push, reply(1, created(), completed())])],
      ),
    ),
  );
  expect(result.anomalies).toEqual([
    { kind: 'server-push', count: 1, example: 'connection 1 of process 100, receive' },
  ]);
});

test('any damage to the evidence: nothing throws, and each bundle stays in one piece', () => {
  const events = evidenceOf(wireRecording('agents-h2'));
  const place = fc.nat(events.length - 1);
  const damage = fc.record({
    drop: fc.array(place, { maxLength: 5 }),
    flip: fc.array(fc.tuple(place, fc.nat(16_000), fc.integer({ min: 1, max: 255 })), { maxLength: 8 }),
    swap: fc.array(fc.tuple(place, place), { maxLength: 2 }),
    cut: fc.nat(events.length),
  });
  fc.assert(
    fc.property(damage, ({ drop, flip, swap, cut }) => {
      const damaged = events.map((event, index) => {
        if (event.kind !== 'tls') return event;
        const data = Uint8Array.from(event.data);
        for (const [at, where, bits] of flip) {
          const byte = where % Math.max(data.length, 1);
          if (at === index) data[byte] = (data[byte] ?? 0) ^ bits;
        }
        return { ...event, data };
      });
      for (const [a, b] of swap) {
        const [first, second] = [damaged[a], damaged[b]];
        if (first !== undefined && second !== undefined) [damaged[a], damaged[b]] = [second, first];
      }
      for (const told of interpret(damaged.filter((_, index) => !drop.includes(index) && index < cut))
        .bundles) {
        expect(told.events.map(({ seq }) => seq)).toEqual(told.events.map((_, index) => index + 1));
      }
    }),
    { numRuns: 20 },
  );
});
