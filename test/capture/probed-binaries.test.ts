import { copyFileSync, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ProbedBinaries } from '../../src/capture/probed-binaries.js';
import { AgsightError } from '../../src/errors.js';
import { buildTlsGenerator } from '../support/tls-generator.js';

const generator = buildTlsGenerator();
let directory: string;
let file: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'agsight-probed-'));
  vi.stubEnv('XDG_CACHE_HOME', directory);
  file = join(directory, 'library');
  copyFileSync(generator, file);
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(directory, { recursive: true, force: true });
});

test('a file is probed although the path that led to it goes before that, as those of a process do', () => {
  const attach = vi.fn((path: string) => {
    rmSync(file);
    expect(existsSync(path)).toBe(true);
    return [];
  });
  const binaries = new ProbedBinaries({ attach, ignore: vi.fn() });
  expect(binaries.probe(file, 'library')).toMatchObject({ path: 'library' });
  expect(attach).toHaveBeenCalledWith(expect.any(String), expect.any(Array), 'library');
});

test('a file that could not be probed is tried again for the next process, one that was is not', () => {
  const attach = vi
    .fn(() => [])
    .mockImplementationOnce(() => {
      throw new AgsightError('attach', 'cannot probe it');
    });
  const ignore = vi.fn();
  const binaries = new ProbedBinaries({ attach, ignore });
  expect(() => binaries.probe(file)).toThrow('cannot probe it');
  const first = binaries.probe(file);
  expect(first?.probes.length).toBeGreaterThan(0);
  expect(binaries.probe(file)).toBe(first);
  expect(attach).toHaveBeenCalledTimes(2);
  expect(ignore).not.toHaveBeenCalled();
});

test('later captures need not hear of programs without TLS, but of libraries', () => {
  const library = join(directory, 'libgnutls-other.so');
  copyFileSync('/bin/sh', library);
  const binaries = new ProbedBinaries({ attach: vi.fn(() => []), ignore: vi.fn() });
  for (const path of [file, library, '/bin/sh']) binaries.probe(path);
  binaries.plain.keep();
  const known = new ProbedBinaries({ attach: vi.fn(), ignore: vi.fn() }).plain.unchanged();
  expect(known.map(({ ino }) => ino)).toEqual([statSync('/bin/sh').ino]);
});

test('what has no functions to probe, or is no program, is heard of no more', () => {
  const ignore = vi.fn();
  const binaries = new ProbedBinaries({ attach: vi.fn(), ignore });
  const script = join(directory, 'script');
  writeFileSync(script, '#!/bin/sh\n');
  expect(() => binaries.probe(script)).toThrow(AgsightError);
  expect(binaries.probe(script)).toBeUndefined();
  expect(binaries.probe('/bin/sh')).toBeUndefined();
  const files = ignore.mock.calls.map(([{ ino }]) => ino);
  expect(files).toEqual([statSync(script).ino, statSync('/bin/sh').ino]);
});
