// `capture --all` on this machine: two agents, a relay between one of them and its server, and somebody who has nothing to
// do with it. agsight runs as a process of its own, since it leaves out itself and what it starts.

import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test, vi } from 'vitest';
import { requireRoot } from '../support/requirements.js';

const agsight = fileURLToPath(new URL('../../bin/agsight.js', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'agsight-everybody-'));
const started: ChildProcess[] = [];

afterAll(async () => {
  for (const child of started) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  // The last mkdir of the stranger's shell outlives it, and rmSync with retries looks into a directory only once.
  await vi.waitFor(() => rmSync(directory, { recursive: true, force: true }), { timeout: 10_000 });
});

function start(program: string, ...args: string[]): ChildProcess {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  started.push(child);
  return child;
}

function output(...args: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [agsight, ...args], { maxBuffer: 256 << 20 }, (error, stdout) => {
      // What others do on this machine may be incomplete.
      if (error === null || error.code === 3) resolve(stdout);
      else reject(error);
    });
  });
}

const relay = `
const { createServer, request } = require('node:http');
createServer((asked, answer) => {
  const { url: path, method, headers } = asked;
  const on = request({ host: '127.0.0.1', port: process.argv[1], path, method, headers }, (got) => {
    answer.writeHead(got.statusCode, got.headers);
    got.pipe(answer);
  });
  asked.pipe(on);
}).listen(0, '127.0.0.1', function () { console.log(this.address().port); });
`;

/** Changes files, itself and through a shell in a shell, before its only request and after it. */
const agent = `
const { execFileSync } = require('node:child_process');
const { writeFileSync, renameSync } = require('node:fs');
const [, place, url, thread] = process.argv;
(async () => {
  writeFileSync(place + '-before', 'x');
  execFileSync('/bin/sh', ['-c', '/bin/sh -c "mkdir ' + place + '-deep; exit 3"; true']);
  const input = [{ type: 'message', role: 'user', content: [{ type: 'input_text', text: 'hi ' + thread }] }];
  const turn = JSON.stringify({ thread_id: thread, turn_id: thread, request_kind: 'turn' });
  const headers = { 'content-type': 'application/json', 'thread-id': thread, 'session-id': thread, 'x-codex-turn-metadata': turn };
  const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ model: 'gpt-5.5', input, stream: true }) });
  await answer.text();
  renameSync(place + '-before', place + '-after');
})();
`;

const idle = 'while :; do mkdir "$0"; rmdir "$0"; read -t 0.01 x < /dev/zero; sleep 0.01; done';
const threads = ['019a0000-0000-7000-8000-000000000001', '019a0000-0000-7000-8000-000000000002'] as const;

test('agents are found among all processes, with what they did before they were known to be some', async (context) => {
  requireRoot(context);
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const completed = { type: 'response.completed', response: { id: 'resp_1', output: [], usage: null } };
      response.end(`event: response.completed\ndata: ${JSON.stringify(completed)}\n\n`);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
  const relaying = start(process.execPath, '-e', relay, String(port));
  const [line] = await once(relaying.stdout ?? relaying, 'data');
  const relayPort = Number(String(line));
  start('/bin/bash', '-c', idle, join(directory, 'stranger'));

  const bundle = join(directory, 'bundle');
  const capture = start(
    process.execPath,
    agsight,
    'capture',
    '--all',
    '--endpoint',
    '/ai/responses',
    '-o',
    bundle,
  );
  capture.stderr?.resume();
  while (!existsSync(join(bundle, 'capture.json')) && capture.exitCode === null) await delay(20);
  const run = (place: string, url: string, thread: string) =>
    start(process.execPath, '-e', agent, join(directory, place), url, thread);
  const direct = run('direct', `http://127.0.0.1:${port}/ai/responses`, threads[0]);
  const through = run('through', `http://127.0.0.1:${relayPort}/v1/responses`, threads[1]);
  await Promise.all([once(direct, 'exit'), once(through, 'exit')]);
  expect([direct.exitCode, through.exitCode]).toEqual([0, 0]);
  await delay(200);
  capture.kill('SIGINT');
  await once(capture, 'close');
  server.close();
  // Others on this machine may lose something, or use TLS that is not seen.
  const { lost_by_process: lost } = JSON.parse(readFileSync(join(bundle, 'capture.json'), 'utf8'));
  expect(lost.filter(({ pid }: { pid: number }) => [direct.pid, through.pid].includes(pid))).toEqual([]);

  const rows = async (table: string, ...more: string[]) =>
    (await output('events', bundle, '--table', table, '--format', 'ndjson', ...more))
      .trimEnd()
      .split('\n')
      .map((text): Record<string, unknown> => JSON.parse(text));
  const ours = new Set([direct.pid, through.pid]);
  const everybody = await rows('file_mgmt', '--everybody');
  const changes = everybody.filter(({ root_pid }) => ours.has(Number(root_pid)));
  const told = (pid: number | undefined) =>
    changes
      .filter(({ root_pid, event_type }) => root_pid === pid && event_type !== 'open')
      .map(({ event_type, file_name }) => `${event_type} ${file_name}`);
  expect(told(direct.pid)).toEqual(['create direct-before', 'mkdir direct-deep', 'rename direct-before']);
  expect(told(through.pid)).toEqual(['create through-before', 'mkdir through-deep', 'rename through-before']);
  const processes = (await rows('proc_ops')).filter(({ errno }) => errno === 0);
  const ends = processes.filter(
    ({ root_pid, event_type }) => root_pid === direct.pid && event_type === 'exit',
  );
  expect(ends.map(({ exit_code }) => exit_code)).toEqual([0, 3, 0, 0]);
  const roots = new Set(processes.map(({ root_pid }) => root_pid));
  expect(roots).toContain(direct.pid);
  expect(roots).not.toContain(relaying.pid);
  expect(roots).not.toContain(0);

  const strangers = everybody.filter(({ file_name }) => file_name === 'stranger');
  expect(strangers.length).toBeGreaterThan(1);
  expect(strangers.every(({ root_pid }) => root_pid === 0)).toBe(true);
  // Other agents may run on this machine too.
  expect(readdirSync(join(bundle, 'rollouts'))).toEqual(expect.arrayContaining([...threads]));
  const map = JSON.parse(await output('session-map', bundle, '--json'));
  const pids = map.exchanges.map(({ pid }: { pid: number }) => pid);
  // The relayed request is told once.
  expect(pids.filter((pid: number) => ours.has(pid)).sort()).toEqual([...ours].sort());
  expect(pids).not.toContain(relaying.pid);
  expect(await output('show', bundle)).toContain(`hi ${threads[1]}`);
}, 180_000);

test('--all goes with nothing that leaves somebody out', () => {
  for (const more of [['--pid', '1'], ['--no-children'], ['--', 'true']]) {
    const run = () =>
      execFileSync(process.execPath, [agsight, 'capture', '--all', ...more], { stdio: 'pipe' });
    expect(run).toThrow(/not with --no-children|or --all/);
  }
});
