import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { createBundleDirectory, defaultBundleDirectory } from '../../src/capture/bundle-directory.js';

const directory = mkdtempSync(join(tmpdir(), 'agsight-output-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test('directories are made as deep as asked, for their owner only', () => {
  const path = join(directory, 'a', 'b', 'c');
  createBundleDirectory(path);
  for (const made of [path, join(directory, 'a')]) expect(statSync(made).mode & 0o777).toBe(0o700);
  createBundleDirectory(path);
});

test('a directory that was there is closed to others', () => {
  const path = join(directory, 'open');
  mkdirSync(path, { mode: 0o755 });
  createBundleDirectory(path);
  expect(statSync(path).mode & 0o777).toBe(0o700);
});

test('what is in use is refused and left as it is', () => {
  const used = join(directory, 'used');
  mkdirSync(used);
  writeFileSync(join(used, 'file'), '');
  expect(() => createBundleDirectory(used)).toThrow(
    /used: the output directory is not empty \(name a new one with -o/,
  );
  expect(() => createBundleDirectory(join(used, 'file'))).toThrow(/file: is not a directory \(/);
  expect(() => createBundleDirectory(join(used, 'file', 'below'))).toThrow(
    /below: cannot be made: ENOTDIR \(/,
  );
  expect(existsSync(join(used, 'file'))).toBe(true);
});

test('a file system that makes no directories is told, not waited for', () => {
  expect(() => createBundleDirectory('/proc/none/bundle')).toThrow(
    /^\/proc\/none\/bundle: cannot be made: E[A-Z]+ \(/,
  );
});

test('the default name is the local time', () => {
  expect(defaultBundleDirectory(new Date(2026, 0, 2, 3, 4, 5))).toBe('agsight-20260102-030405');
});
