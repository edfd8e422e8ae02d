// Finds rollout files below a directory. Owns the layouts of a CODEX_HOME (dated, flat and archived) and what
// is said about files that look like rollouts and are not read.
import { type Dirent, existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { AgsightError, systemErrorCode } from '../errors.js';
import { parseRolloutName, representations, uuidTime } from './rollout-name.js';

export interface SkippedFile {
  file: string;
  reason: string;
}

export interface FoundRollouts {
  /** Paths of files to read, active sessions before archived ones. */
  files: string[];
  skipped: SkippedFile[];
}

/** Deepest nesting that is searched: sessions/YYYY/MM/DD needs four. */
const MAX_DEPTH = 16;
const HOME_DIRECTORIES = ['sessions', 'archived_sessions'];

export const NOT_A_ROLLOUT_NAME =
  'is not named as Codex names rollout files (rollout-TIME-UUID.jsonl, or .jsonl.zst)';

/**
 * The rollout files of a CODEX_HOME, or below any other directory. Links to directories are not followed.
 *
 * @throws AgsightError `unreadable` when the directory itself cannot be read
 */
export function findRollouts(directory: string): FoundRollouts {
  const found: FoundRollouts = { files: [], skipped: [] };
  const homeDirectories = HOME_DIRECTORIES.map((name) => join(directory, name)).filter((path) =>
    existsSync(path),
  );
  for (const root of homeDirectories.length > 0 ? homeDirectories : [directory]) search(root, 0, found);
  return found;
}

/**
 * Paths in the order in which their threads were made, so that a thread comes after the one it copied from;
 * of two files of one thread, the plain one before the compressed one.
 */
export function byCreation(paths: readonly string[]): string[] {
  return paths
    .map((path) => {
      const name = parseRolloutName(basename(path));
      const created =
        name && (uuidTime(name.threadId) ?? Date.parse(`${name.localTime.slice(0, 10)}T00:00Z`));
      return { path, created: created ?? Number.MAX_SAFE_INTEGER, isCompressed: name?.form === 'zst' };
    })
    .sort((a, b) => a.created - b.created || Number(a.isCompressed) - Number(b.isCompressed))
    .map(({ path }) => path);
}

function search(directory: string, depth: number, found: FoundRollouts): void {
  let entries: Dirent[];
  try {
    entries = readdirSync(directory, { withFileTypes: true });
  } catch (cause) {
    const reason = `cannot be read: ${systemErrorCode(cause) ?? String(cause)}`;
    if (depth > 0) found.skipped.push({ file: directory, reason });
    else
      throw new AgsightError('unreadable', reason, {
        file: directory,
        remedy: 'check the path and its permissions',
        cause,
      });
    return;
  }
  const names = new Set(entries.map(({ name }) => name));
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) {
      if (depth < MAX_DEPTH) search(path, depth + 1, found);
      else found.skipped.push({ file: path, reason: `is nested deeper than ${MAX_DEPTH} directories` });
    } else if (entry.name.startsWith('rollout-')) {
      const name = parseRolloutName(entry.name);
      if (name === undefined) found.skipped.push({ file: path, reason: NOT_A_ROLLOUT_NAME });
      // While both forms exist, the compressed one is not finished or no longer meant.
      else if (name.form !== 'zst' || !names.has(representations(entry.name).plain)) found.files.push(path);
    }
  }
}
