import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteStream } from '../../src/protocol/byte-stream.js';

/** What the sink got: bytes as they are, unknown ones as undefined. */
function collect(feed: (stream: ByteStream) => void): { stream: ByteStream; seen: (number | undefined)[] } {
  const seen: (number | undefined)[] = [];
  const stream = new ByteStream({
    data: (bytes) => seen.push(...bytes),
    gap: (length) => seen.push(...Array<undefined>(length).fill(undefined)),
  });
  feed(stream);
  return { stream, seen };
}

test('bytes in order pass through', () => {
  const { seen } = collect((stream) => {
    stream.push(0, Uint8Array.of(1, 2));
    stream.push(2, Uint8Array.of(3));
  });
  expect(seen).toEqual([1, 2, 3]);
});

test('an offset ahead is a gap of exactly the bytes between', () => {
  const { stream, seen } = collect((stream) => {
    stream.push(0, Uint8Array.of(1));
    stream.push(4, Uint8Array.of(5));
  });
  expect(seen).toEqual([1, undefined, undefined, undefined, 5]);
  expect([stream.gaps, stream.gapBytes]).toEqual([1, 3]);
});

test('bytes that the capture left out are a gap, and so is a loss before the first piece', () => {
  const { stream, seen } = collect((stream) => {
    stream.push(1, Uint8Array.of(2));
    stream.missing(2, 2);
    stream.push(4, Uint8Array.of(5));
  });
  expect(seen).toEqual([undefined, 2, undefined, undefined, 5]);
  expect([stream.gaps, stream.gapBytes]).toEqual([2, 3]);
});

test('bytes that come again are dropped and counted', () => {
  const { stream, seen } = collect((stream) => {
    stream.push(0, Uint8Array.of(1, 2, 3));
    stream.push(1, Uint8Array.of(2, 3, 4));
    stream.push(0, Uint8Array.of(1));
    stream.missing(2, 1);
  });
  expect(seen).toEqual([1, 2, 3, 4]);
  expect(stream.repeatedBytes).toBe(4);
});

test('whatever pieces arrive, no byte is ever put at another offset', () => {
  const piece = fc.record({ offset: fc.nat(40), length: fc.nat(20), known: fc.boolean() });
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
      const { seen } = collect((stream) => {
        for (const { offset, length, known } of pieces) {
          if (known)
            stream.push(
              offset,
              Uint8Array.from({ length }, (_, index) => offset + index),
            );
          else stream.missing(offset, length);
        }
      });
      for (const [index, byte] of seen.entries()) expect([undefined, index]).toContain(byte);
      const ends = pieces.filter(({ length }) => length > 0).map(({ offset, length }) => offset + length);
      expect(seen.length).toBe(Math.max(0, ...pieces.map(({ offset }) => offset), ...ends));
    }),
  );
});
