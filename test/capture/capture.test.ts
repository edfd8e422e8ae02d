// Real captures of a program whose bytes are known: what was moved must be what was recorded.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type CaptureOptions, capture } from '../../src/capture/capture.js';
import type { EvidenceEvent, ExecEvent, ExitEvent, ForkEvent, TlsEvent } from '../../src/evidence/event.js';
import { readEvidence } from '../../src/evidence/reader.js';
import { requireRoot } from '../support/requirements.js';
import { buildTlsGenerator, generatedBytes } from '../support/tls-generator.js';

const generator = buildTlsGenerator();
let directory: string;

beforeEach((context) => {
  requireRoot(context);
  directory = mkdtempSync(join(tmpdir(), 'agsight-capture-'));
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

function options(more: Partial<CaptureOptions> & Pick<CaptureOptions, 'target'>): CaptureOptions {
  return {
    output: join(directory, 'bundle'),
    ringBytes: 64 << 20,
    stop: new AbortController().signal,
    ...more,
  };
}

async function events(bundle = join(directory, 'bundle')): Promise<EvidenceEvent[]> {
  const all: EvidenceEvent[] = [];
  for await (const event of readEvidence(bundle)) all.push(event);
  return all;
}

const isTls = (event: EvidenceEvent): event is TlsEvent => event.kind === 'tls';
const isExec = (event: EvidenceEvent): event is ExecEvent => event.kind === 'exec';
const isFork = (event: EvidenceEvent): event is ForkEvent => event.kind === 'fork';
const isExit = (event: EvidenceEvent): event is ExitEvent => event.kind === 'exit';

interface Stream {
  direction: string;
  from: number;
  pieces: Uint8Array[];
  /** Bytes in `pieces`, and bytes that were reported as missing. */
  recorded: number;
  missing: number;
}

/** Each direction of each connection, in the order of its first byte; fails when there is a gap. */
function streams(all: EvidenceEvent[]): Stream[] {
  const found = new Map<string, Stream>();
  for (const { connection, direction, offset, data, missing } of all.filter(isTls)) {
    const key = `${connection} ${direction}`;
    const stream = found.get(key) ?? { direction, from: offset, pieces: [], recorded: 0, missing: 0 };
    expect(offset).toBe(stream.from + stream.recorded + stream.missing);
    stream.pieces.push(data);
    stream.recorded += data.length;
    stream.missing += missing;
    found.set(key, stream);
  }
  return [...found.values()];
}

test('every byte of every call is recorded, at its place, whatever the size', async () => {
  const sizes = [1, 255, 256, 257, 1024, 1025, 4096, 8193, 16384, 16385, 49_362, 1 << 20];
  const script = sizes.flatMap((size) => [`w${size}`, `W${size}`, `r${size}`, `R${size}`]).join(',');
  const summary = await capture(options({ target: { command: [generator, script] } }));
  expect(summary.targets).toMatchObject([{ executable: realpathSync(generator) }]);

  expect(summary).toMatchObject({ end_reason: 'target-exit', lost_events: 0 });
  const total = 2 * sizes.reduce((sum, size) => sum + size, 0);
  const found = streams(await events());
  expect(
    found.map(({ direction, from, recorded, missing }) => ({ direction, from, recorded, missing })),
  ).toEqual([
    { direction: 'send', from: 0, recorded: total, missing: 0 },
    { direction: 'receive', from: 0, recorded: total, missing: 0 },
  ]);
  for (const { direction, pieces } of found) {
    const expected = generatedBytes(direction === 'send' ? 'send' : 'receive', 0, total);
    expect(Buffer.concat(pieces).equals(expected)).toBe(true);
  }
});

test('a partial write counts what was written, a failed read nothing', async () => {
  await capture(options({ target: { command: [generator, 'p1000,f,w10'] } }));
  expect(streams(await events()).map(({ recorded }) => recorded)).toEqual([510]);
});

test('connections are told apart, and so are two that use the same memory one after the other', async () => {
  await capture(options({ target: { command: [generator, 'w10,c1,w20,c0,w30,h,h,w40'] } }));
  expect(streams(await events()).map(({ from, recorded }) => [from, recorded])).toEqual([
    [0, 40],
    [0, 20],
    [0, 40],
  ]);
});

test('memory that cannot be read and bytes beyond the limit are reported with their size', async () => {
  const summary = await capture(options({ target: { command: [generator, 'u5000,w10,w17000000,w5'] } }));
  expect(summary.counters).toMatchObject({ unreadable: 1, over_limit: 1 });
  expect(summary.lost_events).toBe(2);
  const all = await events();
  const pid = all.find(isTls)?.pid ?? 0;
  expect(summary.lost_by_process).toEqual([{ pid, counters: { unreadable: 1, over_limit: 1 } }]);
  const reported = all.filter(isTls).filter(({ missing }) => missing > 0);
  expect(reported.map(({ missing, missingReason }) => [missing, missingReason])).toEqual([
    [5000, 'unreadable'],
    [17_000_000 - (16 << 20), 'over-limit'],
  ]);
  expect(streams(all).map(({ recorded, missing }) => recorded + missing)).toEqual([17_005_015]);
  expect(all.findLast(({ kind }) => kind === 'loss')).toMatchObject({
    counters: { unreadable: 1, over_limit: 1 },
    processes: [{ pid, counters: { unreadable: 1, over_limit: 1 } }],
  });
});

test('a ring that is too small loses records, counts each and shows each gap', async () => {
  const pieces = 4000;
  const summary = await capture(
    options({ target: { command: [generator, `w16384,*${pieces - 1}`] }, ringBytes: 1 << 20 }),
  );
  const all = (await events()).filter(isTls);
  expect(summary.counters.tls_ring_full).toBeGreaterThan(0);
  expect(all.length + (summary.counters.tls_ring_full ?? 0)).toBe(pieces);
  for (const { offset, data } of all) {
    expect(offset % 16384).toBe(0);
    expect(Buffer.from(data).equals(generatedBytes('send', offset, data.length))).toBe(true);
  }
});

test('children are followed: who forked whom, what ran with which arguments, how each ended', async () => {
  process.env.CODEX_TEST_MARK = 'yes';
  process.env.NOT_FOR_US = 'CODEX_';
  await capture(options({ target: { command: [generator, 'x3,k,e'] } })).finally(() => {
    delete process.env.CODEX_TEST_MARK;
    delete process.env.NOT_FOR_US;
  });
  const all = await events();
  const [first, second] = all.filter(isExec);
  const root = first?.pid ?? 0;
  expect(first).toMatchObject({ argv: [generator, 'x3,k,e'], execPath: generator, parentPid: process.pid });
  expect(first?.environment).toMatchObject({ CODEX_TEST_MARK: 'yes' });
  expect(Object.keys(first?.environment ?? {}).every((name) => name.startsWith('CODEX_'))).toBe(true);
  expect(second).toMatchObject({
    argv: ['true', 'an argument', '', 'ünïcode'],
    argvMissing: 0,
    rootPid: root,
  });

  const forks = all.filter(isFork);
  expect(forks.map(({ parentPid, rootPid }) => [parentPid, rootPid])).toEqual(Array(3).fill([root, root]));
  const endOf = new Map(all.filter(isExit).map(({ pid, exitCode, signal }) => [pid, { exitCode, signal }]));
  expect(forks.map(({ pid }) => endOf.get(pid))).toEqual([
    { exitCode: 3, signal: undefined },
    { exitCode: undefined, signal: 9 },
    { exitCode: 0, signal: undefined },
  ]);
  expect(endOf.get(root)).toEqual({ exitCode: 0, signal: undefined });
});

test('children are left alone when that is asked for', async () => {
  const script = 'x3,e,w10';
  await capture(options({ target: { command: [generator, script] }, children: false }));
  const all = await events();
  expect(all.filter(isExec).map(({ argv }) => argv)).toEqual([[generator, script]]);
  expect([...all.filter(isFork), ...all.filter(isExit)].map(({ kind }) => kind)).toEqual(['exit']);
  expect(all.filter(isTls)).toHaveLength(1);
});

test('an argument vector longer than a record keeps every byte', async () => {
  const long = 'ä'.repeat(60_000);
  await capture(options({ target: { command: ['/bin/true', long, 'end'] } }));
  const [event] = (await events()).filter(isExec);
  expect(event?.argvMissing).toBe(0);
  // A character that is cut by the border of two records is whole again.
  expect(event?.argv).toEqual(['/bin/true', long, 'end']);
});

function start(script: string): ChildProcess {
  return spawn(generator, [script], { stdio: 'ignore' });
}

test('running processes are recorded from the moment they are named, until all have ended', async () => {
  const children = [start('s2000,w100,x0'), start('s2200,w200')];
  const pids = children.map(({ pid }) => pid ?? 0);
  await delay(50);
  const summary = await capture(options({ target: { pids } }));
  expect(summary).toMatchObject({ end_reason: 'target-exit', lost_events: 0 });
  expect(summary.targets).toMatchObject(pids.map((pid) => ({ pid, executable: generator })));
  expect(summary.attached_ms).toBeGreaterThan(0);
  const all = await events();
  const moved = all.filter(isTls).sort((a, b) => a.data.length - b.data.length);
  expect(moved.map(({ pid, rootPid, data }) => [pid, rootPid, data.length])).toEqual([
    [pids[0], pids[0], 100],
    [pids[1], pids[1], 200],
  ]);
  expect(
    all
      .filter(isExit)
      .map(({ rootPid }) => rootPid)
      .sort(),
  ).toEqual([pids[0], pids[0], pids[1]].sort());
});

test('the duration and a stop end a capture whose target goes on', async () => {
  const child = start('s1500,w100,s20000');
  await delay(50);
  const pids = [child.pid ?? 0];
  const summary = await capture(options({ target: { pids }, durationMs: 2500 }));
  expect(summary.end_reason).toBe('duration');
  expect((await events()).at(-1)).toMatchObject({ kind: 'capture-end', reason: 'duration' });
  expect((await events()).filter(isTls)).toHaveLength(1);

  const stop = new AbortController();
  setTimeout(() => stop.abort(), 100);
  const output = join(directory, 'second');
  expect(await capture(options({ target: { pids }, output, stop: stop.signal }))).toMatchObject({
    end_reason: 'interrupted',
  });
  expect(child.exitCode).toBeNull();
  child.kill();
});

test('a command is told to stop as we are, and recorded until it has', async () => {
  const stop = new AbortController();
  setTimeout(() => stop.abort('SIGTERM'), 300);
  const summary = await capture(options({ target: { command: [generator, 's30000'] }, stop: stop.signal }));
  expect(summary.end_reason).toBe('interrupted');
  expect((await events()).filter(isExit).map(({ signal }) => signal)).toEqual([15]);
});

test('a command that goes on after its capture is named', async () => {
  const summary = await capture(
    options({ target: { command: ['/bin/sh', '-c', 'exec sleep 30'] }, durationMs: 300 }),
  );
  const pid = Number(/process (\d+)/.exec(summary.warnings.at(-1) ?? '')?.[1]);
  process.kill(pid, 'SIGKILL');
  expect(summary.warnings.at(-1)).toBe(`the command goes on, and is not recorded any more: process ${pid}.`);
  const written = JSON.parse(readFileSync(join(directory, 'bundle', 'capture.json'), 'utf8'));
  expect(written.warnings).toEqual(summary.warnings);
});

test('a command that does not end when told to is named', async () => {
  const stop = new AbortController();
  const isDeaf = join(directory, 'is-deaf');
  const ready = setInterval(() => existsSync(isDeaf) && stop.abort('SIGTERM'), 20);
  const command = ['/bin/sh', '-c', `trap "" TERM INT; : > ${isDeaf}; exec sleep 30`];
  const summary = await capture(options({ target: { command }, stop: stop.signal }));
  clearInterval(ready);
  const pid = Number(/process (\d+)/.exec(summary.warnings.at(-1) ?? '')?.[1]);
  expect(summary.warnings.at(-1)).toContain(`It did not end when told to: kill -KILL ${pid} ends it.`);
  process.kill(pid, 'SIGKILL');
}, 20_000);

test('a program that was replaced on disk is recorded as it runs', async () => {
  const copy = join(directory, 'program');
  execFileSync('cp', [generator, copy]);
  const child = spawn(copy, ['s2000,w100'], { stdio: 'ignore' });
  await delay(50);
  rmSync(copy);
  writeFileSync(copy, 'something else');
  await capture(options({ target: { pids: [child.pid ?? 0] } }));
  expect((await events()).filter(isTls).map(({ data }) => data.length)).toEqual([100]);
});

test('what cannot be captured is refused in one line, and nothing is left behind', async () => {
  const refusal = async (target: CaptureOptions['target']): Promise<string> => {
    const error: unknown = await capture(options({ target })).catch((reason: unknown) => reason);
    return error instanceof Error ? error.message : 'accepted';
  };
  expect(await refusal({ command: ['no-such-command-here'] })).toMatch(
    /^no-such-command-here: there is no such command, or it may not be executed \(/,
  );
  expect(await refusal({ pids: [2 ** 22 + 1] })).toMatch(/^there is no process 4194305 \(/);
  expect(existsSync(join(directory, 'bundle'))).toBe(false);

  // Process 2 is the kernel's own; it has no program.
  expect(await refusal({ pids: [2] })).toMatch(/^process \d+ cannot be examined: ENOENT \(/);

  mkdirSync(join(directory, 'bundle'));
  writeFileSync(join(directory, 'bundle', 'kept'), 'as it was');
  expect(await refusal({ command: ['true'] })).toMatch(/bundle: the output directory is not empty \(/);
  expect(readFileSync(join(directory, 'bundle', 'kept'), 'utf8')).toBe('as it was');
});

test('a command whose recording cannot begin is never let run', async () => {
  const disk = join(directory, 'disk');
  mkdirSync(disk);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', disk]);
  try {
    const mark = join(directory, 'it-ran');
    writeFileSync(join(disk, 'filling'), Buffer.alloc(16_384));
    const command = ['/bin/sh', '-c', `echo > ${mark}`];
    await expect(
      capture(options({ target: { command }, output: join(disk, 'bundle') })),
    ).rejects.toMatchObject({ exitCode: 3 });
    expect(existsSync(mark)).toBe(false);
  } finally {
    execFileSync('umount', ['-l', disk]);
  }
});

test('a full disk ends the capture, and what was whole stays readable', async () => {
  const disk = join(directory, 'disk');
  mkdirSync(disk);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', disk]);
  try {
    const output = join(disk, 'bundle');
    await expect(
      capture(options({ target: { command: [generator, 'w16384,*1000'] }, output })),
    ).rejects.toMatchObject({ code: 'disk-full', exitCode: 3 });
    const summary = JSON.parse(readFileSync(join(output, 'capture.json'), 'utf8'));
    const frames = (await events(output)).length;
    expect(summary).toMatchObject({ end_reason: 'disk-full', evidence: { frames } });
    expect(readdirSync(output).sort()).toEqual(['capture.json', 'evidence']);
    const kept = (await events(output)).filter(isTls);
    expect(kept.length).toBeGreaterThan(10);
    for (const { offset, data } of kept) {
      expect(Buffer.from(data).equals(generatedBytes('send', offset, data.length))).toBe(true);
    }
  } finally {
    execFileSync('umount', ['-l', disk]);
  }
});

test('a command that goes on after the disk is full is named', async () => {
  const disk = join(directory, 'disk');
  mkdirSync(disk);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', disk]);
  const noted: string[] = [];
  const error = vi.spyOn(console, 'error').mockImplementation((line: string) => void noted.push(line));
  try {
    const output = join(disk, 'bundle');
    const target = { command: [generator, 'w16384,w1000000,w1000000,w1000000,s30000'] };
    await expect(capture(options({ target, output }))).rejects.toMatchObject({ code: 'disk-full' });
    const [, pid] = /^agsight: the command goes on, .*: process (\d+)\.$/m.exec(noted.join('\n')) ?? [];
    process.kill(Number(pid), 'SIGKILL');
    const { warnings, end_reason } = JSON.parse(readFileSync(join(output, 'capture.json'), 'utf8'));
    expect([end_reason, warnings.at(-1)]).toEqual(['disk-full', expect.stringContaining(`process ${pid}`)]);
  } finally {
    error.mockRestore();
    execFileSync('umount', ['-l', disk]);
  }
});

test('only the owner can read a capture', async () => {
  const output = join(directory, 'bundle');
  await capture(options({ target: { command: [generator, 'w1'] }, output }));
  for (const name of readdirSync(output, { recursive: true, encoding: 'utf8' })) {
    const status = statSync(join(output, name));
    expect([name, status.mode & 0o777]).toEqual([name, status.isDirectory() ? 0o700 : 0o600]);
  }
  expect(statSync(output).mode & 0o777).toBe(0o700);
});
