// The reducer as a library: a typed state, and files only where they are wanted.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { BundleRejected, type ReducedState, reduceBundle } from '../../src/index.js';
import { bundleSet, recordedBundle, scratch, unpackBundle } from '../support/bundles.js';

const { dir, remove } = scratch();
afterAll(remove);

const exec = recordedBundle('exec');
const garbage = bundleSet('damaged')['garbage-middle-line'] ?? exec;

test('gives the state, and writes nothing that is not wanted', async () => {
  const bundle = unpackBundle(garbage, join(dir, 'typed'));
  const { state, statePath, anomalies, complete } = await reduceBundle(bundle, { output: null });
  expect([statePath, complete, anomalies.length]).toEqual(['-', false, 1]);
  expect(existsSync(join(bundle, 'state.json'))).toBe(false);
  expect(existsSync(join(bundle, 'anomalies.json'))).toBe(false);
  const said = (of: ReducedState) =>
    [...of.conversation_items.values()]
      .filter(({ role, kind }) => role === 'assistant' && kind === 'message')
      .flatMap(({ body }) => body.parts.map((part) => (part.type === 'text' ? part.text : '')));
  expect(said(state)).toEqual(['Ran it.']);
  const [tool] = state.tool_calls.values();
  const operation = state.terminal_operations.get(tool?.terminal_operation_id ?? '');
  expect(operation?.request).toMatchObject({ type: 'exec_command' });
  expect(operation?.result?.exit_code).toBe(0);
});

test('what a strict run refuses is not covered by an older result', async () => {
  const bundle = unpackBundle(exec, join(dir, 'older'));
  const { statePath } = await reduceBundle(bundle);
  expect(existsSync(statePath)).toBe(true);
  const log = join(bundle, 'trace.jsonl');
  writeFileSync(log, readFileSync(log, 'utf8').slice(0, -40));
  await reduceBundle(bundle);
  expect(existsSync(join(bundle, 'anomalies.json'))).toBe(true);
  await expect(reduceBundle(bundle, { strict: true })).rejects.toThrow(BundleRejected);
  expect(existsSync(statePath)).toBe(false);
  expect(existsSync(join(bundle, 'anomalies.json'))).toBe(false);
  const elsewhere = join(dir, 'elsewhere.json');
  writeFileSync(elsewhere, 'kept');
  await expect(reduceBundle(dir, { strict: true, output: elsewhere })).rejects.toThrow(BundleRejected);
  expect(readFileSync(elsewhere, 'utf8')).toBe('kept');
});
