import fc from 'fast-check';
import { expect, test } from 'vitest';
import { wellFormed } from '../../src/interpret/json.js';
import { parseJson } from '../../src/trace/json-parser.js';

test('escaped halves of a character become U+FFFD, whole characters and words that look like escapes stay', () => {
  const text = String.raw`"\ud83d \ud83d\ude00 \\ud83d \\\ud83d \udE00\ud83D \uD83Dx \u0041"`;
  expect(wellFormed(text)).toBe(
    String.raw`"\ufffd \ud83d\ude00 \\ud83d \\\ufffd \ufffd\ufffd \ufffdx \u0041"`,
  );
});

/** As Node writes a text to a file. */
const whole = (text: string): string => Buffer.from(text).toString();

test('whatever JSON JavaScript writes can be read by a strict reader then, and says the same elsewhere', () => {
  const texts = fc.string({ unit: fc.constantFrom('\ud83d', '\ude00', '\\', 'u', 'd83d', '"', 'é') });
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: 'binary' }), texts, texts, (value, key, text) => {
      const written = wellFormed(JSON.stringify({ value, [key]: text }));
      parseJson(Buffer.from(written));
      expect(JSON.parse(written)).toMatchObject({ [whole(key)]: whole(text) });
    }),
  );
});
