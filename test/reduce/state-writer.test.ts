// The text of a state, and that it is on disk whole or not at all.

import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { entryText, prettyJson, writeTo, writeWhole } from '../../src/reduce/state-writer.js';
import { scratch } from '../support/bundles.js';

const { dir, remove } = scratch();
afterAll(remove);

test('is what JSON.stringify prints with two spaces', () => {
  fc.assert(
    fc.property(
      fc.jsonValue({ stringUnit: 'grapheme', noNumericKeys: true } as fc.JsonSharedConstraints),
      (value) => {
        // JSON.stringify turns -0 into 0; no count or time is negative zero.
        fc.pre(!JSON.stringify(value, (_, inner) => (Object.is(inner, -0) ? '-0' : inner)).includes('"-0"'));
        expect(prettyJson(value)).toBe(JSON.stringify(value, null, 2));
      },
    ),
  );
});

test('integers beyond 2^53 are exact, undefined members absent', () => {
  expect(prettyJson({ big: 9007199254740993n, none: undefined, empty: [], object: {} })).toBe(
    '{\n  "big": 9007199254740993,\n  "empty": [],\n  "object": {}\n}',
  );
});

test('an entry of a map is the same text on both ways', () => {
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      fc.constantFrom(null, undefined, true, 0, -1, 2 ** 53 - 1, 9007199254740993n),
      fc.string({ unit: 'grapheme' }),
      fc.array(
        tie('any').filter((item) => item !== undefined),
        { maxLength: 3 },
      ),
      fc.dictionary(fc.constantFrom('type', 'text', 'ü', '"'), tie('any')),
    ),
  })).any;
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom('a', 'b', 'c'), value), (entry) => {
      expect(entryText(entry)).toBe(prettyJson(entry, '    '));
    }),
  );
});

test('a file appears whole: many pieces, one file, private', async () => {
  const path = join(dir, 'whole.json');
  const pieces = Array.from({ length: 5000 }, (_, index) => `${index} ${'x'.repeat(500)}\n`);
  await writeWhole(path, pieces);
  expect(readFileSync(path, 'utf8')).toBe(pieces.join(''));
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readdirSync(dir)).toEqual(['whole.json']);
});

test('characters of any length and pieces of any length arrive as they are, also where blocks meet', async () => {
  const path = join(dir, 'long.json');
  const piece = 'aü€😀'.repeat(1000);
  const pieces = [
    '',
    'x'.repeat(3 * 1024 * 1024),
    ...Array.from({ length: 200 }, (_, index) => index + piece),
    '',
    '€'.repeat(400_000),
  ];
  await writeWhole(path, pieces);
  const expected = pieces.join('');
  expect(readFileSync(path, 'utf8') === expected).toBe(true);
  rmSync(path);
  const written: Buffer[] = [];
  const slow = new Writable({
    highWaterMark: 1,
    write(chunk: Buffer, _encoding, done) {
      written.push(chunk);
      setImmediate(done);
    },
  });
  await writeTo(slow, pieces);
  await finished(slow.end());
  expect(Buffer.concat(written).toString('utf8') === expected).toBe(true);
});

test('what fails half-way leaves the old file and no other', async () => {
  const path = join(dir, 'whole.json');
  const before = readFileSync(path, 'utf8');
  function* failing(): Generator<string> {
    yield 'x'.repeat(3_000_000);
    throw new Error('no more');
  }
  await expect(writeWhole(path, failing())).rejects.toThrow(/cannot write/);
  expect(readFileSync(path, 'utf8')).toBe(before);
  expect(readdirSync(dir)).toEqual(['whole.json']);
});
