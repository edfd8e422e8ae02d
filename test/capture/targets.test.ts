// Whom a capture follows and how it gets at their programs: by name, in other namespaces, after another exec, beside another
// capture, and until they are killed.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type CaptureOptions, capture } from '../../src/capture/capture.js';
import { children, commandName } from '../../src/capture/process.js';
import type { EvidenceEvent, TlsEvent } from '../../src/evidence/event.js';
import { readEvidence } from '../../src/evidence/reader.js';
import { requireRoot } from '../support/requirements.js';
import { buildTlsGenerator } from '../support/tls-generator.js';

const generator = buildTlsGenerator({ isStatic: true });
let directory: string;
const started: ChildProcess[] = [];

beforeEach((context) => {
  requireRoot(context);
  directory = mkdtempSync(join(tmpdir(), 'agsight-targets-'));
});

afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});

function start(program: string, ...args: string[]): ChildProcess {
  const child = spawn(program, args, { stdio: 'ignore' });
  started.push(child);
  return child;
}

/** The generator under another name. */
function named(name: string): string {
  const path = join(directory, name);
  copyFileSync(generator, path);
  return path;
}

function options(
  name: string,
  more: Partial<CaptureOptions> & Pick<CaptureOptions, 'target'>,
): CaptureOptions {
  return {
    output: join(directory, name),
    ringBytes: 4 << 20,
    files: false,
    stop: new AbortController().signal,
    ...more,
  };
}

async function events(name: string): Promise<EvidenceEvent[]> {
  const all: EvidenceEvent[] = [];
  for await (const event of readEvidence(join(directory, name))) all.push(event);
  return all;
}

const isTls = (event: EvidenceEvent): event is TlsEvent => event.kind === 'tls';

async function recordingOf(name: string): Promise<void> {
  while (!existsSync(join(directory, name, 'capture.json'))) await delay(10);
}

test('whoever waits for a name in vain is told so', async () => {
  const names = [`nobody-${process.pid}`, `no-one-${process.pid}`];
  const summary = await capture(options('bundle', { target: { pids: [], names }, durationMs: 200 }));
  expect(summary.warnings).toEqual([`no process was called ${names.join(' or ')} while the capture ran`]);
});

test('what a target has started before is recorded as it runs, unless children are left alone', async () => {
  const shell = join(directory, `sh-${process.pid}`);
  copyFileSync('/bin/sh', shell);
  const parent = start(shell, '-c', `${named('child')} l20,w100,*10000; true`);
  const pid = parent.pid ?? 0;
  const child = await vi.waitFor(() => {
    const [running] = children(pid);
    if (running === undefined || commandName(running) !== 'child') throw new Error('it has not begun yet');
    return running;
  });
  const stop = new AbortController();
  const recordings = [
    options('by-pid', { target: { pids: [pid] }, stop: stop.signal }),
    options('by-name', { target: { pids: [], names: [`sh-${process.pid}`] }, stop: stop.signal }),
    options('alone', { target: { pids: [pid] }, children: false, stop: stop.signal }),
  ].map(capture);
  await Promise.all(['by-pid', 'by-name', 'alone'].map(recordingOf));
  await delay(500);
  stop.abort();
  await Promise.all(recordings);
  process.kill(child, 'SIGKILL');
  for (const name of ['by-pid', 'by-name']) {
    const all = await events(name);
    const moved = new Set(all.filter(isTls).map((event) => `${event.pid} of ${event.rootPid}`));
    expect(moved).toEqual(new Set([`${child} of ${pid}`]));
    const running = all.filter(({ kind }) => kind === 'running');
    expect(running).toMatchObject([
      { pid, rootPid: pid },
      { pid: child, rootPid: pid, parentPid: pid, argv: expect.arrayContaining([join(directory, 'child')]) },
    ]);
  }
  expect((await events('alone')).filter((event) => event.pid === child)).toEqual([]);
});

test('of a shell that runs agsight all is recorded but agsight', async () => {
  const agsight = fileURLToPath(new URL('../../bin/agsight.js', import.meta.url));
  const script = 'sleep 2 & "$0" "$1" capture -q --raw -o "$2" --pid $$ --duration 0.3; true';
  const shell = start('/bin/sh', '-c', script, process.execPath, agsight, join(directory, 'bundle'));
  await once(shell, 'exit');
  const running = (await events('bundle')).filter(({ pid }) => pid !== 0);
  expect(running).toMatchObject([
    { kind: 'running', pid: shell.pid },
    { kind: 'running', argv: ['sleep', '2'] },
  ]);
});

test('programs are followed by their names, those that run and those that begin later, with their children', async () => {
  // Names that nothing else on this host has; the kernel knows 15 bytes of a name.
  const agent = `ag-${process.pid}`;
  const early = start(named(agent), 's1500,w100');
  const stop = new AbortController();
  const recording = capture(
    options('bundle', {
      target: { pids: [], names: [`${agent}*`, `o?her-${process.pid}`] },
      stop: stop.signal,
    }),
  );
  await recordingOf('bundle');
  const late = start(named(`${agent}-2`), 's300,w200,e,x3');
  const other = start(named(`other-${process.pid}`), 's300,w300');
  // Begins like a watched name, and is not one.
  const stranger = start(named(`o-${process.pid}`), 's300,w400');
  await Promise.all([early, late, other, stranger].map((child) => once(child, 'exit')));
  await delay(300);
  stop.abort();
  const summary = await recording;

  expect(summary).toMatchObject({
    end_reason: 'interrupted',
    names: [`${agent}*`, `o?her-${process.pid}`],
    lost_events: 0,
  });
  expect(summary.warnings).toEqual([]);
  expect(summary.targets.map(({ pid }) => pid)).toEqual([early.pid]);
  const all = await events('bundle');
  const moved = all.filter(isTls).map(({ pid, rootPid, data }) => [pid, rootPid, data.length]);
  expect(moved.sort(([, , a = 0], [, , b = 0]) => a - b)).toEqual([
    [early.pid, early.pid, 100],
    [late.pid, late.pid, 200],
    [other.pid, other.pid, 300],
  ]);
  // Whole from the first instruction on, the exec with its arguments included.
  expect(all.filter(({ pid }) => pid === late.pid)[0]).toMatchObject({
    kind: 'exec',
    argv: [join(directory, `${agent}-2`), 's300,w200,e,x3'],
  });
  expect(all.filter(({ kind, rootPid }) => kind === 'fork' && rootPid === late.pid)).toHaveLength(2);
  expect(all.some(({ pid }) => pid === stranger.pid)).toBe(false);
});

test('what holds a command and looks for it leaves no trace; a process that runs is told with its parent', async () => {
  const path = process.env.PATH;
  process.env.PATH = `${directory}/missing:${path}`;
  const summary = await capture(
    options('command', { target: { command: ['sleep', '0'] }, files: true }),
  ).finally(() => {
    process.env.PATH = path;
  });
  expect(summary).toMatchObject({ end_reason: 'target-exit', lost_events: 0 });
  const lives = (await events('command')).filter(({ kind }) => /^(?:exec|exit|fork|running)/.test(kind));
  expect(lives).toMatchObject([
    {
      kind: 'exec',
      argv: ['sleep', '0'],
      execPath: expect.stringMatching(/\/sleep$/),
      parentPid: process.pid,
    },
    { kind: 'exit', parentPid: process.pid, exitCode: 0 },
  ]);

  const early = start('/bin/sleep', '1');
  await capture(options('pid', { target: { pids: [early.pid ?? 0] }, files: true }));
  const [running, ...others] = (await events('pid')).filter(({ pid }) => pid === early.pid);
  expect(running).toMatchObject({
    ...{
      kind: 'running',
      rootPid: early.pid,
      parentPid: process.pid,
      argv: ['/bin/sleep', '1'],
      cwd: process.cwd(),
    },
    ...{ execPath: expect.stringMatching(/\/(?:sleep|coreutils|busybox)$/), comm: 'sleep' },
  });
  expect(others.at(-1)).toMatchObject({ kind: 'exit', exitCode: 0 });
});

test('a program that ends at once is still known by its name', async () => {
  const name = `brief-${process.pid}`;
  const stop = new AbortController();
  const recording = capture(options('bundle', { target: { pids: [], names: [name] }, stop: stop.signal }));
  await recordingOf('bundle');
  const brief = named(name);
  for (let i = 0; i < 20; i++) execFileSync(brief, ['s0']);
  await delay(300);
  stop.abort();
  await recording;
  const kinds = (await events('bundle')).map(({ kind }) => kind);
  expect(kinds.filter((kind) => kind === 'exec')).toHaveLength(20);
  expect(kinds.filter((kind) => kind === 'exit')).toHaveLength(20);
});

test('a program in a mount and a pid namespace of its own is probed where it is', async () => {
  const root = join(directory, 'root');
  mkdirSync(root);
  // The program's path exists in its own namespace only.
  const script = `mount -t tmpfs tmpfs "$1" && cp "$2" "$1/inside" && exec chroot "$1" /inside s1500,w100`;
  const command = ['unshare', '--pid', '--mount', '--fork', '/bin/sh', '-c', script, 'sh', root, generator];
  const summary = await capture(options('bundle', { target: { command } }));
  const moved = (await events('bundle')).filter(isTls);
  expect(moved.map(({ data }) => data.length)).toEqual([100]);
  // As the host counts them.
  expect(moved[0]?.pid).toBeGreaterThan(moved[0]?.rootPid ?? 0);
  expect(summary.binaries.map(({ path }) => path)).toEqual([join(root, 'inside')]);
});

test('an exec into another file, and a file that is replaced between two runs, are probed each', async () => {
  const [first, second] = [named('first'), named('second')];
  const script = `"$1" s500,w100; cp "$2" "$1.new"; mv "$1.new" "$1"; "$1" s500,w200; exec "$2" s500,w300`;
  const summary = await capture(
    options('bundle', { target: { command: ['/bin/sh', '-c', script, 'sh', first, second] } }),
  );
  expect((await events('bundle')).filter(isTls).map(({ data }) => data.length)).toEqual([100, 200, 300]);
  expect(summary.binaries.map(({ path }) => path)).toEqual([first, first, second]);
  for (const { late } of summary.binaries) expect(late?.ms).toBeGreaterThan(0);
});

test('two captures of one process at once see the same', async () => {
  const child = start(generator, 's3000,w100,r200');
  await delay(50);
  const target = { pids: [child.pid ?? 0] };
  await Promise.all([capture(options('one', { target })), capture(options('two', { target }))]);
  for (const name of ['one', 'two']) {
    expect((await events(name)).filter(isTls).map(({ data }) => data.length)).toEqual([100, 200]);
  }
});

test('a process that is killed between two calls leaves all that came before, and how it ended', async () => {
  const child = start(generator, 's1000,w100,r50000,s30000');
  await delay(50);
  const recording = capture(options('bundle', { target: { pids: [child.pid ?? 0] } }));
  await recordingOf('bundle');
  await delay(1800);
  child.kill('SIGKILL');
  const summary = await recording;
  expect(summary).toMatchObject({ end_reason: 'target-exit', lost_events: 0 });
  const all = await events('bundle');
  const bytes = all.filter(isTls).reduce((sum, { data }) => sum + data.length, 0);
  expect(bytes).toBe(50_100);
  expect(all.findLast(({ kind }) => kind === 'exit')).toMatchObject({ pid: child.pid, signal: 9 });
});

test('a call that is in progress when the capture begins is named', async () => {
  const server = createServer((_, response) => setTimeout(() => response.end('late'), 1500));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = `
import socket, threading
l = socket.create_server(('127.0.0.1', 0)); l.listen()
s = socket.create_connection(('127.0.0.1', ${port}))
s.sendall(b'GET / HTTP/1.1\\r\\nHost: here\\r\\n\\r\\n')
s.recv(1000); s.sendall(b'GET /second HTTP/1.1\\r\\nHost: here\\r\\n\\r\\n'); s.recv(1000)
`;
  try {
    const child = start('python3', '-c', client);
    await once(server, 'request');
    await delay(100);
    const { targets } = await capture(options('bundle', { target: { pids: [child.pid ?? 0] } }));
    expect(targets).toMatchObject([
      {
        pid: child.pid,
        open_connections: 1,
        in_progress: [{ tid: child.pid, call: 'recvfrom', remote: `127.0.0.1:${port}` }],
      },
    ]);
    const all = await events('bundle');
    const sockets = all.flatMap((event) =>
      event.kind === 'socket' ? [`${event.operation} ${event.content}`] : [],
    );
    expect(sockets.slice(0, 2).sort()).toEqual(['listen none', 'open unknown']);
    const sent = all.filter(isTls).filter(({ direction }) => direction === 'send');
    expect(sent.map(({ data }) => Buffer.from(data).toString('latin1').split(' ')[1])).toEqual(['/second']);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
