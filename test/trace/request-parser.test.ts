// Requests that repeat each other: read the short way or the whole way, they are the same, and so are their faults.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseJsonMembers } from '../../src/trace/json-parser.js';
import { JsonSyntaxError } from '../../src/trace/json-scanner.js';
import type { Json } from '../../src/trace/json-value.js';
import { RequestParser } from '../../src/trace/request-parser.js';
import { latin1, recordedBundle } from '../support/bundles.js';

function outcome(parse: () => Json): unknown {
  try {
    return parse();
  } catch (error) {
    if (error instanceof JsonSyntaxError) return error.message;
    throw error;
  }
}

const keep = new Set(['input', 'previous_response_id']);
const whole = (bytes: Buffer) => outcome(() => parseJsonMembers(bytes, keep).value);

function expectSame(texts: Iterable<Buffer>): void {
  const parser = new RequestParser();
  for (const text of texts) expect(outcome(() => parser.parse('thread', text))).toEqual(whole(text));
}

const scalar = fc.constantFrom(
  '0',
  '-1.50',
  '1e3',
  'true',
  'null',
  '"ü"',
  '"\\ud800"',
  '"input"',
  '[]',
  '{}',
);
const item = fc.oneof(
  { weight: 6, arbitrary: fc.nat(3).map((n) => `{"type":"message","n":${n}}`) },
  {
    weight: 2,
    arbitrary: fc.string({ maxLength: 4 }).map((text) => JSON.stringify({ text, deep: [[text]] })),
  },
  { weight: 1, arbitrary: scalar },
);
const name = fc.constantFrom('model', 'tools', 'previous_response_id', 'input', 'inp\\u0075t', 'prompt');
const member = fc.tuple(name, scalar).map(([key, value]) => `"${key}":${value}`);
const members = fc.array(member, { maxLength: 2 });
const space: fc.Arbitrary<string> = fc.constantFrom('', '', '', ' ', '\n  ');

interface Draft {
  before: string[];
  items: string[];
  after: string[];
  space: string;
}

type Change = (draft: Draft) => Partial<Draft>;

/** What one request has other than the one before it. */
const change: fc.Arbitrary<Change> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.array(item, { maxLength: 3 }).map(
      (more): Change =>
        ({ items }) => ({ items: [...items, ...more] }),
    ),
  },
  fc.nat(6).map(
    (gone): Change =>
      ({ items }) => ({ items: items.filter((_, index) => index !== gone) }),
  ),
  fc.tuple(fc.nat(6), item).map(
    ([place, by]): Change =>
      ({ items }) => ({ items: items.map((old, index) => (index === place ? by : old)) }),
  ),
  members.map(
    (before): Change =>
      () => ({ before }),
  ),
  members.map(
    (after): Change =>
      () => ({ after }),
  ),
  space.map(
    (other): Change =>
      () => ({ space: other }),
  ),
);

function requestText({ before, items, after, space: gap }: Draft): Buffer {
  const input = `"input":[${items.map((text) => gap + text).join(',')}${gap}]`;
  return Buffer.from(`{${[...before, input, ...after].join(`,${gap}`)}}`);
}

const draft = fc.record({ before: members, items: fc.array(item, { maxLength: 6 }), after: members, space });

/** A conversation as requests tell it: each is the one before with something changed. */
const conversation = fc.tuple(draft, fc.array(change, { maxLength: 8 })).map(([first, changes]) => {
  const drafts = [first];
  for (const apply of changes) {
    const last = drafts.at(-1) ?? first;
    drafts.push({ ...last, ...apply(last) });
  }
  return drafts.map(requestText);
});

test('requests of a conversation', () => {
  fc.assert(fc.property(conversation, expectSame), { numRuns: 1000 });
});

test('requests of a conversation with damaged ones among them', () => {
  const bytes = fc.constantFrom('', '0', ',', ']', '}', '{', '"', '\\', '\x00', '\xff', '.5', ',"input":[1]');
  const damage = fc.record({ which: fc.nat(8), at: fc.nat(200), cut: fc.nat(3), put: bytes });
  fc.assert(
    fc.property(conversation, fc.array(damage, { maxLength: 4 }), (texts, damages) => {
      const damaged = texts.flatMap((text, index) => {
        const bad = damages
          .filter(({ which }) => which === index)
          .map(({ at, cut, put }) =>
            Buffer.concat([text.subarray(0, at), Buffer.from(put, 'latin1'), text.subarray(at + cut)]),
          );
        return [text, ...bad];
      });
      expectSame(damaged);
    }),
    { numRuns: 2000 },
  );
});

describe('what follows the items that are known', () => {
  const first = '{"a":0,"input":[{"n":1},{"n":2}],"tools":[3]}';
  test.each([
    ['does not make a number of them', '{"a":0,"input":[{"n":1},{"n":2}.5],"tools":[3]}'],
    ['may take its place', '{"a":0,"input":[{"n":1},{"n":2},{"n":3}],"tools":[3],"input":[]}'],
    ['is not taken for the end of another list', '{"a":0,"input":[{"n":1},{"b":[4],"tools":[3]}'],
    ['may be nothing', '{"a":0,"input":[{"n":1}],"tools":[3]}'],
    ['may be cut off', '{"a":0,"input":[{"n":1},{"n":2}'],
    ['may be invalid UTF-8', '{"a":0,"input":[{"n":1},{"n":2},{"n":"\xff"}],"tools":[3]}'],
  ])('%s', (_, second) => {
    expectSame([Buffer.from(first), latin1(second), Buffer.from(first)]);
  });
});

test('a number that goes on is another number', () => {
  expectSame(['{"input":[{"n":1},1]}', '{"input":[{"n":1},12]}'].map((text) => Buffer.from(text)));
});

test('what is repeated is not built again', () => {
  const parser = new RequestParser();
  const items = (value: Json) => (value instanceof Map ? value.get('input') : undefined) as Json[];
  const first = items(parser.parse('a', Buffer.from('{"input":[{"n":1},{"n":2}],"tools":[]}')));
  parser.parse('b', Buffer.from('{"input":[]}'));
  const second = items(parser.parse('a', Buffer.from('{"input":[{"n":1},{"n":2},{"n":3}],"tools":[]}')));
  expect(second.length).toBe(3);
  expect(second[0]).toBe(first[0]);
  expect(second[1]).toBe(first[1]);
});

test('more conversations than are remembered', () => {
  const parser = new RequestParser();
  for (let round = 0; round < 2; round++) {
    for (let thread = 0; thread < 5; thread++) {
      const text = Buffer.from(`{"input":[{"n":"${'x'.repeat(9_000_000)}"},{"n":${round}}]}`);
      expect(parser.parse(`${thread}`, text)).toEqual(whole(text));
    }
  }
});

test('the requests of a recording, cut at every byte between two whole ones', () => {
  const { files } = recordedBundle('exec');
  const requests = Object.entries(files)
    .filter(([path, text]) => path.startsWith('payloads/') && text.includes('"input": ['))
    .map(([, text]) => latin1(text));
  expect(requests.length).toBeGreaterThan(1);
  const [first, second] = requests;
  if (first === undefined || second === undefined) return;
  const parser = new RequestParser();
  const step = Math.ceil(second.length / 500);
  for (let at = 0; at <= second.length; at += step) {
    for (const text of [first, second.subarray(0, at)]) {
      expect(outcome(() => parser.parse('thread', text))).toEqual(whole(text));
    }
  }
});
