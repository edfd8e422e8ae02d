// ELF files with known answers, made by the system's compiler in a directory of the test's own.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Workshop {
  path(name: string): string;
  /** Compiles C (or assembler in `asm()`) and returns the path of the result. */
  compile(name: string, source: string, flags?: readonly string[]): string;
  /** Writes bytes and returns the path. */
  write(name: string, bytes: string | Uint8Array): string;
  close(): void;
}

export function openWorkshop(): Workshop {
  const directory = mkdtempSync(join(tmpdir(), 'agsight-elf-'));
  const path = (name: string) => join(directory, name);
  const write = (name: string, bytes: string | Uint8Array) => {
    writeFileSync(path(name), bytes);
    return path(name);
  };
  return {
    path,
    write,
    compile(name, source, flags = []) {
      const sourceFile = write(`${name}.c`, source);
      execFileSync('gcc', ['-O1', '-o', path(name), sourceFile, ...flags], {
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      return path(name);
    },
    close: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** Flags of a shared library that holds nothing but the source. */
export const bareLibrary = ['-shared', '-fPIC', '-nostdlib', '-Wl,--build-id=none'];

/** Address of each defined function, as binutils see it. */
export function functionAddresses(path: string): Map<string, number> {
  const lines = execFileSync('nm', ['--defined-only', path], { encoding: 'utf8' }).split('\n');
  return new Map(
    lines.flatMap((line): [string, number][] => {
      const [, address, name] = /^([0-9a-f]+) [tT] (\S+)$/.exec(line) ?? [];
      return address === undefined || name === undefined ? [] : [[name, Number.parseInt(address, 16)]];
    }),
  );
}

/** The file after `strip`, under a name of its own. */
export function strip(path: string): string {
  const stripped = `${path}.stripped`;
  execFileSync('strip', ['-o', stripped, path]);
  return stripped;
}
