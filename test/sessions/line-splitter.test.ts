import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Line, LineSplitter } from '../../src/sessions/line-splitter.js';

/** Splits `bytes` in pieces of `size`, out of one buffer that is overwritten each time. */
function split(bytes: Buffer, size: number, limit?: number) {
  const splitter = new LineSplitter(limit);
  const chunk = Buffer.alloc(size);
  const lines: Line[] = [];
  const keep = (line: Line) => lines.push({ ...line, bytes: line.bytes && Buffer.from(line.bytes) });
  for (let at = 0; at < bytes.length; at += size) {
    const length = bytes.copy(chunk, 0, at, at + size);
    for (const line of splitter.push(chunk.subarray(0, length))) keep(line);
    chunk.fill('!');
  }
  const last = splitter.end();
  if (last !== undefined) keep(last);
  return lines.map(({ bytes, ...line }) => ({ ...line, text: bytes?.toString() }));
}

describe('LineSplitter', () => {
  const text = '\ufefffirst\r\n\n{"separator":"\u2028"}\n\r\nlast';

  it('finds lines with number and place, split at every byte', () => {
    const bytes = Buffer.from(text);
    const expected = [
      { number: 1, place: 0, ended: true, text: 'first\r' },
      { number: 3, place: 11, ended: true, text: '{"separator":"\u2028"}' },
      { number: 5, place: 33, ended: false, text: 'last' },
    ];
    for (let size = 1; size <= bytes.length; size++) expect(split(bytes, size)).toEqual(expected);
  });

  it('leaves out a line beyond the limit and goes on behind it', () => {
    const bytes = Buffer.from('12345\n123456\n12345\n123456789');
    for (let size = 1; size <= bytes.length; size++) {
      expect(split(bytes, size, 5)).toEqual([
        { number: 1, place: 0, ended: true, text: '12345' },
        { number: 2, place: 6, ended: true, text: undefined },
        { number: 3, place: 13, ended: true, text: '12345' },
        { number: 4, place: 19, ended: false, text: undefined },
      ]);
    }
  });

  it('gives the same lines as splitting the whole text', () => {
    const line = fc
      .string({ unit: 'grapheme', maxLength: 12 })
      .filter((value) => !/[\n\r\ufeff]/.test(value));
    fc.assert(
      fc.property(fc.array(line), fc.integer({ min: 1, max: 20 }), (lines, size) => {
        const found = split(Buffer.from(lines.join('\n')), size);
        expect(found.map((item) => item.text)).toEqual(lines.filter((value) => value !== ''));
      }),
      { numRuns: 300 },
    );
  });
});
