import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crc32c } from '../../src/evidence/crc32c.js';
import {
  encodeFrame,
  FrameScanner,
  MAX_PAYLOAD_BYTES,
  type ScanItem,
  wholeFrames,
} from '../../src/evidence/frame.js';

const payload = fc.uint8Array({ minLength: 1, maxLength: 60 });
const payloads = fc.array(payload, { maxLength: 8 });

/** Scans `bytes` in pieces of the given sizes (repeated), out of one Buffer that is overwritten each time. */
function scan(bytes: Uint8Array, sizes: readonly number[]): ScanItem[] {
  const scanner = new FrameScanner();
  const chunk = Buffer.alloc(Math.max(...sizes));
  const items: ScanItem[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = Math.min(sizes[turn % sizes.length] ?? 1, bytes.length - at);
    chunk.fill(0xff).set(bytes.subarray(at, at + size));
    for (const item of scanner.push(chunk.subarray(0, size))) items.push(owned(item));
    at += size;
  }
  const torn = scanner.end();
  return torn === undefined ? items : [...items, torn];
}

function owned(item: ScanItem): ScanItem {
  if (item.kind === 'frame')
    return { ...item, raw: new Uint8Array(item.raw), payload: new Uint8Array(item.payload) };
  return item.kind === 'bad-crc' ? { ...item, raw: new Uint8Array(item.raw) } : item;
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

describe('crc32c', () => {
  it.each([
    ['32 zeros', new Uint8Array(32), 0x8a9136aa],
    ['32 ones', new Uint8Array(32).fill(0xff), 0x62a8ab43],
    ['0 to 31', Uint8Array.from({ length: 32 }, (_, index) => index), 0x46dd794e],
    ['the check value', Buffer.from('123456789'), 0xe3069283],
    ['nothing', new Uint8Array(), 0],
  ])('gives the published value for %s (RFC 3720 B.4)', (_, bytes, expected) => {
    expect(crc32c(bytes)).toBe(expected);
  });

  it('equals the bit-by-bit definition at every alignment', () => {
    const slow = (bytes: Uint8Array) => {
      let crc = -1;
      for (const byte of bytes) {
        crc ^= byte;
        for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
      }
      return ~crc >>> 0;
    };
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat({ max: 9 }), (bytes, start) => {
        const from = Math.min(start, bytes.length);
        expect(crc32c(bytes, from)).toBe(slow(bytes.subarray(from)));
      }),
    );
  });
});

describe('FrameScanner', () => {
  it('finds the same frames however the bytes arrive', () => {
    fc.assert(
      fc.property(payloads, fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }), (all, sizes) => {
        const items = scan(join(all.map(encodeFrame)), sizes);
        expect(items.map((item) => item.kind === 'frame' && item.payload)).toEqual(all);
      }),
      { numRuns: 500 },
    );
  });

  it('finds the same frames split at every byte', () => {
    const bytes = join(['a', 'second', 'the third frame'].map((text) => encodeFrame(Buffer.from(text))));
    const whole = scan(bytes, [bytes.length]);
    expect(whole.map(({ place }) => place)).toEqual([0, 9, 23]);
    for (let cut = 1; cut < bytes.length; cut++) expect(scan(bytes, [cut, bytes.length])).toEqual(whole);
    expect(scan(bytes, [1])).toEqual(whole);
  });

  it('keeps every whole frame of a segment cut at any byte and tells what is missing', () => {
    const frames = ['one', 'two', 'three'].map((text) => encodeFrame(Buffer.from(text)));
    const bytes = join(frames);
    const borders = [0, 11, 22, 35];
    for (let cut = 0; cut <= bytes.length; cut++) {
      const items = scan(bytes.subarray(0, cut), [7]);
      const whole = borders.filter((border) => border > 0 && border <= cut).length;
      const border = borders[whole] ?? 0;
      expect(items.slice(0, whole).map(({ kind }) => kind)).toEqual(Array(whole).fill('frame'));
      if (cut === border) expect(items).toHaveLength(whole);
      else {
        // Before the header is whole, only the rest of the header is known to be missing.
        const next = borders[whole + 1] ?? 0;
        const missing = cut - border < 8 ? border + 8 - cut : next - cut;
        expect(items[whole]).toEqual({ kind: 'torn', place: border, missing });
      }
      expect(wholeFrames(bytes, cut)).toEqual({ bytes: border, frames: whole });
    }
  });

  it('skips a frame with a wrong checksum and goes on behind it', () => {
    const frames = ['one', 'two', 'three'].map((text) => encodeFrame(Buffer.from(text)));
    frames[1]?.fill(0x21, 10);
    const items = scan(join(frames), [5]);
    expect(items.map(({ kind, place }) => [kind, place])).toEqual([
      ['frame', 0],
      ['bad-crc', 11],
      ['frame', 22],
    ]);
  });

  it.each([
    ['zeros that a lost write left behind', 0],
    ['a length beyond the limit', MAX_PAYLOAD_BYTES + 1],
  ])('gives up at %s and names the place', (_, length) => {
    const bad = Buffer.alloc(64);
    bad.writeUInt32LE(length);
    const items = scan(join([encodeFrame(Buffer.from('one')), bad, encodeFrame(Buffer.from('two'))]), [9]);
    expect(items.slice(1)).toEqual([{ kind: 'bad-length', place: 11, length }]);
  });

  it('takes a payload of the largest size and refuses a larger or an empty one', () => {
    const largest = new Uint8Array(MAX_PAYLOAD_BYTES);
    expect(scan(encodeFrame(largest), [1 << 20])).toMatchObject([{ kind: 'frame', place: 0 }]);
    expect(() => encodeFrame(new Uint8Array(MAX_PAYLOAD_BYTES + 1))).toThrow(RangeError);
    expect(() => encodeFrame(new Uint8Array())).toThrow(RangeError);
  });

  it('accounts for every byte of a damaged segment, in order', () => {
    fc.assert(
      fc.property(
        payloads,
        fc.nat(),
        fc.nat({ max: 255 }),
        fc.integer({ min: 1, max: 40 }),
        (all, position, value, size) => {
          const bytes = join(all.map(encodeFrame));
          if (bytes.length > 0) bytes[position % bytes.length] = value;
          let place = 0;
          for (const item of scan(bytes, [size])) {
            expect(item.place).toBe(place);
            if (item.kind === 'frame' || item.kind === 'bad-crc') place += item.raw.length;
            else place = bytes.length;
          }
          expect(place).toBe(bytes.length);
        },
      ),
      { numRuns: 1000 },
    );
  });
});
