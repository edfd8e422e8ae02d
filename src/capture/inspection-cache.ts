// What was found in programs, kept from one capture to the next, so that attaching to one that is known does not wait for
// a search of its code. Owns ~/.cache/agsight/inspected.

import { closeSync, existsSync, openSync, readdirSync, readSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { BinaryReport } from '../elf/binary.js';
import { functionsOf } from '../elf/tls-library.js';
import { cacheDirectory, inspectionKey, readCacheFile, writeCacheFile } from './cache-file.js';

const CACHE_LIMITS = {
  /** Cheaper answers are found anew: reading one takes half a millisecond. */
  worthMs: 1,
  files: 1000,
  fileBytes: 1 << 20,
} as const;
const codeBytes = 16;

interface Entry {
  report: BinaryReport;
  /** The first bytes of each function, and those where it returns, in the order of the report, hexadecimal. */
  code: string[];
}

/** `inspected` in the cache of agsight. */
export function inspectionCachePath(env?: NodeJS.ProcessEnv): string {
  return join(cacheDirectory(env), 'inspected');
}

/**
 * What `inspect` finds in the file at `path`: remembered for a file that is exactly as it was, by inode, size and times.
 * Errors: those of `inspect`.
 */
export function inspectOnce(
  path: string,
  inspect: (path: string) => BinaryReport,
  directory = inspectionCachePath(),
): BinaryReport {
  const file = join(directory, `${inspectionKey(path)}.json`);
  const known = read(file, path);
  if (known !== undefined) return known;
  const startMs = performance.now();
  const report = inspect(path);
  if (performance.now() - startMs >= CACHE_LIMITS.worthMs) write(directory, file, path, report);
  return report;
}

function read(file: string, path: string): BinaryReport | undefined {
  const text = readCacheFile(file, CACHE_LIMITS.fileBytes);
  if (text === undefined) return undefined;
  try {
    const { report, code }: Entry = JSON.parse(text);
    return codeAt(path, report).join() === code.join() ? { ...report, path } : undefined;
  } catch {
    return undefined;
  }
}

function write(directory: string, file: string, path: string, report: BinaryReport): void {
  try {
    // Oldest or newest makes no difference here: what is still needed comes back.
    const names = existsSync(directory) ? readdirSync(directory) : [];
    for (const name of names.slice(CACHE_LIMITS.files - 1)) rmSync(join(directory, name));
    const entry: Entry = { report, code: codeAt(path, report) };
    writeCacheFile(file, JSON.stringify(entry));
  } catch {
    // It is searched again next time.
  }
}

function codeAt(path: string, { tls }: BinaryReport): string[] {
  const descriptor = openSync(path, 'r');
  try {
    const places = tls.flatMap(functionsOf).flatMap(({ offset, returns = [] }) => [offset, ...returns]);
    return places.map((offset) => {
      const bytes = Buffer.alloc(codeBytes);
      readSync(descriptor, bytes, 0, codeBytes, offset);
      return bytes.toString('hex');
    });
  } finally {
    closeSync(descriptor);
  }
}
