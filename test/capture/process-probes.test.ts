import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { KernelProgram } from '../../src/bpf/kernel-program.js';
import { ProcessProbes } from '../../src/capture/process-probes.js';
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
