// Files with TLS in them that whatever a target starts is likely to use: libraries where the loader looks for them, and the
// runtimes of agents along PATH. They are inspected before they are met, so that nothing but setting the probes is left
// to do between the moment when the kernel announces one and its first call.

import { readdirSync, realpathSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { libraryDirectories } from '../elf/linked-libraries.js';
import { sharedTlsLibrary } from './probed-binaries.js';

const runtimes = ['node', 'bun', 'deno', 'codex', 'claude'];
const mostFiles = 32;

/** Paths of such files of this host, symbolic links resolved, each once. */
export function likelyFiles(searchPath = process.env.PATH ?? ''): string[] {
  const libraries = libraryDirectories(process.arch === 'x64' ? 'x86_64' : 'aarch64').flatMap((directory) =>
    namesIn(directory)
      .filter((name) => sharedTlsLibrary.test(name))
      .map((name) => join(directory, name)),
  );
  const programs = searchPath
    .split(delimiter)
    .filter((directory) => directory !== '')
    .flatMap((directory) => runtimes.map((name) => join(directory, name)));
  const found = new Set<string>();
  for (const path of [...libraries, ...programs]) {
    if (found.size === mostFiles) break;
    const file = resolved(path);
    if (file !== undefined) found.add(file);
  }
  return [...found];
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function resolved(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}
