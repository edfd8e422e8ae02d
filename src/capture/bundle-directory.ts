// The directory that a capture writes into: new or empty, readable by its owner only.

import { mkdirSync, readdirSync } from 'node:fs';
import { AgsightError, systemErrorCode } from '../errors.js';

/** Errors: `output-exists` when there is something in it, `output` when it cannot be made. */
export function createBundleDirectory(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    if (readdirSync(directory).length === 0) return;
  } catch (cause) {
    const what =
      systemErrorCode(cause) === 'EEXIST'
        ? 'is not a directory'
        : `cannot be made: ${systemErrorCode(cause)}`;
    throw new AgsightError('output', what, {
      file: directory,
      remedy: 'name another directory with -o',
      cause,
    });
  }
  throw new AgsightError('output-exists', 'the output directory is not empty', {
    file: directory,
    remedy: 'name a new one with -o, or remove it',
  });
}

/** `agsight-20261120-131500`: the local time, so that a person finds it again. */
export function defaultBundleDirectory(now: Date): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = `${now.getFullYear()}${two(now.getMonth() + 1)}${two(now.getDate())}`;
  return `agsight-${day}-${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}`;
}
