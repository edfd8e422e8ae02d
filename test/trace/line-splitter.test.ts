// Lines from chunks: the same lines however the bytes arrive.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LineSplitter, LineTooLongError } from '../../src/trace/line-splitter.js';
import { latin1, recordedBundle } from '../support/bundles.js';

type Line = [text: string, number: number, terminated: boolean];

function split(chunks: Iterable<Uint8Array>, limit = 1 << 20): Line[] {
  const lines: Line[] = [];
  const splitter = new LineSplitter((line, number, terminated) => {
    lines.push([Buffer.from(line).toString('latin1'), number, terminated]);
  }, limit);
  for (const chunk of chunks) {
    // The caller reuses its buffer.
    const reused = Buffer.from(chunk);
    splitter.push(reused);
    reused.fill(0);
  }
  splitter.end();
  return lines;
}

test('a recorded log gives the same lines when it is cut in two at any byte', () => {
  const log = latin1(recordedBundle('plain').files['trace.jsonl'] ?? '');
  const whole = split([log]);
  expect(whole.length).toBe(17);
  for (let at = 0; at <= log.length; at++) {
    expect(split([log.subarray(0, at), log.subarray(at)])).toEqual(whole);
  }
});

test('and when every byte comes alone', () => {
  const log = latin1(recordedBundle('plain').files['trace.jsonl'] ?? '');
  expect(split(Array.from(log, (byte) => Uint8Array.of(byte)))).toEqual(split([log]));
});

test('any bytes in any chunks come back whole', () => {
  const chunks = fc.array(
    fc
      .array(fc.constantFrom(10, 13, 65, 0, 226, 128, 168), { maxLength: 8 })
      .map((bytes) => Uint8Array.from(bytes)),
  );
  fc.assert(
    fc.property(chunks, (pieces) => {
      const lines = split(pieces);
      expect(lines.map(([text]) => text).join('')).toBe(Buffer.concat(pieces).toString('latin1'));
      expect(lines.map(([, number]) => number)).toEqual(lines.map((_, index) => index + 1));
      for (const [text, , terminated] of lines) {
        expect(text.indexOf('\n')).toBe(terminated ? text.length - 1 : -1);
        expect(text).not.toBe('');
      }
    }),
  );
});

test('only a newline ends a line', () => {
  expect(split([Buffer.from('a\u2028b\r\nc')])).toEqual([
    [Buffer.from('a\u2028b\r\n').toString('latin1'), 1, true],
    ['c', 2, false],
  ]);
});

test('a line beyond the limit is refused, in one chunk or in many', () => {
  const line = Buffer.from(`${'x'.repeat(10)}\n`);
  expect(split([line], 11)).toEqual([[`${'x'.repeat(10)}\n`, 1, true]]);
  expect(() => split([Buffer.from('\n'), line], 10)).toThrow(LineTooLongError);
  expect(() =>
    split(
      Array.from(line, (byte) => Uint8Array.of(byte)),
      10,
    ),
  ).toThrow(/line 1 is longer than 10 bytes/);
});
