import { brotliCompressSync, constants, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CODING_LIMITS, ContentDecoder, ContentDecoders } from '../../src/protocol/content-decoder.js';
import { storedZstd } from '../support/content-encoder.js';

type Encode = (bytes: Buffer) => Buffer;

const codings: [name: string, coding: string, encode: Encode][] = [
  ['gzip', 'gzip', gzipSync],
  ['x-gzip', 'x-gzip', gzipSync],
  ['deflate', 'deflate', deflateSync],
  ['deflate without its header', 'deflate', deflateRawSync],
  ['br', 'br', brotliCompressSync],
  ['zstd', 'zstd', storedZstd],
];

function decode(
  coding: readonly string[],
  pieces: readonly Uint8Array[],
  limits: Partial<Record<keyof typeof CODING_LIMITS, number>> = {},
) {
  const parts: Buffer[] = [];
  const output = (bytes: Uint8Array) => parts.push(Buffer.from(bytes));
  const decoder = new ContentDecoder(coding, output, { ...CODING_LIMITS, ...limits });
  for (const piece of pieces) {
    const reused = Buffer.from(piece);
    decoder.data(reused);
    reused.fill(0xff);
  }
  decoder.finish();
  return { text: Buffer.concat(parts).toString('latin1'), problem: decoder.problem };
}

const split = (bytes: Uint8Array, size: number): Uint8Array[] =>
  Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
    bytes.subarray(index * size, (index + 1) * size),
  );

/** Bytes that do not compress to nothing. */
const text = Array.from({ length: 400 }, (_, line) => `${line}: ${(line * 2654435761) % 4294967296}\n`).join(
  '',
);

describe.each(codings)('%s', (_, coding, encode) => {
  const encoded = encode(Buffer.from(text));

  test('split at every byte, the body is the same', () => {
    const whole = { text, problem: undefined };
    expect(decode([coding], [encoded])).toEqual(whole);
    expect(decode([coding], split(encoded, 1))).toEqual(whole);
    for (let at = 0; at < encoded.length; at += 1 + Math.floor(encoded.length / 50)) {
      expect(decode([coding], [encoded.subarray(0, at), encoded.subarray(at)])).toEqual(whole);
    }
  });

  test('an empty body is one, encoded or not', () => {
    expect(decode([coding], [])).toEqual({ text: '', problem: undefined });
    expect(decode([coding], [encode(Buffer.alloc(0))])).toEqual({ text: '', problem: undefined });
  });

  test('a body that is cut gives what had come', () => {
    const cut = decode([coding], [encoded.subarray(0, encoded.length - 5)]);
    expect(cut.problem).toBe('cut');
    expect(text.startsWith(cut.text)).toBe(true);
  });

  test('anything else is decoded or refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(encoded.length), (noise, at) => {
        decode([coding], [noise]);
        const { text: told } = decode([coding], [encoded.subarray(0, at), noise, encoded.subarray(at)]);
        expect(told.length).toBeLessThan(10_000_000);
      }),
      { numRuns: 50 },
    );
  });
});

test('what a server has flushed is there before the body goes on', () => {
  const flushed: [string, Buffer][] = [
    ['gzip', gzipSync(text, { finishFlush: constants.Z_SYNC_FLUSH })],
    ['deflate', deflateSync(text, { finishFlush: constants.Z_SYNC_FLUSH })],
    ['br', brotliCompressSync(text, { finishFlush: constants.BROTLI_OPERATION_FLUSH })],
    ['zstd', storedZstd(Buffer.from(text))],
  ];
  for (const [coding, bytes] of flushed) {
    let told = '';
    const decoder = new ContentDecoder([coding], (part) => {
      told += Buffer.from(part).toString('latin1');
    });
    decoder.data(bytes);
    expect([coding, told === text]).toEqual([coding, true]);
  }
});

test('several members or frames are one body', () => {
  for (const [coding, encode] of [['gzip', gzipSync] as const, ['zstd', storedZstd] as const]) {
    const two = Buffer.concat([encode(Buffer.from('one ')), encode(Buffer.from('two'))]);
    expect(decode([coding], [two])).toEqual({ text: 'one two', problem: undefined });
    expect(decode([coding], split(two, 1))).toEqual({ text: 'one two', problem: undefined });
  }
});

test('codings on top of each other are undone in turn', () => {
  const twice = gzipSync(brotliCompressSync(text));
  expect(decode(['br', 'gzip'], split(twice, 7))).toEqual({ text, problem: undefined });
  expect(decode([], [Buffer.from(text, 'latin1')])).toEqual({ text, problem: undefined });
});

test('what cannot be undone says so', () => {
  expect(decode(['compress'], [Buffer.from('?')])).toEqual({ text: '', problem: 'unknown-coding' });
  expect(decode(['gzip', 'gzip', 'gzip', 'gzip', 'gzip'], []).problem).toBe('over-limit');
  expect(decode(['gzip'], [Buffer.from('no gzip at all')]).problem).toBe('malformed');
  const parts: string[] = [];
  const decoder = new ContentDecoder(['gzip'], (bytes) => parts.push(Buffer.from(bytes).toString()));
  decoder.gap();
  decoder.data(gzipSync('later'));
  decoder.finish();
  expect([parts, decoder.problem]).toEqual([[], 'gap']);
});

describe('bodies that are made to grow', () => {
  /** A gigabyte of zeros in a few bytes. */
  const zeros = Buffer.alloc(64 * 1024 * 1024);
  const runLength = Buffer.concat([
    Buffer.from('28b52ffd0058', 'hex'),
    ...Array.from({ length: 8192 }, () => Buffer.from([0x02, 0x00, 0x10, 0x00])),
  ]);

  test.each<[string, Buffer]>([
    ['gzip', gzipSync(zeros)],
    ['br', brotliCompressSync(zeros, { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } })],
    ['zstd', runLength],
  ])('%s is given up at the ratio', (coding, bomb) => {
    let given = 0;
    const decoder = new ContentDecoder([coding], (bytes) => {
      given += bytes.length;
    });
    decoder.data(bomb);
    decoder.finish();
    expect(decoder.problem).toBe('over-limit');
    expect(given).toBeLessThanOrEqual(CODING_LIMITS.ratioFromBytes);
  });

  test('of too many at once, the one that has waited longest is given up', () => {
    const decoders = new ContentDecoders({ ...CODING_LIMITS, open: 2 });
    const encoded = gzipSync(text);
    const half = encoded.length / 2;
    const told = ['', '', ''];
    const open = (index: number) =>
      decoders.open(['gzip'], (bytes) => {
        told[index] += Buffer.from(bytes).toString('latin1');
      });
    const [first, second] = [open(0), open(1)];
    first.data(encoded.subarray(0, half));
    decoders.used(first);
    const third = open(2);
    for (const decoder of [second, third]) decoder.data(encoded);
    first.data(encoded.subarray(half));
    expect([first.problem, second.problem, third.problem]).toEqual([undefined, 'over-limit', undefined]);
    expect(told).toEqual([text, '', text]);
    // A body without a coding needs no memory.
    decoders.open([], () => {});
    decoders.closed(third);
    open(1);
    expect([first.problem, third.problem]).toEqual([undefined, undefined]);
  });

  test('any is given up at the limit', () => {
    const encoded = gzipSync(text);
    expect(decode(['gzip'], [encoded], { outputBytes: text.length })).toEqual({ text, problem: undefined });
    expect(decode(['gzip'], [encoded], { outputBytes: text.length - 1 }).problem).toBe('over-limit');
  });
});
