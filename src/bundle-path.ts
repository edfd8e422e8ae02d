// What keeps a path from being the directory of a bundle. The one place that puts it into words, for every command that
// takes one.

import { statSync } from 'node:fs';
import { systemErrorCode } from './errors.js';

/** A phrase, or undefined when `path` is a directory or cannot be looked at: whoever reads it says why. */
export function pathFault(path: string): string | undefined {
  try {
    return statSync(path).isDirectory() ? undefined : 'is a file, not a directory';
  } catch (error) {
    const code = systemErrorCode(error);
    return code === 'ENOENT' || code === 'ENOTDIR' ? 'there is no such directory' : undefined;
  }
}
