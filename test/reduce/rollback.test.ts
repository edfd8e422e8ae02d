// An event that is refused leaves nothing behind: a log with it gives the same state as a log that has, in its
// place, an event that changes nothing.

import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { type ReduceResult, reduceBundle } from '../../src/reduce/reduce.js';
import { bundleSet, recordedBundle, scratch, unpackBundle } from '../support/bundles.js';

const { dir, remove } = scratch();
afterAll(remove);

type Value = null | boolean | number | string | Value[] | { [key: string]: Value };
type Fields = { [key: string]: Value };

const isFields = (value: Value | undefined): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

interface Log {
  path: string;
  events: Fields[];
  /** The short texts of the log: ids, kinds, statuses. */
  words: string[];
}

function open(name: string, bundle: Parameters<typeof unpackBundle>[0]): Log {
  const path = unpackBundle(bundle, join(dir, name));
  const lines = readFileSync(join(path, 'trace.jsonl'), 'utf8').split('\n');
  const events: Fields[] = lines.filter((line) => line !== '').map((line) => JSON.parse(line));
  const words = new Set<string>();
  for (const { owner, key } of places(events)) {
    const value = (owner as Fields)[key];
    if (typeof value === 'string' && value.length < 80) words.add(value);
  }
  return { path, events, words: [...words] };
}

const composed = { ...bundleSet('composed'), ...bundleSet('schema-1-composed') };
const accepted = Object.entries(composed).filter(([, { state }]) => state !== null);
const logs: Log[] = [
  ...accepted.map(([name, bundle]) => open(name, bundle)),
  ...['exec', 'stdin', 'code', 'agents', 'compact-auto-openai', 'parallel'].map((name) =>
    open(name, recordedBundle(name)),
  ),
  ...['stdin', 'agents', 'code'].map((name) =>
    open(`schema-1-${name}`, bundleSet('schema-1-recorded')[name] ?? recordedBundle(name)),
  ),
];

/** Reduces the log with `event` put in at `place`; the numbers of the events follow it. */
async function reduceWith({ path, events }: Log, event: Fields, place: number): Promise<ReduceResult> {
  const lines = events
    .toSpliced(place, 0, event)
    .map((each, index) => `${JSON.stringify({ ...each, seq: index + 1 })}\n`);
  writeFileSync(join(path, 'trace.jsonl'), lines.join(''));
  rmSync(join(path, 'anomalies.json'), { force: true });
  return reduceBundle(path);
}

const stateOf = ({ statePath }: ReduceResult) => readFileSync(statePath, 'utf8');

/** Two calls that cannot both be: the second is refused when much of the event has been reduced. */
const clash: Value[] = ['1', '2'].map((input) => ({
  type: 'custom_tool_call',
  call_id: 'clash',
  name: 'exec',
  input,
}));

/** All places in a value, the innermost as well. */
function* places(value: Value): Generator<{ owner: Fields | Value[]; key: string }> {
  if (typeof value !== 'object' || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    yield { owner: value, key };
    yield* places(inner);
  }
}

const wrong: Value[] = ['ghost', null, 7, [], {}];

/** Breaks one thing in a value. */
function damage(value: Value, { words }: Log, choice: number): void {
  const all = [...places(value)];
  const place = all[choice % all.length];
  if (place === undefined) return;
  const owner: { [key: string]: Value } = place.owner as Fields;
  const old = owner[place.key];
  const rest = Math.floor(choice / all.length);
  const how = rest % 4;
  if (Array.isArray(old) && how < 2) old.push(...clash);
  else if (how === 0) delete owner[place.key];
  else if (how === 1) owner[place.key] = wrong[(rest >> 2) % wrong.length] ?? null;
  else owner[place.key] = words[(rest >> 2) % words.length] ?? null;
}

/** A copy of an event with one thing broken, in the event or in a copy of a payload of its own. */
function broken(log: Log, event: Fields, inPayload: boolean, choice: number): Fields {
  const copy = structuredClone(event);
  const { payload } = copy;
  const ref = isFields(payload)
    ? Object.values(payload).find((value) => isFields(value) && 'raw_payload_id' in value)
    : undefined;
  if (!inPayload || !isFields(ref)) {
    damage(copy, log, choice);
    return copy;
  }
  const file = join(log.path, String(ref.path));
  if (!existsSync(file)) return copy;
  const content: Value = JSON.parse(readFileSync(file, 'utf8'));
  damage(content, log, choice);
  Object.assign(ref, { raw_payload_id: 'raw_payload:broken', path: 'payloads/broken.json' });
  writeFileSync(join(log.path, 'payloads/broken.json'), JSON.stringify(content));
  return copy;
}

const refusals = new Set<string>();

async function checkRefusal(log: Log, event: Fields, place: number): Promise<void> {
  const result = await reduceWith(log, event, place);
  const [anomaly] = result.anomalies;
  // Not every damage is noticed, or noticed at once.
  if (anomaly?.line !== place + 1 || /^(line|schema|other)-/.test(anomaly.code)) return;
  refusals.add(anomaly.code);
  const [first] = log.events;
  const untouched = await reduceWith(log, { ...event, payload: first?.payload ?? null }, place);
  expect(untouched.anomalies).toEqual([]);
  const state = stateOf(untouched);
  const again = await reduceWith(log, event, place);
  expect(again.anomalies).toEqual([anomaly]);
  expect(stateOf(again)).toBe(state);
}

test('a refused event changes nothing', async () => {
  const event = fc.record({
    log: fc.nat(),
    of: fc.nat(),
    at: fc.nat(),
    inPayload: fc.boolean(),
    choice: fc.nat(),
  });
  await fc.assert(
    fc.asyncProperty(event, async ({ log, of, at, inPayload, choice }) => {
      const chosen = logs[log % logs.length];
      const source = chosen?.events[1 + (of % (chosen.events.length - 1))];
      if (chosen === undefined || source === undefined) return;
      const place = 1 + (at % (chosen.events.length - 1));
      await checkRefusal(chosen, broken(chosen, source, inPayload, choice), place);
    }),
    { numRuns: Number(process.env.AGSIGHT_TEST_RUNS ?? 250) },
  );
  // Most damage is noticed, and in many ways.
  expect(refusals.size).toBeGreaterThan(8);
}, 3_600_000);
