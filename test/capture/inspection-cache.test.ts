import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { inspectionCachePath, inspectOnce } from '../../src/capture/inspection-cache.js';
import { type BinaryReport, inspectBinary } from '../../src/elf/binary.js';
import { buildTlsGenerator } from '../support/tls-generator.js';

const generator = buildTlsGenerator();
let directory: string;
let program: string;
let searches: number;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'agsight-cache-'));
  program = join(directory, 'program');
  copyFileSync(generator, program);
  searches = 0;
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(directory, { recursive: true, force: true });
});

const cache = (): string => join(directory, 'cache');

/** As long as the search of a large program. */
function search(path: string): BinaryReport {
  searches += 1;
  const endMs = performance.now() + 30;
  while (performance.now() < endMs);
  return inspectBinary(path);
}

const inspect = (path = program): BinaryReport => inspectOnce(path, search, cache());

test('a program is searched once, and again when anything about its file has changed', () => {
  const first = inspect();
  expect(first.tls.map(({ library }) => library)).toEqual(['openssl']);
  expect(inspect()).toEqual(first);
  expect(searches).toBe(1);

  utimesSync(program, new Date(0), new Date(0));
  expect(inspect()).toEqual(first);
  expect(searches).toBe(2);

  rmSync(program);
  copyFileSync(generator, program);
  inspect();
  expect(searches).toBe(3);
});

test('a program is searched again when a row may have been added to the tables that are asked', () => {
  vi.stubEnv('XDG_CONFIG_HOME', directory);
  inspect();
  mkdirSync(join(directory, 'agsight'));
  for (const text of ['[]', '[{}]']) {
    writeFileSync(join(directory, 'agsight', 'offsets.json'), text);
    inspect();
    inspect();
  }
  expect(searches).toBe(3);
});

test('only its owner can read or write what is kept', () => {
  inspect();
  const [name = ''] = readdirSync(cache());
  expect(statSync(cache()).mode & 0o777).toBe(0o700);
  expect(statSync(join(cache(), name)).mode & 0o777).toBe(0o600);

  chmodSync(join(cache(), name), 0o666);
  inspect();
  expect(searches).toBe(2);
});

test('a damaged entry, or one whose code is another, is not used', () => {
  inspect();
  const [name = ''] = readdirSync(cache());
  const entry = join(cache(), name);
  for (const text of ['', '{', '[]', '{"report":{"tls":[]},"code":["00"]}']) {
    writeFileSync(entry, text);
    expect(inspect().tls).toHaveLength(1);
  }
  expect(searches).toBe(5);
});

test('a cache that cannot be made is none', () => {
  writeFileSync(cache(), '');
  expect(inspect().tls).toHaveLength(1);
  expect(inspect().tls).toHaveLength(1);
  expect(searches).toBe(2);
});

test('the place follows XDG', () => {
  expect(inspectionCachePath({ XDG_CACHE_HOME: '/x' })).toBe('/x/agsight/inspected');
  expect(inspectionCachePath({})).toMatch(/\/\.cache\/agsight\/inspected$/);
});
