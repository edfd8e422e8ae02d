// The measure without root and without Codex: runs that were recorded with all that Codex's own tracer said of them.

import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { harmlessKinds } from '../../src/interpret/anomalies.js';
import { reduceBundle } from '../../src/reduce/reduce.js';
import { interpret } from '../interpret/story.js';
import { evidenceOf, wireRecording } from '../support/wire.js';
import { compareFacts } from './compare.js';
import { factsOf, type ReducedState } from './facts.js';
import { reasonFor } from './known.js';

const names = readdirSync(new URL('../fixtures/agreement/', import.meta.url))
  .filter((name) => name.endsWith('.json.gz'))
  .map((name) => name.slice(0, -'.json.gz'.length));

const isState = (state: object): state is ReducedState =>
  'code_cells' in state && 'interaction_edges' in state;

/** The turns that sent nothing to a model: only a local compaction does without an inference and is told all the same. */
const UNSEEN_TURNS: Readonly<Record<string, number>> = { 'steer-rustls': 1 };

test.each(names)('%s', async (name) => {
  const recording = wireRecording(name, 'agreement');
  const { result, bundles } = interpret(evidenceOf(recording));
  expect(result.anomalies.filter(({ kind }) => !harmlessKinds.has(kind))).toEqual([]);
  expect(bundles).toHaveLength(recording.reference.length);
  const ids = { carriesInferenceIds: !name.endsWith('-ws') };
  for (const [index, { dir }] of bundles.entries()) {
    const { statePath, anomalies } = await reduceBundle(dir, { strict: true });
    expect(anomalies).toEqual([]);
    const inside: object = recording.reference[index] ?? {};
    if (!isState(inside)) throw new Error('the recording lacks parts of its state');
    const outside: ReducedState = JSON.parse(readFileSync(statePath, 'utf8'));
    const { disagreements, families } = compareFacts(factsOf(inside, ids), factsOf(outside, ids));
    const unseen = disagreements.filter(({ family, how }) => family === 'turns' && how === 'missing');
    expect(unseen).toHaveLength(UNSEEN_TURNS[name] ?? 0);
    const others = disagreements.filter((found) => !unseen.includes(found));
    expect(others.filter((found) => reasonFor(found, { killed: false }) === undefined)).toEqual([]);
    expect(families.items.agreed).toBeGreaterThan(4);
  }
});
