// `agsight reduce`: what it prints and its exit codes.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterAll, afterEach, expect, test, vi } from 'vitest';
import { reduceCommand } from '../../src/commands/reduce.js';
import { bundleSet, recordedBundle, scratch, unpackBundle } from '../support/bundles.js';

const { dir, remove } = scratch();
afterAll(remove);
afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
});

async function run(...args: string[]): Promise<{ out: string; err: string; exitCode: unknown }> {
  const printed: Record<'log' | 'error', string[]> = { log: [], error: [] };
  for (const stream of ['log', 'error'] as const) {
    vi.spyOn(console, stream).mockImplementation((line: string) => void printed[stream].push(line));
  }
  const program = new Command('agsight').option('--json').addCommand(reduceCommand()).exitOverride();
  await program.parseAsync(['node', 'agsight', ...args]);
  const exitCode = process.exitCode ?? 0;
  return { out: printed.log.join('\n'), err: printed.error.join('\n'), exitCode };
}

const exec = recordedBundle('exec');
const garbage = bundleSet('damaged')['garbage-middle-line'];

test('prints the path of the state, like the reference', async () => {
  const bundle = unpackBundle(exec, join(dir, 'whole'));
  expect(await run('reduce', bundle)).toEqual({ out: join(bundle, 'state.json'), err: '', exitCode: 0 });
  const output = join(dir, 'elsewhere.json');
  expect(await run('trace-reduce', '-o', output, bundle)).toEqual({ out: output, err: '', exitCode: 0 });
  expect(readFileSync(output, 'latin1')).toBe(exec.state);
});

test('names the first fault and exits with 3', async () => {
  const bundle = unpackBundle(garbage ?? exec, join(dir, 'faulty'));
  const { out, err, exitCode } = await run('reduce', bundle);
  expect(out).toBe(join(bundle, 'state.json'));
  expect(err).toBe(
    `agsight: ${bundle}: line 7: parse trace event line 7: expected value at line 1 column 1 (see anomalies.json)`,
  );
  expect(exitCode).toBe(3);
});

test('--strict says what the reference says, writes nothing and exits with 1', async () => {
  const bundle = unpackBundle(garbage ?? exec, join(dir, 'strict'));
  const { out, err, exitCode } = await run('reduce', '--strict', bundle);
  expect(out).toBe('');
  expect(err).toBe(`Error: ${garbage?.error}`);
  expect(exitCode).toBe(1);
  expect(existsSync(join(bundle, 'state.json'))).toBe(false);
});

test('--json prints one object', async () => {
  const bundle = unpackBundle(garbage ?? exec, join(dir, 'json'));
  const { out, exitCode } = await run('--json', 'reduce', bundle);
  expect(JSON.parse(out)).toMatchObject({
    bundle,
    state: join(bundle, 'state.json'),
    complete: false,
    recording_complete: true,
    counts: { threads: 1 },
    anomalies: [{ line: 7, seq: null, code: 'line-invalid' }],
  });
  expect(exitCode).toBe(3);
});

test('says that a recording has no end', async () => {
  const bundle = unpackBundle(recordedBundle('sigkill-tool'), join(dir, 'killed'));
  const { err, exitCode } = await run('reduce', bundle);
  expect(err).toMatch(/the recording has no end/);
  expect(exitCode).toBe(0);
});

test('a directory without a bundle is refused', async () => {
  await expect(run('reduce', join(dir, 'nowhere'))).rejects.toThrow(/name a bundle directory/);
});
