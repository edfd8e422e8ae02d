// The reducer against the reference: the same bytes for what it accepts, the same words for what it refuses.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { BundleRejected, reduceBundle } from '../../src/reduce/reduce.js';
import {
  bundleSet,
  bundleSets,
  type PackedBundle,
  recordedBundle,
  recordedBundles,
  scratch,
  unpackBundle,
} from '../support/bundles.js';

const { dir, remove } = scratch();
afterAll(remove);
let unpacked = 0;

async function answer(bundle: PackedBundle): Promise<{ state: string | null; error: string | null }> {
  const path = unpackBundle(bundle, join(dir, `${unpacked++}`));
  const output = join(path, 'reduced.json');
  try {
    await reduceBundle(path, { output, strict: true });
    return { state: readFileSync(output, 'latin1'), error: null };
  } catch (error) {
    if (!(error instanceof BundleRejected)) throw error;
    expect(existsSync(output)).toBe(false);
    return {
      state: null,
      error: Buffer.from(error.reference).toString('latin1').replaceAll(`${path}/`, 'BUNDLE/'),
    };
  }
}

describe('recorded by Codex', () => {
  test('all of them are here', () => expect(recordedBundles.length).toBe(34));

  test.each(recordedBundles)('%s', async (name) => {
    const bundle = recordedBundle(name);
    expect(await answer(bundle)).toEqual({ state: bundle.state, error: bundle.error });
  });
});

describe.each(bundleSets)('%s', (set) => {
  test.each(Object.entries(bundleSet(set)))('%s', async (_name, bundle) => {
    expect(await answer(bundle)).toEqual({ state: bundle.state, error: bundle.error });
  });
});
