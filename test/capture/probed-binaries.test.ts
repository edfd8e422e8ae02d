import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
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
  const binaries = new ProbedBinaries({ attach });
  expect(binaries.probe(file, 'library')).toMatchObject({ path: 'library' });
  expect(attach).toHaveBeenCalledWith(expect.any(String), expect.any(Array), 'library');
});

test('a file that could not be probed is tried again for the next process, one that was is not', () => {
  const attach = vi
    .fn(() => [])
    .mockImplementationOnce(() => {
      throw new AgsightError('attach', 'cannot probe it');
    });
  const binaries = new ProbedBinaries({ attach });
  expect(() => binaries.probe(file)).toThrow('cannot probe it');
  const first = binaries.probe(file);
  expect(first?.probes.length).toBeGreaterThan(0);
  expect(binaries.probe(file)).toBe(first);
  expect(attach).toHaveBeenCalledTimes(2);
});
