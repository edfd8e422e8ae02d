// Connections that change their keys while they last: rustls goes on in another AEAD context, which nothing names.

import { expect, test } from 'vitest';
import type { EvidenceEvent } from '../../src/evidence/event.js';
import { captureEnd, captureStart, exitEvent, Records, socketEvent } from '../support/wire.js';
import {
  answer,
  chunk,
  completed,
  created,
  done,
  interpret,
  request,
  response,
  sse,
  streamHead,
} from './story.js';

const HANDSHAKE = 22;
const ALERT = 21;
const FINISHED = [20, 0, 0, 2, 1, 1];
const KEY_UPDATE = [24, 0, 0, 1, 0];
const CLOSE_NOTIFY = [1, 0];

type Said = [context: Records, content: string | number[], type?: number];

const timeOf = (index: number) => BigInt(index + 1) * 10_000_000n;
const said = (...parts: Said[]): EvidenceEvent[] =>
  parts.flatMap(([context, content, type], index) =>
    context.content(Buffer.from(content as string), timeOf(index), type),
  );

function told(events: readonly EvidenceEvent[]) {
  const last = timeOf(events.length + 1);
  const { anomalies, exchanges } = interpret([
    captureStart(1n),
    ...events,
    exitEvent(last),
    captureEnd(last),
  ]).result;
  return {
    anomalies: anomalies.map(({ kind }) => kind),
    calls: exchanges.map(({ call }) => `${call?.turnId} ${call?.responseId} ${call?.outcome}`),
  };
}

/** Where a connection speaks before its keys change, and where after that. */
const client = (context: number) => new Records(context, 'send');
const server = (context: number) => new Records(context, 'receive');
const halves = (text: string): [string, string] => [text.slice(0, 99), text.slice(99)];

const [asked, askedMore] = halves(request({ inferenceCallId: 'call-1', turnId: 'turn-1' }));
const answered = streamHead + chunk(sse(created()));
const answeredMore = `${chunk(sse(done(answer('ok')), completed()))}0\r\n\r\n`;
const OTHER = '01a1f929-0000-7000-8000-000000000002';
const other = request({ inferenceCallId: 'call-2', turnId: 'turn-2', threadId: OTHER });
const otherAnswer = response(created('resp_2'), completed('resp_2'));

test('a request and its answer are read on, however often', () => {
  const [c1, c2, c3, s1, s2] = [client(1), client(2), client(3), server(11), server(12)];
  const events = said(
    [c1, asked],
    [c1, KEY_UPDATE, HANDSHAKE],
    [c2, KEY_UPDATE, HANDSHAKE],
    [c3, askedMore],
    [s1, answered],
    [s1, KEY_UPDATE, HANDSHAKE],
    [s2, answeredMore],
    [c3, other],
    [s2, otherAnswer],
    [s2, CLOSE_NOTIFY, ALERT],
  );
  expect(told(events)).toEqual({
    anomalies: [],
    calls: ['turn-1 resp_1 completed', 'turn-2 resp_2 completed'],
  });
});

test('a connection that is made meanwhile has contexts of its own, also where the old ones were, which is counted', () => {
  const [c1, c2, s1, s2] = [client(1), client(2), server(11), server(12)];
  const events = said(
    [c1, asked],
    [c1, KEY_UPDATE, HANDSHAKE],
    [server(13), FINISHED, HANDSHAKE],
    [client(3), FINISHED, HANDSHAKE],
    [c1, other],
    [s1, otherAnswer],
    [s1, CLOSE_NOTIFY, ALERT],
    [c2, askedMore],
    [s2, answered],
    [s2, KEY_UPDATE, HANDSHAKE],
    [server(14), answeredMore],
  );
  expect(told(events)).toEqual({
    anomalies: ['inferred-pairing'],
    calls: ['turn-2 resp_2 completed', 'turn-1 resp_1 completed'],
  });
});

test('of two connections the first goes on first, which is counted', () => {
  const [c1, c2] = [client(1), client(2)];
  const [otherAsked, otherAskedMore] = halves(other);
  const events = said(
    [c1, asked],
    [c2, otherAsked],
    [c1, KEY_UPDATE, HANDSHAKE],
    [c2, KEY_UPDATE, HANDSHAKE],
    [client(3), askedMore],
    [client(4), otherAskedMore],
    [server(11), response(created(), completed())],
    [server(12), otherAnswer],
  );
  expect(told(events)).toEqual({
    anomalies: ['inferred-pairing'],
    calls: ['turn-1 resp_1 completed', 'turn-2 resp_2 completed'],
  });
});

test('what ends before it goes on has ended there', () => {
  const [c1, s1] = [client(1), server(11)];
  const events = said([c1, asked + askedMore], [s1, answered], [s1, KEY_UPDATE, HANDSHAKE]);
  const end = { operation: 'close', carries: 11n, connection: 99n, endedBy: 'there' } as const;
  expect(told([...events, socketEvent(timeOf(3), { ...end, endedNs: timeOf(3) })])).toEqual({
    anomalies: [],
    calls: ['turn-1 resp_1 failed'],
  });
});

test('what closes after it has gone on was closed', () => {
  const [c1, s1] = [client(1), server(11)];
  const events = said(
    [c1, asked + askedMore],
    [s1, answered],
    [s1, KEY_UPDATE, HANDSHAKE],
    [server(12), CLOSE_NOTIFY, ALERT],
  );
  expect(told(events)).toEqual({ anomalies: [], calls: ['turn-1 resp_1 failed'] });
});
