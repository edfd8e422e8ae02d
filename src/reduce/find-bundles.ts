// Finds the bundles that a directory stands for: itself, the root threads of a capture, or all that lie in it.
// What is in them is not looked at.

import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MANIFEST_FILE } from '../trace/bundle-reader.js';

/** A capture of several root threads holds one bundle per thread in here. */
export const ROLLOUTS_DIR = 'rollouts';
export const EVIDENCE_DIR = 'evidence';
/** Any of these makes a directory a bundle, be it a damaged one or one that is not interpreted yet. */
const BUNDLE_MARKS = [MANIFEST_FILE, 'trace.jsonl', EVIDENCE_DIR];

/**
 * The bundles in `dir`, in the order of their names: `dir` itself, those in its `rollouts/`, or those right in it,
 * such as the `trace-…` directories that Codex writes. `dir` alone when there are none.
 */
export async function findBundles(dir: string): Promise<string[]> {
  const own = await bundlesOf(dir);
  if (own.length > 0) return own;
  const found: string[] = [];
  for (const child of await childDirectories(dir)) found.push(...(await bundlesOf(child)));
  return found.length > 0 ? found : [dir];
}

/** A directory that is a bundle, or the bundles in its `rollouts/`, which may be damaged or not interpreted yet. */
export async function bundlesOf(dir: string): Promise<string[]> {
  if (await exists(join(dir, MANIFEST_FILE))) return [dir];
  const bundles: string[] = [];
  for (const child of await childDirectories(join(dir, ROLLOUTS_DIR))) {
    if (await isBundle(child)) bundles.push(child);
  }
  return bundles.length === 0 && (await isBundle(dir)) ? [dir] : bundles;
}

/** Whether a capture's evidence is all that the directory holds: recorded with --raw, or cut short. */
export async function isUninterpreted(dir: string): Promise<boolean> {
  for (const interpreted of [MANIFEST_FILE, ROLLOUTS_DIR]) {
    if (await exists(join(dir, interpreted))) return false;
  }
  return exists(join(dir, EVIDENCE_DIR));
}

async function isBundle(dir: string): Promise<boolean> {
  for (const mark of BUNDLE_MARKS) if (await exists(join(dir, mark))) return true;
  return false;
}

/** Empty when `dir` is none or cannot be read. */
async function childDirectories(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isDirectory() || entry.isSymbolicLink())
    .map(({ name }) => join(dir, name))
    .sort();
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
