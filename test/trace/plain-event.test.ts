// The short way of reading events gives what the whole way gives, or nothing.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeEvent } from '../../src/trace/event-decoder.js';
import { decodePlainEvent } from '../../src/trace/plain-event.js';
import { latin1, recordedBundle, recordedBundles } from '../support/bundles.js';

const lines = recordedBundles
  .flatMap((name) => (recordedBundle(name).files['trace.jsonl'] ?? '').split(/(?<=\n)/))
  .map(latin1);

test('every line of every recording', () => {
  const read = lines.filter((line) => {
    const event = decodePlainEvent(line);
    if (event !== undefined) expect(event).toStrictEqual(decodeEvent(line, 2));
    return event !== undefined;
  });
  const types = new Set(read.map((line) => decodeEvent(line, 2).payload.type));
  expect([...types].sort()).toEqual([
    'history_item_accepted',
    'inference_completed',
    'inference_started',
    'tool_call_ended',
    'tool_call_runtime_ended',
    'tool_call_runtime_started',
    'tool_call_started',
  ]);
  expect(read.length).toBeGreaterThan(lines.length / 2);
});

const put = fc.constantFrom(
  ...[
    '',
    '"',
    '\\',
    '\\n',
    '\\u0041',
    '\\ud800',
    ' ',
    '0',
    '1',
    '.',
    '-',
    'e3',
    ',',
    '}',
    '{',
    'null',
    '\n',
    '\x00',
    '\xe9',
  ],
  ...['"type":"x",', '"seq":1,', '"item_id":"a",', '"path":"p"', '__proto__', '9007199254740993'],
);

test('lines that somebody changed', () => {
  const edit = fc.record({ at: fc.nat(700), cut: fc.nat(3), put });
  let read = 0;
  fc.assert(
    fc.property(fc.nat(lines.length - 1), fc.array(edit, { minLength: 1, maxLength: 2 }), (which, edits) => {
      let line = lines[which] ?? Buffer.alloc(0);
      for (const { at, cut, put: bytes } of edits) {
        const place = at % (line.length + 1);
        line = Buffer.concat([line.subarray(0, place), latin1(bytes), line.subarray(place + cut)]);
      }
      const event = decodePlainEvent(line);
      if (event === undefined) return;
      read++;
      expect(event).toStrictEqual(decodeEvent(line, 2));
    }),
    { numRuns: 5000 },
  );
  expect(read).toBeGreaterThan(100);
});
