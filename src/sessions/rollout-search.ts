// Finds rollout files below a directory. Owns the layouts of a CODEX_HOME (dated, flat and archived) and what
// is said about files that look like rollouts and are not read.
import { type Dirent, existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { AgsightError, systemErrorCode } from '../errors.js';
import { parseRolloutName } from './rollout-name.js';

export interface SkippedFile {
  file: string;
  reason: string;
}

export interface FoundRollouts {
  /** Paths of files to read, in a stable order: active sessions before archived ones. */
  files: string[];
  skipped: SkippedFile[];
}

/** Deepest nesting that is searched: sessions/YYYY/MM/DD needs four. */
const MAX_DEPTH = 16;
const HOME_DIRECTORIES = ['sessions', 'archived_sessions'];

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
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) {
      if (depth < MAX_DEPTH) search(path, depth + 1, found);
      else found.skipped.push({ file: path, reason: `is nested deeper than ${MAX_DEPTH} directories` });
    } else if (entry.name.startsWith('rollout-')) {
      const reason = reasonToSkip(entry.name);
      if (reason === undefined) found.files.push(path);
      else found.skipped.push({ file: path, reason });
    }
  }
}

/** Why a file is not read, by its name; undefined when it is a rollout file. */
export function reasonToSkip(name: string): string | undefined {
  const parsed = parseRolloutName(name);
  if (parsed?.compressed === true)
    return 'is compressed (.jsonl.zst), which is not read yet: decompress it with zstd -d';
  if (parsed !== undefined) return undefined;
  if (name.endsWith('.json'))
    return 'is a rollout of a very old Codex (one JSON document), which is not read yet';
  return 'is not named as Codex names rollout files (rollout-TIME-UUID.jsonl)';
}
