// Files that captures keep for later ones, below ~/.cache/agsight: read only when nobody else could have written them. A
// cache that cannot be used is none.

import { createHash } from 'node:crypto';
import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { tablesIdentity } from '../elf/offset-table.js';
import { version } from '../version.js';

const groupOrOthersMayWrite = 0o022;

/** `agsight` under XDG_CACHE_HOME, which is ~/.cache unless set. */
export function cacheDirectory(env: NodeJS.ProcessEnv = process.env): string {
  return join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'agsight');
}

/**
 * Stands for what this version of agsight finds in the file at `path`, as long as inode, size and times are the same.
 * Errors: those of stat(2).
 */
export function inspectionKey(path: string): string {
  const { dev, ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
  return createHash('sha256')
    .update([version, tablesIdentity(), dev, ino, size, mtimeNs, ctimeNs].join(' '))
    .digest('hex');
}

/** Undefined for a file that is not there, is larger than `limitBytes` or may have been written by somebody else. */
export function readCacheFile(file: string, limitBytes: number): string | undefined {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(file, 'r');
    const { uid, mode, size } = fstatSync(descriptor);
    // Whoever could write it could have us put probes into any place of any program, or into none.
    const isOurs = uid === process.geteuid?.() && (mode & groupOrOthersMayWrite) === 0;
    return isOurs && size <= limitBytes ? readFileSync(descriptor, 'utf8') : undefined;
  } catch {
    return undefined;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/** The new file takes the place of the old one when it is whole. What cannot be written is found anew next time. */
export function writeCacheFile(file: string, text: string): void {
  const fresh = `${file}.${process.pid}`;
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    writeFileSync(fresh, text, { mode: 0o600 });
    renameSync(fresh, file);
  } catch {
    // Nobody waits for it.
  }
}
