import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ZSTD_LIMITS, ZstdStream } from '../../src/protocol/zstd-stream.js';
import { FIXTURES, recorded } from '../sessions/rollouts.js';

const DIRECTORY = join(FIXTURES, 'compressed/archived_sessions');
const compressed = readdirSync(DIRECTORY).sort();
const plainOf: Record<string, string> = Object.fromEntries(
  [...recorded('0.142.0/exec'), ...recorded('0.169.0/exec')].map((path) => [
    `${path.slice(path.lastIndexOf('/') + 1)}.zst`,
    readFileSync(path, 'utf8'),
  ]),
);

function decompress(bytes: Uint8Array, size = bytes.length): { text: string; problem: string | undefined } {
  const parts: Buffer[] = [];
  const stream = new ZstdStream((part) => parts.push(Buffer.from(part)));
  const piece = Buffer.alloc(Math.max(size, 1));
  for (let at = 0; at < bytes.length; at += size) {
    const part = bytes.subarray(at, at + size);
    piece.set(part);
    if (!stream.push(piece.subarray(0, part.length))) break;
    piece.fill(0xff);
  }
  if (stream.problem === undefined) stream.push(new Uint8Array());
  return { text: Buffer.concat(parts).toString(), problem: stream.problem };
}

describe('ZstdStream', () => {
  it.each(compressed)('gives back what was compressed, split anywhere: %s', (name) => {
    const bytes = readFileSync(join(DIRECTORY, name));
    const whole = { text: plainOf[name], problem: undefined };
    expect(decompress(bytes)).toEqual(whole);
    for (const size of [1, 2, 3, 7, 17, 18, 19, 100, 1000]) expect(decompress(bytes, size)).toEqual(whole);
    const twice = Buffer.concat([bytes, bytes]);
    expect(decompress(twice, 5)).toEqual({ text: `${plainOf[name]}${plainOf[name]}`, problem: undefined });
  });

  it('gives back a frame of many blocks', () => {
    const bytes = readFileSync(join(FIXTURES, 'compressed/repeated-140-times.zst'));
    const [, name = ''] = compressed;
    for (const size of [bytes.length, 100, 3]) {
      const { text, problem } = decompress(bytes, size);
      expect(problem).toBeUndefined();
      expect(text === plainOf[name]?.repeat(140)).toBe(true);
    }
  });

  it('says where a file ends early, and gives what came before', () => {
    const [name = ''] = compressed;
    const bytes = readFileSync(join(DIRECTORY, name));
    for (let length = 1; length < bytes.length; length += 11) {
      const { text, problem } = decompress(bytes.subarray(0, length));
      expect(problem).toBe('ends inside a frame');
      expect(plainOf[name]?.startsWith(text.replace(/\ufffd+$/, ''))).toBe(true);
    }
  });

  it('refuses a window that would take more memory than the limit, in whichever frame it comes', () => {
    const descriptor = (exponent: number) => Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, exponent << 3]);
    const frame = (exponent: number) => Buffer.concat([descriptor(exponent), Buffer.alloc(30)]);
    expect(2 ** (10 + 15)).toBe(ZSTD_LIMITS.windowBytes);
    expect(decompress(frame(15)).problem).not.toMatch(/window/);
    expect(decompress(frame(16)).problem).toMatch(/needs a window of 67108864 bytes/);
    const first = readFileSync(join(DIRECTORY, compressed[0] ?? ''));
    expect(decompress(Buffer.concat([first, frame(20)]), 3).problem).toMatch(/needs a window/);
    const single = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 1, 0, 0, 0]);
    expect(decompress(Buffer.concat([single, Buffer.alloc(30)])).problem).toMatch(/4294967296/);
  });

  it('follows blocks of every kind to the next frame', () => {
    const block = (kind: number, size: number, isLast: boolean) => {
      const header = Buffer.alloc(3);
      header.writeUIntLE((size << 3) | (kind << 1) | Number(isLast), 0, 3);
      return header;
    };
    const start = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x00]);
    const skippable = Buffer.concat([Buffer.from([0x5a, 0x2a, 0x4d, 0x18, 4, 0, 0, 0]), Buffer.alloc(4)]);
    const frame = [start, block(1, 100, false), Buffer.from('a'), block(0, 5, true), Buffer.from('bytes')];
    const bytes = Buffer.concat([skippable, ...frame, ...frame]);
    const text = `${'a'.repeat(100)}bytes`;
    expect(decompress(bytes)).toEqual({ text: text + text, problem: undefined });
    const large = Buffer.concat([
      bytes,
      Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 20 << 3]),
      Buffer.alloc(30),
    ]);
    for (const size of [1, 4, large.length])
      expect(decompress(large, size).problem).toMatch(/needs a window/);
  });

  it('survives any mutation', () => {
    const original = readFileSync(join(DIRECTORY, compressed[0] ?? ''));
    fc.assert(
      fc.property(
        fc.nat(),
        fc.uint8Array({ minLength: 1, maxLength: 8 }),
        fc.nat(100),
        (at, insert, remove) => {
          const start = at % original.length;
          const bytes = Buffer.concat([
            original.subarray(0, start),
            insert,
            original.subarray(start + remove),
          ]);
          expect(decompress(bytes, 64).text.length).toBeLessThan(50_000_000);
        },
      ),
      { numRuns: 300 },
    );
  });
});
