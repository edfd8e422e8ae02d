// ELF files with known answers, made by the system's compiler in a directory of the test's own.

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAddressMap } from '../../src/elf/address-map.js';
import { BinaryFile } from '../../src/elf/file.js';
import { type Arch, readHeaders } from '../../src/elf/headers.js';

export interface Workshop {
  path(name: string): string;
  /** Compiles C (or assembler in `asm()`) and returns the path of the result. `compiler`: gcc unless named. */
  compile(name: string, source: string, flags?: readonly string[], compiler?: string): string;
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
    compile(name, source, flags = [], compiler = 'gcc') {
      const sourceFile = write(`${name}.c`, source);
      execFileSync(compiler, ['-O1', '-o', path(name), sourceFile, ...flags], {
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

/** Bytes of each defined function, as binutils see it. */
export function functionSizes(path: string): Map<string, number> {
  const lines = execFileSync('nm', ['--defined-only', '--print-size', path], { encoding: 'utf8' }).split(
    '\n',
  );
  return new Map(
    lines.flatMap((line): [string, number][] => {
      const [, size, name] = /^[0-9a-f]+ ([0-9a-f]+) [tT] (\S+)$/.exec(line) ?? [];
      return size === undefined || name === undefined ? [] : [[name, Number.parseInt(size, 16)]];
    }),
  );
}

/** The file after `strip`, under a name of its own. `prefix`: of the tools, for another architecture. */
export function strip(path: string, prefix = ''): string {
  const stripped = `${path}.stripped`;
  execFileSync(`${prefix}strip`, ['-o', stripped, path]);
  return stripped;
}

/** File offset of each defined function. */
export function functionOffsets(path: string): Map<string, number> {
  const file = BinaryFile.open(path);
  try {
    const map = createAddressMap(readHeaders(file).segments);
    const places = [...functionAddresses(path)].map(([name, vaddr]) => [name, map.toOffset(vaddr)] as const);
    return new Map(places.flatMap(([name, offset]) => (offset === undefined ? [] : [[name, offset]])));
  } finally {
    file.close();
  }
}

export interface Toolchain {
  arch: Arch;
  compiler: string;
  prefix: string;
}

/** The compilers of this machine that make programs for the two architectures: its own, and cross compilers. */
export function toolchains(): Toolchain[] {
  const native: Toolchain = {
    arch: process.arch === 'arm64' ? 'aarch64' : 'x86_64',
    compiler: 'gcc',
    prefix: '',
  };
  const crossPrefix = native.arch === 'x86_64' ? 'aarch64-linux-gnu-' : 'x86_64-linux-gnu-';
  const cross: Toolchain = {
    arch: native.arch === 'x86_64' ? 'aarch64' : 'x86_64',
    compiler: `${crossPrefix}gcc`,
    prefix: crossPrefix,
  };
  const hasCross = spawnSync(cross.compiler, ['--version'], { stdio: 'ignore' }).status === 0;
  return hasCross ? [native, cross] : [native];
}
