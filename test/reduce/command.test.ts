// `agsight reduce`: what it prints and its exit codes.

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { Writable } from 'node:stream';
import { Command } from 'commander';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import { reduceCommand } from '../../src/commands/reduce.js';
import { reduceBundle } from '../../src/reduce/reduce.js';
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
  const program = new Command('agsight').option('--json').addCommand(reduceCommand());
  for (const command of [program, ...program.commands])
    command.exitOverride().configureOutput({ writeErr: () => {} });
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
  const { err, exitCode } = await run('reduce', join(dir, 'nowhere'));
  expect(err).toMatch(
    /nowhere: there is no such directory \(name the directory that agsight capture wrote, or/,
  );
  expect(exitCode).toBe(1);
  await expect(run('reduce', '--keep-secrets', join(dir, 'nowhere'))).rejects.toThrow(
    /nowhere: there is no such directory \(name the directory that agsight capture wrote\)/,
  );
  writeFileSync(join(dir, 'file'), '');
  expect((await run('reduce', join(dir, 'file'))).err).toMatch(/file: is a file, not a directory \(name/);
  mkdirSync(join(dir, 'empty'));
  expect((await run('reduce', join(dir, 'empty'))).err).toMatch(
    /empty: has no manifest.json, so it is no bundle \(name/,
  );
  expect((await run('reduce', '--strict', join(dir, 'empty'))).err).toBe(
    'Error: No such file or directory (os error 2)',
  );
});

describe('-o -', () => {
  test('writes the state to stdout, and nothing else', async () => {
    const bundle = unpackBundle(garbage ?? exec, join(dir, 'piped'));
    const written: string[] = [];
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => written.push(String(text)) > 0);
    const { out, err, exitCode } = await run('reduce', '-o', '-', bundle);
    vi.restoreAllMocks();
    expect(JSON.parse(written.join(''))).toMatchObject({ schema_version: 2 });
    expect(out).toBe('');
    expect(err).toMatch(/line 7: [^(]*$/);
    expect(exitCode).toBe(3);
    expect(readdirSync(bundle).sort()).toEqual(['manifest.json', 'payloads', 'trace.jsonl']);
    expect(existsSync('-')).toBe(false);
  });

  test('waits for a reader that is slow', async () => {
    const chunks: Buffer[] = [];
    const slow = new Writable({
      highWaterMark: 1,
      write: (chunk: Buffer, _, done) => {
        chunks.push(chunk);
        setTimeout(done, 1);
      },
    });
    await reduceBundle(unpackBundle(exec, join(dir, 'slow')), { output: slow });
    expect(Buffer.concat(chunks).toString('latin1')).toBe(exec.state);
  });
});

describe('several bundles', () => {
  const plain = recordedBundle('plain');
  const names = (out: string, parent: string) => out.split('\n').map((path) => relative(parent, path));

  test.each([
    ['as a capture of several root threads holds them', 'rollouts'],
    ['as Codex lays them down', '.'],
  ])('%s', async (_, below) => {
    const parent = join(dir, `several-${below}`);
    unpackBundle(exec, join(parent, below, 'trace-b'));
    unpackBundle(plain, join(parent, below, 'trace-a'));
    mkdirSync(join(parent, below, 'not-a-bundle'));
    writeFileSync(join(parent, below, 'file'), '');
    const { out, err, exitCode } = await run('reduce', parent);
    expect(names(out, join(parent, below))).toEqual(['trace-a/state.json', 'trace-b/state.json']);
    expect([err, exitCode]).toEqual(['', 0]);
    expect(readFileSync(join(parent, below, 'trace-b', 'state.json'), 'latin1')).toBe(exec.state);
    expect(readFileSync(join(parent, below, 'trace-a', 'state.json'), 'latin1')).toBe(plain.state);
  });

  test('of captures, each with its own', async () => {
    const parent = join(dir, 'captures');
    unpackBundle(exec, join(parent, 'one'));
    unpackBundle(exec, join(parent, 'two', 'rollouts', 'x'));
    unpackBundle(exec, join(parent, 'two', 'rollouts', 'y'));
    const { out } = await run('reduce', parent);
    expect(names(out, parent)).toEqual([
      'one/state.json',
      'two/rollouts/x/state.json',
      'two/rollouts/y/state.json',
    ]);
  });

  test('a broken one stops no other, and the worst decides the exit code', async () => {
    const parent = join(dir, 'mixed');
    unpackBundle(exec, join(parent, 'a'));
    unpackBundle(garbage ?? exec, join(parent, 'b'));
    expect((await run('reduce', parent)).exitCode).toBe(3);
    unpackBundle({ ...exec, files: { 'trace.jsonl': '' } }, join(parent, 'aa'));
    process.exitCode = undefined;
    const { out, err, exitCode } = await run('reduce', parent);
    expect(names(out, parent)).toEqual(['a/state.json', 'b/state.json']);
    expect(err).toMatch(/aa: has no manifest.json, .*\n.*b: line 7: /);
    expect(exitCode).toBe(1);
    process.exitCode = undefined;
    const reports = JSON.parse((await run('--json', 'reduce', parent)).out);
    expect(reports.map((report: { complete?: boolean }) => report.complete)).toEqual([
      true,
      undefined,
      false,
    ]);
    expect(reports[1]).toMatchObject({ bundle: join(parent, 'aa'), error: { code: 'manifest-unreadable' } });
  });

  test('cannot go to one file', async () => {
    const parent = join(dir, 'to-one');
    unpackBundle(exec, join(parent, 'a'));
    unpackBundle(exec, join(parent, 'b'));
    await expect(run('reduce', '-o', join(dir, 'one.json'), parent)).rejects.toMatchObject({
      code: 'commander.error',
    });
    expect(existsSync(join(dir, 'one.json'))).toBe(false);
  });
});
