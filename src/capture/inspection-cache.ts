// What was found in programs, kept from one capture to the next, so that attaching to one that is known does not wait for
// a search of its code. Owns the files below ~/.cache/agsight; a cache that cannot be used is none.

import { createHash } from 'node:crypto';
import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { type BinaryReport, functionsOf } from '../elf/binary.js';
import { tablesIdentity } from '../elf/offset-table.js';
import { version } from '../version.js';

const CACHE_LIMITS = {
  /** Cheaper answers are found anew: reading one takes half a millisecond. */
  worthMs: 1,
  files: 1000,
  fileBytes: 1 << 20,
} as const;
const codeBytes = 16;
const groupOrOthersMayWrite = 0o022;

interface Entry {
  report: BinaryReport;
  /** The first bytes of each function, in the order of the report, hexadecimal. */
  code: string[];
}

/** `agsight/inspected` under XDG_CACHE_HOME, which is ~/.cache unless set. */
export function inspectionCachePath(env: NodeJS.ProcessEnv = process.env): string {
  return join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'agsight', 'inspected');
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
  const file = join(directory, `${keyOf(path)}.json`);
  const known = read(file, path);
  if (known !== undefined) return known;
  const startMs = performance.now();
  const report = inspect(path);
  if (performance.now() - startMs >= CACHE_LIMITS.worthMs) write(directory, file, path, report);
  return report;
}

function keyOf(path: string): string {
  const { dev, ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
  return createHash('sha256')
    .update([version, tablesIdentity(), dev, ino, size, mtimeNs, ctimeNs].join(' '))
    .digest('hex');
}

function read(file: string, path: string): BinaryReport | undefined {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(file, 'r');
    const { uid, mode, size } = fstatSync(descriptor);
    // Whoever could write it could have us put probes into any place of any program.
    if (
      uid !== process.geteuid?.() ||
      (mode & groupOrOthersMayWrite) !== 0 ||
      size > CACHE_LIMITS.fileBytes
    ) {
      return undefined;
    }
    const { report, code }: Entry = JSON.parse(readFileSync(descriptor, 'utf8'));
    return codeAt(path, report).join() === code.join() ? { ...report, path } : undefined;
  } catch {
    return undefined;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

function write(directory: string, file: string, path: string, report: BinaryReport): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const names = readdirSync(directory);
    // Oldest or newest makes no difference here: what is still needed comes back.
    for (const name of names.slice(CACHE_LIMITS.files - 1)) rmSync(join(directory, name));
    const entry: Entry = { report, code: codeAt(path, report) };
    writeFileSync(`${file}.${process.pid}`, JSON.stringify(entry), { mode: 0o600 });
    renameSync(`${file}.${process.pid}`, file);
  } catch {
    // It is searched again next time.
  }
}

function codeAt(path: string, { tls }: BinaryReport): string[] {
  const descriptor = openSync(path, 'r');
  try {
    return tls.flatMap(functionsOf).map(({ offset }) => {
      const bytes = Buffer.alloc(codeBytes);
      readSync(descriptor, bytes, 0, codeBytes, offset);
      return bytes.toString('hex');
    });
  } finally {
    closeSync(descriptor);
  }
}
