// Unpacks the trace bundles in test/fixtures/bundles, with the reference's answer to each.

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';

const FIXTURES = join(import.meta.dirname, '..', 'fixtures', 'bundles');

/** A packed bundle; bytes are Latin-1. */
export interface PackedBundle {
  files: Record<string, string>;
  /** What the reference wrote, null when it refused the bundle. */
  state: string | null;
  /** What the reference printed after `Error: `. */
  error: string | null;
}

/** The names of the recorded bundles. */
export const recordedBundles: readonly string[] = readdirSync(FIXTURES)
  .filter((name) => name.startsWith('recorded-'))
  .map((name) => name.slice('recorded-'.length, -'.json.gz'.length));

export function recordedBundle(name: string): PackedBundle {
  return read(`recorded-${name}`) as PackedBundle;
}

/**
 * Many small bundles in one file. Those of schema 1 have the answers of Codex 0.142.0, all others, and the recorded
 * ones in files of their own, those of 0.169.0.
 */
export const bundleSets = [
  'composed',
  'probed',
  'damaged',
  'typed',
  'numbers',
  'deliveries',
  'stand-ins',
  'faults',
  'passthrough',
  'schema-1-recorded',
  'schema-1-composed',
  'schema-1-damaged',
  'schema-1-probed',
] as const;

export function bundleSet(name: (typeof bundleSets)[number]): Record<string, PackedBundle> {
  return read(name) as Record<string, PackedBundle>;
}

function read(name: string): unknown {
  return JSON.parse(gunzipSync(readFileSync(join(FIXTURES, `${name}.json.gz`))).toString('utf8'));
}

export function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

/** Writes the bundle into `dir`, which it creates. */
export function unpackBundle({ files }: PackedBundle, dir: string): string {
  mkdirSync(dir, { recursive: true });
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), latin1(content));
  }
  return dir;
}

/** A directory that `remove` takes away again. */
export function scratch(): { dir: string; remove: () => void } {
  const dir = mkdtempSync(join(tmpdir(), 'agsight-'));
  return { dir, remove: () => rmSync(dir, { recursive: true, force: true }) };
}
