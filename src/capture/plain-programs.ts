// Programs without any TLS, as nearly all are that a target runs. Those that earlier captures have met need not be
// announced to this one. Owns ~/.cache/agsight/plain-programs.json.

import { type Stats, statSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDirectory, inspectionKey, readCacheFile, writeCacheFile } from './cache-file.js';

const PLAIN_LIMITS = {
  /** Asking for one more takes a tenth of a millisecond, before the target begins. */
  programs: 128,
  fileBytes: 1 << 20,
} as const;

interface PlainProgram {
  path: string;
  /** As `inspectionKey`. */
  key: string;
}

export class PlainPrograms {
  readonly #file: string;
  #known: PlainProgram[] | undefined;
  readonly #met = new Map<string, Stats>();

  constructor(file = join(cacheDirectory(), 'plain-programs.json')) {
    this.#file = file;
  }

  /** Those of earlier captures that are exactly as they were. */
  unchanged(): Stats[] {
    const found: Stats[] = [];
    this.#known = read(this.#file).filter(({ path, key }) => {
      const stats = keyOf(path) === key ? statsOf(path) : undefined;
      if (stats !== undefined) found.push(stats);
      return stats !== undefined;
    });
    return found;
  }

  /** One that this capture has met. */
  add(path: string, stats: Stats): void {
    this.#met.set(path, stats);
  }

  /** Leaves them to later captures: the new ones, and as many of the others as there is room for. */
  keep(): void {
    const met = [...this.#met].filter(([path, stats]) => isStill(path, stats));
    if (met.length === 0) return;
    const fresh = met.map(([path]) => ({ path, key: keyOf(path) }));
    const known = (this.#known ?? read(this.#file)).filter(({ path }) => !this.#met.has(path));
    writeCacheFile(this.#file, JSON.stringify([...fresh, ...known].slice(0, PLAIN_LIMITS.programs)));
  }
}

/** Whether it is the file that was examined: a process may have known it by a path of a container, or it was replaced. */
function isStill(path: string, examined: Stats): boolean {
  const now = statsOf(path);
  return (['dev', 'ino', 'size', 'mtimeMs', 'ctimeMs'] as const).every(
    (name) => now?.[name] === examined[name],
  );
}

function statsOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

function keyOf(path: string): string | undefined {
  try {
    return inspectionKey(path);
  } catch {
    return undefined;
  }
}

function read(file: string): PlainProgram[] {
  try {
    const entries: unknown = JSON.parse(readCacheFile(file, PLAIN_LIMITS.fileBytes) ?? '[]');
    return Array.isArray(entries) ? entries.filter(isPlainProgram).slice(0, PLAIN_LIMITS.programs) : [];
  } catch {
    return [];
  }
}

function isPlainProgram(entry: unknown): entry is PlainProgram {
  return (
    typeof entry === 'object' &&
    entry !== null &&
    'path' in entry &&
    typeof entry.path === 'string' &&
    'key' in entry &&
    typeof entry.key === 'string'
  );
}
