// The bundle that the demo shows where capture cannot run: it must stay readable by the commands that it is shown with.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const agsight = fileURLToPath(new URL('../../bin/agsight.js', import.meta.url));
const sample = fileURLToPath(new URL('../fixtures/demo', import.meta.url));

const run = (...args: string[]): string =>
  execFileSync(process.execPath, [agsight, ...args], { encoding: 'utf8' });

test('the sample reduces without a fault, and its rollout file is of the same thread', () => {
  const directory = mkdtempSync(join(tmpdir(), 'agsight-sample-'));
  try {
    const output = join(directory, 'state.json');
    run('reduce', join(sample, 'bundle'), '-o', output, '--strict');
    const state = JSON.parse(readFileSync(output, 'utf8'));
    const { sessions } = JSON.parse(run('session-map', join(sample, 'codex-home'), '--json'));
    expect(state).toMatchObject({ status: 'completed', root_thread_id: sessions[0].threads[0].thread_id });
    expect(Object.keys(state.inference_calls)).toHaveLength(2);
    expect(sessions[0].threads[0].responses).toHaveLength(2);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
