// Compiles file-operations.c and reads the record that it keeps of itself.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

/** Path of the compiled program; removed when the test file is done. */
export function buildFileOperations(): string {
  const directory = mkdtempSync(join(tmpdir(), 'agsight-operations-'));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  const source = new URL('file-operations.c', import.meta.url).pathname;
  const path = join(directory, 'file-operations');
  execFileSync('cc', ['-O1', '-pthread', '-o', path, source]);
  return path;
}

/** One system call as the program itself tells of it, with absolute paths; null for what the call has not. */
export interface ToldCall {
  operation: string;
  errno: number;
  path: string | null;
  target: string | null;
  mode: number | null;
  uid: number | null;
  gid: number | null;
}

/** What the program printed when it worked in `directory`. */
export function parseToldCalls(output: string, directory: string): ToldCall[] {
  const absolute = (path: string): string => (path.startsWith('/') ? path : `${directory}/${path}`);
  const number = (text: string | undefined): number | null => (text === '-1' ? null : Number(text));
  return output
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [operation = '', errno = '', path = '', target = '', mode, uid, gid] = line.split('\t');
      return {
        operation,
        errno: Number(errno),
        path: path === '-' ? null : absolute(path),
        // What a symbolic link says is no path of ours.
        target: target === '-' ? null : operation === 'symlink' ? target : absolute(target),
        mode: number(mode),
        uid: number(uid),
        gid: number(gid),
      };
    });
}
