// The directory that a capture writes into: new or empty, readable by its owner only.

import { chmodSync, mkdirSync, readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { AgsightError, systemErrorCode } from '../errors.js';

/** Errors: `output-exists` when there is something in it, `output` when it is no directory. */
export function requireFreeDirectory(directory: string): void {
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch (cause) {
    const code = systemErrorCode(cause);
    if (code === 'ENOENT') return;
    throw unusable(directory, code === 'ENOTDIR' ? 'is not a directory' : `cannot be read: ${code}`, cause);
  }
  if (names.length === 0) return;
  throw new AgsightError('output-exists', 'the output directory is not empty', {
    file: directory,
    remedy: 'name a new one with -o, or remove it',
  });
}

/** Makes the directory and those above it. Errors: those of `requireFreeDirectory`; `output` when it cannot be made. */
export function createBundleDirectory(directory: string): void {
  try {
    makeDirectories(directory);
  } catch (cause) {
    throw unusable(directory, `cannot be made: ${systemErrorCode(cause)}`, cause);
  }
  requireFreeDirectory(directory);
  try {
    // It may have been there, open to others.
    chmodSync(directory, 0o700);
  } catch (cause) {
    throw unusable(directory, `cannot be closed to others: ${systemErrorCode(cause)}`, cause);
  }
}

/** Not Node's recursive mkdir, which never returns where a file system such as /proc answers ENOENT to it. */
function makeDirectories(directory: string): void {
  try {
    mkdirSync(directory, { mode: 0o700 });
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'EEXIST') return;
    if (code !== 'ENOENT' || dirname(directory) === directory) throw error;
    makeDirectories(dirname(directory));
    mkdirSync(directory, { mode: 0o700 });
  }
}

function unusable(directory: string, what: string, cause: unknown): AgsightError {
  return new AgsightError('output', what, {
    file: directory,
    remedy: 'name another directory with -o',
    cause,
  });
}

/** `agsight-20261120-131500`: the local time, so that a person finds it again. */
export function defaultBundleDirectory(now: Date): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = `${now.getFullYear()}${two(now.getMonth() + 1)}${two(now.getDate())}`;
  return `agsight-${day}-${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}`;
}
