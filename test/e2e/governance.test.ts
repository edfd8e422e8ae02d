// The real Codex under `agsight capture` and strace at the same time: what it did to files, permissions and processes
// must be in the tables with the right result, nothing more and nothing less, and with the tool call that caused it.

import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeEach, expect, test } from 'vitest';
import type { Row } from '../../src/governance/columns.js';
import type { ToolCallEffects } from '../../src/governance/tool-call-effects.js';
import { prepareCodexRun } from '../support/codex-run.js';
import { type Step, startMockResponses } from '../support/mock-responses.js';
import { requireCodex, requireRoot, requireThat } from '../support/requirements.js';
import { readStrace, type StraceRecord, straceArguments, type TracedCall } from '../support/strace.js';

const agsight = fileURLToPath(new URL('../../bin/agsight.js', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'agsight-e2e-governance-'));
const bundle = join(directory, 'bundle');
const workspace = join(directory, 'home', 'workspace');

afterAll(() => rmSync(directory, { recursive: true, force: true }));

const patch = `*** Begin Patch
*** Add File: added.txt
+new line
*** Update File: notes.md
@@
-one
+two
*** Delete File: old.txt
*** Update File: move.txt
*** Move to: moved/there.txt
@@
-m
+n
*** End Patch`;
const shortLived = 300;

const usage = { input: 10, output: 5 };
const command = (id: string, cmd: string): Step => ({
  output: [
    {
      type: 'function_call',
      id: `fc_${id}`,
      call_id: id,
      name: 'exec_command',
      arguments: JSON.stringify({ cmd, yield_time_ms: 30_000 }),
    },
  ],
  usage,
});
const steps: Step[] = [
  {
    output: [
      { type: 'custom_tool_call', id: 'ct_patch', call_id: 'call_patch', name: 'apply_patch', input: patch },
    ],
    usage,
  },
  command(
    'call_files',
    'mv added.txt renamed.txt && chmod 600 renamed.txt && rm moved/there.txt && rmdir moved && mkdir d && ln -s x d/s && ln renamed.txt d/h && truncate -s 3 renamed.txt',
  ),
  command('call_many', `i=0; while [ $i -lt ${shortLived} ]; do /bin/true "arg $i"; i=$((i+1)); done`),
  command(
    'call_refused',
    `setpriv --reuid 65534 --regid 65534 --clear-groups chown 0:0 renamed.txt; (sh -c "sh -c 'echo deep > deep.txt; exit 7'"); rmdir missing`,
  ),
  {
    output: [
      {
        type: 'message',
        id: 'msg_end',
        role: 'assistant',
        phase: 'final_answer',
        content: [{ type: 'output_text', text: 'All done.', annotations: [] }],
      },
    ],
    usage,
  },
];

function output(args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [agsight, ...args], { maxBuffer: 256 << 20 }, (error, stdout) => {
      if (error === null) resolve(stdout);
      else reject(error);
    });
  });
}

const table = async (name: string): Promise<Row[]> =>
  JSON.parse(await output(['events', bundle, '--table', name, '--format', 'json']));

let traced: StraceRecord | undefined;

beforeEach(async (context) => {
  requireRoot(context);
  const codex = await requireCodex('0.169.0', context);
  const find = (command: string): string | undefined =>
    (process.env.PATH ?? '')
      .split(delimiter)
      .map((path) => join(path, command))
      .find(existsSync);
  const strace = find('strace');
  requireThat(strace !== undefined, 'needs strace', context);
  requireThat(find('curl') !== undefined, 'needs curl', context);
  traced ??= await recordCodex(codex, strace ?? '');
}, 300_000);

/** Runs Codex once for all tests of this file. */
async function recordCodex(codex: string, strace: string): Promise<StraceRecord> {
  const server = await startMockResponses(steps);
  const send = `curl -sk --data-binary @notes.md ${server.baseUrl}/drop`;
  steps.splice(steps.length - 1, 0, command('call_send', send));
  const run = prepareCodexRun({
    codex,
    directory: join(directory, 'home'),
    server,
    prompt: 'Do it.',
    workspace: { 'notes.md': 'one\n', 'old.txt': 'o\n', 'move.txt': 'm\n' },
  });
  // Somebody else is busy in the same directory, with the same programs.
  const other = spawn('/bin/sh', [
    '-c',
    `while :; do echo x > ${workspace}/other; chmod 640 ${workspace}/other; /bin/true other; rm ${workspace}/other; done`,
  ]);
  const log = join(directory, 'strace');
  try {
    const args = ['capture', '-o', bundle, '--', strace, ...straceArguments(log), ...run.command];
    const child = spawn(process.execPath, [agsight, ...args], {
      env: run.env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stderr = '';
    child.stderr.on('data', (text) => {
      stderr += text;
    });
    child.stdout.resume();
    const status = await new Promise((resolve) => child.once('exit', resolve));
    expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' });
  } finally {
    other.kill('SIGKILL');
    await server.close();
  }
  return readStrace(log);
}

const byThread = <T>(items: readonly T[], threadOf: (item: T) => number): Map<number, T[]> => {
  const groups = new Map<number, T[]>();
  for (const item of items) groups.set(threadOf(item), [...(groups.get(threadOf(item)) ?? []), item]);
  return groups;
};

/** An open for writing makes a file, empties one or does neither; strace cannot tell which. */
const nameOf = (call: TracedCall): string => (call.operation === 'create' ? 'open' : call.operation);
const opens: ReadonlySet<unknown> = new Set(['open', 'create', 'truncate']);
const isOpen = (row: Row, call: TracedCall | undefined): boolean =>
  call !== undefined && nameOf(call) === 'open' && opens.has(row.event_type);

/** Whether a path of ours is the one that strace saw, which may be relative to what it does not say. */
function isPath(ours: string, theirs: string): boolean {
  if (theirs === '') return true;
  const path = normalize(theirs).replace(/(?<=.)\/$/, '');
  // A file without a name (O_TMPFILE) is opened by its directory; the kernel calls it by its inode.
  if (ours.startsWith(`${path}/#`)) return true;
  return path.startsWith('/') ? ours === path : ours.endsWith(`/${path.replace(/^(?:\.\.?\/)+/, '')}`);
}

test('each thread changed what strace says that it changed, in that order and with those results', async () => {
  const isKnownToStrace = ({ event_type }: Row): boolean => event_type !== 'map';
  const management = (await table('file_mgmt')).filter(isKnownToStrace);
  const rows = byThread(
    [...management, ...(await table('proc_perm'))].sort((a, b) => Number(a.end_time) - Number(b.end_time)),
    (row) => Number(row.syscall_thread),
  );
  const calls = byThread(traced?.calls ?? [], ({ tid }) => tid);
  expect(calls.size).toBeGreaterThan(5);
  const place = (row: Row | undefined) => `${row?.file_dir ?? ''}${row?.file_name ?? ''}`;
  let compared = 0;
  for (const [tid, seen] of calls) {
    const found = rows.get(tid) ?? [];
    const expected = seen.filter(({ errno }, index) => errno !== undefined || index < found.length);
    expect(
      found.map((row, index) => [
        isOpen(row, expected[index]) ? 'open' : row.event_type,
        expected[index]?.errno === undefined ? undefined : row.errno,
      ]),
    ).toEqual(expected.map((call) => [nameOf(call), call.errno]));
    for (const [index, call] of expected.entries()) {
      const row = found[index];
      compared++;
      // A device's own name may be another than the link that leads to it.
      if (call.path.startsWith('/dev/') || call.path.startsWith('/proc/')) continue;
      if (!isPath(place(row), call.path)) expect(place(row)).toBe(call.path);
      if (call.operation === 'rename' || call.operation === 'link') {
        const target = `${row?.target_dir}${row?.target_name}`;
        if (!isPath(target, call.target ?? '')) expect(target).toBe(call.target);
      }
    }
    rows.delete(tid);
  }
  expect(compared).toBeGreaterThan(200);
  // The rest is strace itself, and none of it is about the run.
  for (const row of [...rows.values()].flat()) expect(place(row).startsWith(workspace)).toBe(false);
});

test('every program that ran is there with its arguments and its end, and none of anybody else', async () => {
  const rows = await table('proc_ops');
  const threads = new Set(traced?.ends.keys());
  const ours = rows.filter(({ pid }) => threads.has(Number(pid)));
  const execs = ours.filter(({ event_type }) => event_type === 'exec');
  const line = (pid: unknown, argv: unknown, errno: unknown) =>
    JSON.stringify([pid, errno === 0 ? argv : [], errno]);
  expect(execs.map(({ pid, argv, errno }) => line(pid, argv, errno)).sort()).toEqual(
    // A script's interpreter stands before the arguments that were given; of a refused exec, none are known.
    (traced?.execs ?? [])
      .map(({ pid, argv, errno, path }) => {
        const ran = execs.find((row) => row.pid === pid && row.errno === 0 && row.exec_path === path);
        const isScript =
          errno === 0 && ran !== undefined && Array.isArray(ran.argv) && ran.argv.length > argv.length;
        return line(pid, isScript ? ran.argv : argv, errno);
      })
      .sort(),
  );
  const short = execs.filter(({ argv }) => Array.isArray(argv) && String(argv[1]).startsWith('arg '));
  expect(short.map(({ argv }) => argv)).toEqual(
    Array.from({ length: shortLived }, (_, index) => ['/bin/true', `arg ${index}`]),
  );
  expect(new Set(short.map(({ tool_call_id, attribution }) => `${tool_call_id} ${attribution}`))).toEqual(
    new Set(['call_many environment']),
  );
  const exits = ours.filter(({ event_type }) => event_type === 'exit');
  expect(exits.length).toBeGreaterThan(shortLived);
  for (const { pid, exit_code, signal } of exits) {
    const end = traced?.ends.get(Number(pid));
    expect({ pid, end: typeof end === 'number' ? exit_code : signal }).toEqual({
      pid,
      end: typeof end === 'number' ? end : 9,
    });
  }
});

test('each tool call has what it caused', async () => {
  const effects: ToolCallEffects[] = JSON.parse(
    await output(['events', bundle, '--by', 'tool-call', '--json']),
  );
  const calls = effects.map(({ tool_call_id, files, permissions, processes }) => ({
    call: tool_call_id,
    files: files
      .filter(({ path }) => path.startsWith(workspace))
      .filter(({ event_type }) => event_type !== 'open' && event_type !== 'write')
      .map(({ event_type, path, errno }) => `${event_type} ${path.slice(workspace.length + 1)} ${errno}`),
    by: new Set(files.filter(({ path }) => path.startsWith(workspace)).map(({ attribution }) => attribution)),
    permissions: permissions.map(({ event_type, errno }) => `${event_type} ${errno}`),
    ends: processes.map(({ exit_code }) => exit_code),
  }));
  const environment = new Set(['environment']);
  expect(calls.map(({ ends: _, ...rest }) => rest)).toEqual([
    {
      call: 'call_patch',
      files: [
        'create added.txt 0',
        // Written anew.
        'truncate notes.md 0',
        'delete old.txt 0',
        'create moved/there.txt 2',
        'mkdir moved 0',
        'create moved/there.txt 0',
        'delete move.txt 0',
      ],
      by: new Set(['path']),
      permissions: [],
    },
    {
      call: 'call_files',
      files: [
        'rename added.txt 0',
        'chmod renamed.txt 0',
        'delete moved/there.txt 0',
        'rmdir moved 0',
        'mkdir d 0',
        'symlink d/s 0',
        'link renamed.txt 0',
        'truncate renamed.txt 0',
      ],
      by: environment,
      permissions: [],
    },
    { call: 'call_many', files: [], by: new Set(), permissions: [] },
    {
      call: 'call_refused',
      files: ['chown renamed.txt 1', 'create deep.txt 0', 'rmdir missing 2'],
      by: environment,
      permissions: ['capset 0', 'setresuid 0', 'capset 0', 'setresgid 0'],
    },
    { call: 'call_send', files: [], by: new Set(), permissions: [] },
  ]);
  expect(effects[4]?.http_requests).toMatchObject([
    { method: 'POST', path: '/v1/drop', status: 404, sent_bytes: 4, attribution: 'environment' },
  ]);
  expect(calls[3]?.ends.toSorted()).toEqual([1, 1, 7, 7]);
});

test('the timeline tells the run from the prompt to the answer', async () => {
  const shown = await output(['show', bundle]);
  const order = [
    'prompt',
    'Do it.',
    'tool apply_patch call_patch, completed',
    'create .*/added.txt: ok \\(by path\\)',
    'request to gpt-5.5 resp_mock_2, completed, 10 tokens in',
    'chmod .*/renamed.txt to 0600: ok\n',
    'process \\d+: .*: exit 0',
    'chown .*/renamed.txt to 0:0: EPERM',
    'exit 7',
    'tool exec_command call_send, completed',
    'POST 127.0.0.1:\\d+/v1/drop(?:, by \\d+)?: 404, 4 bytes sent',
    'answer',
    'All done.',
    '6 requests, 60 tokens in \\(0 cached\\), 30 out',
  ];
  expect(shown).toMatch(new RegExp(order.join('[^]*')));
});
