import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SseDecoder, type SseEvent } from '../../src/protocol/sse.js';

const GAP = Symbol('gap');

function decode(pieces: readonly (Uint8Array | string | typeof GAP)[], limit?: number) {
  const events: SseEvent[] = [];
  const decoder = new SseDecoder((event) => events.push(event), limit);
  for (const piece of pieces) {
    if (piece === GAP) decoder.gap();
    else decoder.data(typeof piece === 'string' ? Buffer.from(piece) : piece);
  }
  decoder.finish();
  return { events, dropped: decoder.dropped };
}

const stream =
  '\uFEFF: comment\nevent: a\ndata: {"t":"grüße 🦀"}\n\nid: 7\r\ndata: one\r\ndata: two\r\n\r\nretry: 5\n\ndata\n\nevent: z\ndata: end\n\n';
const told = [
  { event: 'a', data: '{"t":"grüße 🦀"}' },
  { event: undefined, data: 'one\ntwo' },
  { event: undefined, data: '' },
  { event: 'z', data: 'end' },
];

test('a stream split at any byte, or into single bytes, tells the same', () => {
  const bytes = Buffer.from(stream);
  expect(decode([bytes]).events).toEqual(told);
  expect(decode([...bytes].map((byte) => Uint8Array.of(byte))).events).toEqual(told);
  for (let at = 0; at <= bytes.length; at++) {
    expect(decode([bytes.subarray(0, at), bytes.subarray(at)]).events).toEqual(told);
  }
});

test('an event that lacks only its blank line is told when the stream ends', () => {
  expect(decode(['data: a\n\nevent: b\ndata: c']).events).toEqual([
    { event: undefined, data: 'a' },
    { event: 'b', data: 'c' },
  ]);
});

test('a gap costs the event that it falls into, and no more', () => {
  expect(decode(['data: a\n\ndata: b', GAP, 'c\ndata: d\n\ndata: e\n\n']).events).toEqual([
    { event: undefined, data: 'a' },
    { event: undefined, data: 'e' },
  ]);
});

test('text behind a gap is never taken for a field, wherever the gap ends', () => {
  const quoted = 'data: {"text":"x\\ndata: {\\"type\\":\\"response.completed\\"}"}\n\ndata: next\n\n';
  for (let at = 1; at < quoted.indexOf('\n\n'); at++) {
    expect(decode(['data: a\n\n', GAP, quoted.slice(at)]).events).toEqual([
      { event: undefined, data: 'a' },
      { event: undefined, data: 'next' },
    ]);
  }
});

test('a gap inside a character leaves no damage behind', () => {
  const crab = Buffer.from('🦀');
  expect(decode(['data: ', crab.subarray(0, 2), GAP, crab.subarray(3), '\n\ndata: ü\n\n']).events).toEqual([
    { event: undefined, data: 'ü' },
  ]);
});

test('an event above the limit is dropped and counted; the one after it is told', () => {
  const { events, dropped } = decode(
    ['data: ', 'x'.repeat(60), 'x'.repeat(60), '\n', '\n', 'data: y\n\n'],
    100,
  );
  expect(events).toEqual([{ event: undefined, data: 'y' }]);
  expect(dropped).toBe(1);
});

test('any bytes in any pieces with any gaps: nothing throws', () => {
  const text = fc.constantFrom('data: a\n', '\n', '\r', 'event: b\n', ':\n', 'data', 'x'.repeat(30));
  const piece = fc.oneof(text, fc.uint8Array({ maxLength: 10 }), fc.constant(GAP));
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      decode(pieces, 50);
    }),
    { numRuns: 1000 },
  );
});
