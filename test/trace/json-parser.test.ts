// The JSON reader: what it keeps, what it refuses and where. The messages and places are serde_json's, taken
// down from `codex debug trace-reduce` 0.169.0 reading the same bytes.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkJson, MAX_JSON_DEPTH, parseJson, parseJsonMembers } from '../../src/trace/json-parser.js';
import { JsonSyntaxError } from '../../src/trace/json-scanner.js';
import {
  asInteger,
  compactJson,
  compareUtf8,
  type Json,
  JsonNumber,
  member,
  sortByUtf8,
  sortedJson,
} from '../../src/trace/json-value.js';

function fault(text: string | Buffer, read: (bytes: Buffer) => unknown = parseJson): string {
  try {
    read(typeof text === 'string' ? Buffer.from(text, 'latin1') : text);
  } catch (error) {
    if (error instanceof JsonSyntaxError) return error.message;
    throw error;
  }
  return 'none';
}

const refused: [text: string, message: string][] = [
  ['', 'EOF while parsing a value at line 1 column 0'],
  [' \t\r\n', 'EOF while parsing a value at line 2 column 0'],
  ['\x0b{}', 'expected value at line 1 column 1'],
  ['\xef\xbb\xbf{}', 'expected value at line 1 column 1'],
  ['{"in', 'EOF while parsing a string at line 1 column 4'],
  ['{"in"', 'EOF while parsing an object at line 1 column 5'],
  ['{"in":', 'EOF while parsing a value at line 1 column 6'],
  ['{"in":1', 'EOF while parsing an object at line 1 column 7'],
  ['[', 'EOF while parsing a list at line 1 column 1'],
  ['[1', 'EOF while parsing a list at line 1 column 2'],
  ['[1,', 'EOF while parsing a value at line 1 column 3'],
  ['{1:2}', 'key must be a string at line 1 column 2'],
  ['{"a":1 "b":2}', 'expected `,` or `}` at line 1 column 8'],
  ['[1 2]', 'expected `,` or `]` at line 1 column 4'],
  ['{"input" []}', 'expected `:` at line 1 column 10'],
  ['{"input":[],}', 'trailing comma at line 1 column 13'],
  ['{"input":[1,]}', 'trailing comma at line 1 column 13'],
  ['{"input":tru}', 'expected ident at line 1 column 13'],
  ['{"input":tr', 'EOF while parsing a value at line 1 column 11'],
  ['{"input":[],"x":-}', 'invalid number at line 1 column 18'],
  ['{"input":[],"x":01}', 'invalid number at line 1 column 18'],
  ['{"input":[],"x":1.}', 'invalid number at line 1 column 19'],
  ['{"input":[],"x":1e}', 'invalid number at line 1 column 19'],
  ['{"input":[],"x":"\\x"}', 'invalid escape at line 1 column 19'],
  ['{"input":[],"x":"\\u12g4"}', 'invalid escape at line 1 column 23'],
  ['{"input":[],"x":"\\ud800"}', 'unexpected end of hex escape at line 1 column 24'],
  ['{"input":[],"x":"\\ud800a"}', 'unexpected end of hex escape at line 1 column 24'],
  ['{"input":[],"x":"\\ud800\\ud800"}', 'lone leading surrogate in hex escape at line 1 column 29'],
  ['{"input":[],"x":"\\udc00"}', 'lone leading surrogate in hex escape at line 1 column 23'],
  ['{"input":"abc', 'EOF while parsing a string at line 1 column 13'],
  ['{"input":"abc\\', 'EOF while parsing a string at line 1 column 14'],
  ['{"input":"abc\\u12', 'EOF while parsing a string at line 1 column 17'],
  [
    '{"input":[],"x":"a\x01"}',
    'control character (\\u0000-\\u001F) found while parsing a string at line 1 column 19',
  ],
  ['{"input":"\xe2\x82"}', 'invalid unicode code point at line 1 column 13'],
  ['{"input":"\xed\xa0\x80"}', 'invalid unicode code point at line 1 column 14'],
  ['{\n"input":\n[1,\n2 x]}', 'expected `,` or `]` at line 4 column 3'],
  ['{} x', 'trailing characters at line 1 column 4'],
  [`{"input":${'['.repeat(127)}`, 'recursion limit exceeded at line 1 column 136'],
];

test.each(refused)('%j is refused: %s', (text, message) => expect(fault(text)).toBe(message));

test('nests as deep as the limit and no deeper', () => {
  const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
  expect(fault(nested(MAX_JSON_DEPTH))).toBe('none');
  expect(fault(nested(MAX_JSON_DEPTH + 1))).toMatch(/recursion limit/);
});

describe('where nobody asks for what is in a text', () => {
  test.each([
    ['["\\ud800","\\udc00x"]', 'none'],
    [`${'['.repeat(1000)}${']'.repeat(1000)}`, 'none'],
    ['{"a":[1,{"b":null}],"c":{}}', 'none'],
    ['"a\x01b"', 'control character (\\u0000-\\u001F) found while parsing a string at line 1 column 2'],
    ['[1,]', 'expected value at line 1 column 4'],
    ['{"a":1,}', 'key must be a string at line 1 column 8'],
    ['{"a":1,', 'EOF while parsing an object at line 1 column 7'],
    ['[1,', 'EOF while parsing a value at line 1 column 3'],
    ['[1', 'EOF while parsing a list at line 1 column 2'],
    ['{"a":[1}', 'expected `,` or `]` at line 1 column 8'],
    ['-', 'invalid number at line 1 column 1'],
    ['"\\u12', 'EOF while parsing a string at line 1 column 5'],
    ['[]]', 'trailing characters at line 1 column 3'],
  ])('%j: %s', (text, message) => expect(fault(text, checkJson)).toBe(message));
});

describe('keeps', () => {
  const compact = (text: string) => compactJson(parseJson(Buffer.from(text)));

  test('the text of numbers, with the exponent in one form', () => {
    expect(compact('[-0,0.0,1e3,1E5,1e-05,1.50,123456789012345678901234567890,-0.0,1e400,-1]')).toBe(
      '[0,0.0,1e+3,1e+5,1e-05,1.50,123456789012345678901234567890,-0.0,1e+400,-1]',
    );
  });

  test('the order of keys, the last value of a repeated one in the first place', () => {
    expect(compact('{"2":1,"1":2,"a":1,"__proto__":3,"a":4}')).toBe('{"2":1,"1":2,"a":4,"__proto__":3}');
    expect(sortedJson(parseJson(Buffer.from('{"b":{"z":1,"a":[{"d":1,"c":2}]},"a":0}')))).toBe(
      '{"a":0,"b":{"a":[{"c":2,"d":1}],"z":1}}',
    );
  });

  test('strings of any length, escaped or not', () => {
    const text = `${'plain '.repeat(20)}"\\\b\f\n\r\t\u0001é€😀\u2028${'x'.repeat(100)}`;
    expect(parseJson(Buffer.from(JSON.stringify(text)))).toBe(text);
    expect(parseJson(Buffer.from('"\\ud83d\\ude00\\/"'))).toBe('😀/');
  });

  test('only the members that are asked for, and checks the others', () => {
    const keep = new Set(['input']);
    const parse = (text: string) => parseJsonMembers(Buffer.from(text), keep).value;
    expect(parse('{"tools":[{"a":1}],"input":[1]}')).toEqual(new Map([['input', [new JsonNumber('1')]]]));
    expect(() => parse('{"tools":["\\ud800"],"input":[1]}')).toThrow(/hex escape/);
  });

  test('where the members of the outermost object are', () => {
    const text = '{"a": 12 , "b":{"c":1}}';
    const places = parseJsonMembers(Buffer.from(text)).members.map(({ start, end }) =>
      text.slice(start, end),
    );
    expect(places).toEqual(['12', '{"c":1}']);
  });
});

test('integers are exact beyond 2^53, and only integers are integers', () => {
  const integer = (text: string) => asInteger(parseJson(Buffer.from(text)));
  expect(integer('9007199254740991')).toBe(9007199254740991);
  expect(integer('9007199254740993')).toBe(9007199254740993n);
  expect(integer('-5')).toBe(-5);
  expect(integer('1.0')).toBeUndefined();
  expect(integer('1e3')).toBeUndefined();
});

test('keys are ordered by UTF-8 bytes', () => {
  const bytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));
  const ordered = ['', 'B', 'a', 'aa', '\uffff', '😀'];
  expect(ordered.toReversed().sort(compareUtf8)).toEqual(ordered);
  expect(sortByUtf8(ordered.toReversed())).toEqual(ordered);
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), (a, b) => {
      expect(Math.sign(compareUtf8(a, b))).toBe(bytes(a, b));
      expect(sortByUtf8([a, b])).toEqual([a, b].sort(bytes));
    }),
  );
});

function toPlain(value: Json): unknown {
  if (value instanceof JsonNumber) return Number(value.text);
  if (Array.isArray(value)) return value.map(toPlain);
  if (value instanceof Map)
    return Object.fromEntries([...value].map(([key, inner]) => [key, toPlain(inner)]));
  return value;
}

test('reads what JSON.stringify writes, compact or indented', () => {
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: 'grapheme' }), fc.constantFrom(0, 2), (value, indent) => {
      const text = JSON.stringify(value, null, indent);
      expect(toPlain(parseJson(Buffer.from(text)))).toEqual(JSON.parse(text));
    }),
  );
});

test('compact text read again is the same', () => {
  fc.assert(
    fc.property(fc.json({ stringUnit: 'grapheme' }), (text) => {
      const once = compactJson(parseJson(Buffer.from(text)));
      expect(compactJson(parseJson(Buffer.from(once)))).toBe(once);
    }),
  );
});

test('agrees with JSON.parse on what is JSON, for damaged text too', () => {
  const damage = fc.record({
    at: fc.nat(),
    remove: fc.nat(3),
    insert: fc.constantFrom('', '"', ',', '}', '0', '\\', '\n', 'e'),
  });
  fc.assert(
    fc.property(fc.json({ maxDepth: 4 }), damage, (text, { at, remove, insert }) => {
      const place = at % (text.length + 1);
      const damaged = text.slice(0, place) + insert + text.slice(place + remove);
      const surrogates = /\\u[dD][89a-fA-F]/.test(damaged);
      let plain: unknown;
      try {
        plain = JSON.parse(damaged);
      } catch {
        expect(fault(Buffer.from(damaged))).not.toBe('none');
        return;
      }
      if (!surrogates) expect(toPlain(parseJson(Buffer.from(damaged)))).toEqual(plain);
    }),
    { numRuns: 1000 },
  );
});

test('any bytes are read or refused, never more', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      expect(typeof fault(Buffer.from(bytes))).toBe('string');
    }),
    { numRuns: 2000 },
  );
});

test('a member of what has none is undefined', () => {
  expect(member('text', 'length')).toBeUndefined();
  expect(member([], '0')).toBeUndefined();
  expect(member(new Map(), 'constructor')).toBeUndefined();
});
