// Requests that repeat the conversation are read where they differ. What comes of them is what comes of reading each
// of them whole: the same state and the same faults.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, afterEach, expect, test, vi } from 'vitest';
import { replayBundle } from '../../src/reduce/replay.js';
import { stateText } from '../../src/reduce/state-writer.js';
import { parseJsonMembers } from '../../src/trace/json-parser.js';
import { RequestParser } from '../../src/trace/request-parser.js';
import { scratch } from '../support/bundles.js';
import { generateTrace } from '../support/trace-generator.js';

const { dir, remove } = scratch();
afterAll(remove);
afterEach(() => vi.restoreAllMocks());

const bundle = join(dir, 'bundle');
const payloads = join(bundle, 'payloads');
generateTrace(bundle, { threads: 2, rounds: 4, incremental: false });
const requests = readdirSync(payloads)
  .map((name) => ({ path: join(payloads, name), text: readFileSync(join(payloads, name), 'utf8') }))
  .filter(({ text }) => text.includes('"input": ['));

async function outcome(): Promise<{ state: string; anomalies: unknown }> {
  const { state, anomalies } = await replayBundle(bundle);
  return { state: [...stateText(state)].join(''), anomalies };
}

async function outcomeOfWhole(): Promise<unknown> {
  const members = new Set(['input', 'previous_response_id']);
  const parse = vi.spyOn(RequestParser.prototype, 'parse');
  parse.mockImplementation((_, bytes) => parseJsonMembers(bytes, members).value);
  return outcome().finally(() => parse.mockRestore());
}

interface Item {
  type: string;
  [key: string]: unknown;
}

const odd: fc.Arbitrary<Item> = fc.constantFrom<Item>(
  { type: 'message', role: 'user', content: 'no list' },
  { type: 'message', role: 'user', content: [{ type: 'input_image', image_url: 'data:,' }] },
  { type: 'function_call', call_id: 'call_0_1', name: 'other', arguments: '{"other":1}' },
  { type: 'function_call_output', call_id: 'call_0_1' },
  { type: 'function_call', call_id: 'late', name: 'x', arguments: { deep: [1, 2] } },
  { type: 'reasoning', encrypted_content: 'sealed', summary: [] },
  { type: 'additional_tools' },
  { type: 'unheard_of' },
);

const change: fc.Arbitrary<(items: Item[]) => Item[]> = fc.oneof(
  fc.nat(12).map((at) => (items: Item[]) => items.toSpliced(at, 1)),
  fc.tuple(fc.nat(12), odd).map(
    ([at, item]) =>
      (items: Item[]) =>
        items.toSpliced(at, 0, item),
  ),
  fc.nat(12).map((at) => (items: Item[]) => items.toSpliced(at, 0, ...items.slice(at, at + 2))),
  fc.nat(12).map((at) => (items: Item[]) => [...items.slice(at), ...items.slice(0, at)]),
  fc
    .nat(12)
    .map(
      (at) => (items: Item[]) => items.map((item, index) => (index === at ? { ...item, id: 'new' } : item)),
    ),
);

/** Reduces the bundle with other requests in it, both ways. */
async function outcomeOfBoth(edited: unknown[]): Promise<{ anomalies: unknown }> {
  for (const [index, { path }] of requests.entries()) {
    writeFileSync(path, JSON.stringify(edited[index], null, 2));
  }
  const found = await outcome();
  expect(found).toEqual(await outcomeOfWhole());
  return found;
}

test('a request that is refused', async () => {
  const edited = requests.map(({ text }) => JSON.parse(text));
  edited[3].input.push({ type: 'unheard_of' });
  const { anomalies } = await outcomeOfBoth(edited);
  expect(anomalies).toMatchObject([{ code: 'model-item-unsupported' }, { code: 'unknown-inference' }]);
});

test('fuzzed requests', async () => {
  const edits = fc.array(fc.tuple(fc.nat(requests.length - 1), change, fc.boolean()), { maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(edits, async (changes) => {
      const edited = requests.map(({ text }) => JSON.parse(text));
      for (const [which, apply, lasting] of changes) {
        for (let at = which; at < (lasting ? edited.length : which + 1); at++) {
          edited[at].input = apply(edited[at].input);
        }
      }
      await outcomeOfBoth(edited);
    }),
    { numRuns: 40 },
  );
});
