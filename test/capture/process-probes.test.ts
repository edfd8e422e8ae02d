import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { KernelProgram } from '../../src/bpf/kernel-program.js';
import { ProcessProbes } from '../../src/capture/process-probes.js';
import { setVerbosity } from '../../src/render/notes.js';
import { bareLibrary, openWorkshop } from '../elf/build.js';
import { requireRoot } from '../support/requirements.js';

let directory: string;
let program: string;

beforeEach((context) => {
  requireRoot(context);
  directory = mkdtempSync(join(tmpdir(), 'agsight-probes-'));
  vi.stubEnv('XDG_CACHE_HOME', join(directory, 'cache'));
  program = join(directory, 'program');
  copyFileSync('/bin/true', program);
});

afterEach(() => {
  vi.restoreAllMocks();
  setVerbosity('normal');
  vi.unstubAllEnvs();
  rmSync(directory, { recursive: true, force: true });
});

/** How often the kernel announces the program in one capture, of two runs; after each what was announced is attended to. */
async function announcements(): Promise<number> {
  const kernel = await KernelProgram.load(1 << 20, { operations: true });
  try {
    const probes = new ProcessProbes(kernel);
    kernel.follow(process.pid, process.pid);
    probes.lookAhead();
    let count = 0;
    for (let run = 0; run < 2; run++) {
      const { pid } = spawnSync(program);
      for (const notice of kernel.drainNotices()) if (notice.pid === pid && notice.of === 'program') count++;
      // As of a process that still runs.
      probes.probeCommand(program);
    }
    probes.remember();
    return count;
  } finally {
    await kernel.release();
  }
}

test('a program without TLS is announced once, and in later captures not at all until it has changed', async () => {
  expect(await announcements()).toBe(1);
  expect(await announcements()).toBe(0);
  utimesSync(program, new Date(0), new Date(0));
  expect(await announcements()).toBe(1);
});

/** What is told of a command that is not probed. */
async function notesOf(path: string): Promise<string[]> {
  const error = vi.spyOn(console, 'error').mockImplementation(() => {});
  const kernel = await KernelProgram.load(1 << 20, { operations: true });
  try {
    new ProcessProbes(kernel).probeCommand(path);
  } finally {
    await kernel.release();
  }
  return error.mock.calls.splice(0).flat();
}

test('that a program is without TLS is only told with -v, that its TLS is not known always', async () => {
  const workshop = openWorkshop();
  onTestFinished(workshop.close);
  const strange = workshop.compile(
    'strange',
    'const char text[] = "OpenSSL 3.6.4 25 Aug 2026"; int main(void) { return text[0]; }',
  );
  const foreign = workshop.compile('libmbedtls.so.14', 'int mbedtls(void) { return 1; }', [
    ...bareLibrary,
    '-Wl,-soname,libmbedtls.so.14',
  ]);
  const links = workshop.compile('links', 'int mbedtls(void); int main(void) { return mbedtls(); }', [
    foreign,
    '-Wl,-rpath,$ORIGIN',
  ]);
  expect(await notesOf(program)).toEqual([]);
  for (const path of [strange, links]) {
    expect(await notesOf(path)).toEqual([
      `agsight: no known TLS function in ${path}; watching what it loads and starts`,
    ]);
  }
  setVerbosity('verbose');
  expect(await notesOf(program)).toEqual([
    `agsight: no TLS library in ${program}; watching what it loads and starts`,
  ]);
});
