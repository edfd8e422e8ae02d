// Requests and responses with content codings: told as if they had none, also when they are cut.

import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, constants as zlib } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import type { EvidenceEvent, TlsEvent } from '../../src/evidence/event.js';
import { Anomalies } from '../../src/interpret/anomalies.js';
import { ResponsesCall } from '../../src/interpret/responses-call.js';
import { storedZstd } from '../support/content-encoder.js';
import { captureEnd, captureStart, exitEvent, Wire } from '../support/wire.js';
import {
  answer,
  completed,
  created,
  done,
  interpret,
  interpretOne,
  request,
  response,
  snapshot,
  sse,
  toolCall,
  usage,
} from './story.js';

const ms = (time: number): bigint => BigInt(time) * 1_000_000n;

const capture = (...events: EvidenceEvent[]): EvidenceEvent[] => [
  captureStart(ms(1)),
  ...events,
  exitEvent(ms(900), { exitCode: 0 }),
  captureEnd(ms(1000)),
];

/** Pieces of one connection at times 10, 20, 30 … */
const talk = (...pieces: ['>' | '<', string | Uint8Array][]): TlsEvent[] => {
  const wire = new Wire();
  return pieces.flatMap(([direction, bytes], index) =>
    wire.piece(direction === '>' ? 'send' : 'receive', bytes, ms(10 * (index + 1))),
  );
};

type Encode = (bytes: Buffer) => Buffer;
const flush = { finishFlush: zlib.Z_SYNC_FLUSH };

/** Encodings of a whole body, and of one that is cut behind what was flushed. */
const encodings: [name: string, coding: string, whole: Encode, cut: Encode][] = [
  ['gzip', 'gzip', gzipSync, (bytes) => gzipSync(bytes, flush)],
  ['deflate', 'deflate', deflateSync, (bytes) => deflateSync(bytes, flush)],
  ['deflate without its header', 'deflate', deflateRawSync, (bytes) => deflateRawSync(bytes, flush)],
  [
    'br',
    'br',
    brotliCompressSync,
    (bytes) => brotliCompressSync(bytes, { finishFlush: zlib.BROTLI_OPERATION_FLUSH }),
  ],
  ['zstd', 'zstd', storedZstd, storedZstd],
];

const chunked = (bytes: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]);

function encodedRequest(coding: string, encode: Encode): Buffer {
  const plain = request();
  const at = plain.indexOf('\r\n\r\n');
  const body = encode(Buffer.from(plain.slice(at + 4)));
  const head = plain.slice(0, at).replace(/content-length: \d+/, `content-length: ${body.length}`);
  return Buffer.concat([Buffer.from(`${head}\r\ncontent-encoding: ${coding}\r\n\r\n`), body]);
}

const encodedHead = (coding: string): string =>
  `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: ${coding}\r\nx-request-id: req_1\r\n` +
  'transfer-encoding: chunked\r\n\r\n';

const events = [created(), done(toolCall('c1')), done(answer('Grüße')), completed()];

describe.each(encodings)('%s', (_, coding, whole, cut) => {
  test('is told as if there were none', () => {
    const plain = interpretOne(capture(...talk(['>', request()], ['<', response(...events)])));
    const body = whole(Buffer.from(sse(...events)));
    const encodedResponse = Buffer.concat([
      Buffer.from(encodedHead(coding)),
      chunked(body),
      chunked(Buffer.alloc(0)),
    ]);
    const { told, result } = interpretOne(
      capture(...talk(['>', encodedRequest(coding, whole)], ['<', encodedResponse])),
    );
    expect(result.anomalies).toEqual([]);
    expect(snapshot(told.dir)).toEqual(snapshot(plain.told.dir));
  });

  test('cut by the death of its process, what had arrived is told when it arrived', () => {
    const body = cut(Buffer.from(sse(created(), done(toolCall('c1')))));
    const start = Buffer.concat([Buffer.from(encodedHead(coding)), chunked(body)]);
    const { told, result } = interpretOne([
      captureStart(ms(1)),
      ...talk(['>', request()], ['<', start], ['<', '40\r\n']),
      exitEvent(ms(900), { signal: 9 }),
      captureEnd(ms(1000)),
    ]);
    expect(result.anomalies).toEqual([]);
    const cancelled = told.the('inference_cancelled');
    expect(told.payload(cancelled.partial_response_payload)).toMatchObject({
      output_items: [toolCall('c1')],
    });
    const started = told.events.find(({ payload }) => payload.type === 'tool_call_started');
    expect(started?.wall_time_unix_ms).toBe(20);
  });

  test('with bytes missing, what came before them is told', () => {
    const parts = Buffer.from(encodedHead(coding));
    const first = chunked(cut(Buffer.from(sse(created(), done(toolCall('c1'))))));
    const wire = new Wire();
    const sent = wire.piece('send', request(), ms(10));
    const received = [
      ...wire.piece('receive', Buffer.concat([parts, first]), ms(20)),
      ...wire
        .piece('receive', chunked(Buffer.alloc(500)), ms(30))
        .map((event) => ({ ...event, data: new Uint8Array(), missing: event.data.length })),
      ...wire.piece('receive', chunked(Buffer.alloc(0)), ms(40)),
    ];
    const { told, result } = interpretOne(capture(...sent, ...received));
    expect(told.all('tool_call_started')).toHaveLength(1);
    expect(told.all('inference_completed')).toEqual([]);
    expect(result.anomalies.map(({ kind }) => kind)).toContain('incomplete-response');
  });
});

test('an error is told with what its server said', () => {
  const body = gzipSync(JSON.stringify({ error: { message: 'slow down' } }));
  const head = `HTTP/1.1 429 X\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: ${body.length}\r\n\r\n`;
  const { told } = interpretOne(
    capture(...talk(['>', request()], ['<', Buffer.concat([Buffer.from(head), body])])),
  );
  expect(told.the('inference_failed').error).toBe('HTTP 429: {"error":{"message":"slow down"}}');
});

test('a body that is made to grow is given up and counted', () => {
  const bomb = gzipSync(Buffer.alloc(32 * 1024 * 1024));
  const { result } = interpret(capture(...talk(['>', encodedRequest('gzip', () => bomb)])));
  expect(result.anomalies).toMatchObject([{ kind: 'body-over-limit', count: 1 }]);
  const answered = interpretOne(
    capture(
      ...talk(
        ['>', request()],
        ['<', encodedHead('gzip')],
        ['<', chunked(bomb)],
        ['<', chunked(Buffer.alloc(0))],
      ),
    ),
  );
  expect(answered.result.anomalies.map(({ kind }) => kind)).toEqual([
    'body-over-limit',
    'incomplete-response',
  ]);
});

test('an unknown coding is counted by its name', () => {
  const { result } = interpret(capture(...talk(['>', encodedRequest('compress', gzipSync)])));
  expect(result.anomalies).toMatchObject([
    { kind: 'undecoded-body', example: expect.stringContaining('request: compress, unknown-coding') },
  ]);
});

describe('a response of many megabytes', () => {
  const text = '"usage": {"input_tokens": 5, "output_tokens": 5}'.repeat(200_000);
  const many = [
    created(),
    done(answer(text, 'msg_1')),
    { ...completed(), response: { id: 'resp_1', output: [answer(text, 'msg_1')], usage: usage(7000, 70) } },
  ];

  test('is told to its end, and text that looks like usage is none', () => {
    const bytes = Buffer.from(sse(...many));
    expect(bytes.length).toBeGreaterThan(16 * 1024 * 1024);
    const head = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n';
    const { told, result } = interpretOne(
      capture(...talk(['>', request()], ['<', head], ['<', chunked(bytes)], ['<', chunked(Buffer.alloc(0))])),
    );
    expect(result.anomalies).toEqual([]);
    const payload = told.payload(told.the('inference_completed').response_payload);
    expect(payload.token_usage).toMatchObject({ input_tokens: 7000, output_tokens: 70, total_tokens: 7070 });
    expect(payload.output_items).toHaveLength(1);
  });

  test('cut before its usage, it has none', () => {
    const cutStream = sse(created(), done(answer(text, 'msg_1')));
    const head = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n';
    const { result } = interpret(
      capture(...talk(['>', request()], ['<', head], ['<', chunked(Buffer.from(cutStream)).subarray(0, -2)])),
    );
    expect(result.exchanges.map(({ call }) => call?.usage)).toEqual([undefined]);
  });
});

test('of a response that never ends, no more is kept than the limit', () => {
  const anomalies = new Anomalies();
  const ended: string[] = [];
  let items = 0;
  const sink = {
    requested: () => {},
    item: () => {
      items += 1;
    },
    ended: (_: ResponsesCall, { kind }: { kind: string }) => ended.push(kind),
  };
  const where = { pid: 1, connection: 1n, timeNs: 0n, transport: 'http' as const };
  const head = { method: 'POST', target: '/v1/responses', headers: [] };
  const call = new ResponsesCall(head, where, sink, anomalies, { itemChars: 1000 });
  call.requested(undefined, 0n);
  const event = JSON.stringify(done(answer('x'.repeat(300))));
  for (let count = 0; count < 10; count += 1) call.event(undefined, event, 0n);
  expect([items, ended, call.items]).toEqual([2, ['unknown'], []]);
  expect(anomalies.list().map(({ kind }) => kind)).toEqual(['body-over-limit', 'incomplete-response']);
});
