// Real captures of a program that makes every followed call and keeps its own record of each: the tables must say
// the same, no more and no less.

import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type CaptureOptions, capture } from '../../src/capture/capture.js';
import type { FileContentEvent } from '../../src/evidence/event.js';
import { readEvidence } from '../../src/evidence/reader.js';
import type { Row, TableName } from '../../src/governance/columns.js';
import { eventRows } from '../../src/governance/event-rows.js';
import { ToolCalls } from '../../src/governance/tool-calls.js';
import { buildFileOperations, parseToldCalls } from '../support/file-operations.js';
import { requireRoot } from '../support/requirements.js';

const program = buildFileOperations();
let directory: string;
let bundle: string;
let work: string;

beforeEach((context) => {
  requireRoot(context);
  directory = mkdtempSync(join(tmpdir(), 'agsight-governance-'));
  bundle = join(directory, 'bundle');
  work = join(directory, 'work');
  mkdirSync(work);
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

const record = (command: string[], more: Partial<CaptureOptions> = {}) =>
  capture({
    output: bundle,
    target: { command },
    ringBytes: 64 << 20,
    stop: new AbortController().signal,
    ...more,
  });

async function rows(table: TableName): Promise<Row[]> {
  const found: Row[] = [];
  const options = { calls: new ToolCalls([]), tables: [table], onIncomplete: () => {} };
  for await (const { row } of eventRows(bundle, options)) found.push(row);
  return found;
}

const isOurs = ({ file_dir }: Row): boolean => String(file_dir).startsWith(`${work}/`) || file_dir === '/';
const pathOf = ({ file_dir, file_name }: Row): string => `${file_dir}${file_name}`;

/** Runs the program with its standard output in a file, which is what it tells of itself. */
const shell = (to: string, ...args: string[]): string[] => [
  '/bin/sh',
  '-c',
  `exec "$@" > ${to}`,
  'sh',
  ...args,
];

test('every call is in its table with path, result and what was asked for', async () => {
  const told = join(directory, 'told');
  const other = join(directory, 'other');
  mkdirSync(other);
  const unrelated = spawn(program, [other], { stdio: 'ignore' });
  const summary = await record(shell(told, program, work));
  unrelated.kill();
  // The program hands io_uring one request that may change a file and, where the kernel takes it, makes one call of 32 bits.
  const took32Bits = (await rows('proc_ops')).some(({ exit_code }) => exit_code === 32);
  expect(summary.counters).toMatchObject({ io_uring: 1, calls_32_bit: took32Bits ? 1 : 0 });
  expect(summary.lost_events).toBe(took32Bits ? 2 : 1);

  const calls = parseToldCalls(readFileSync(told, 'utf8'), work);
  const isPermission = ({ operation }: { operation: string }): boolean => /^set|^cap/.test(operation);
  const management = (await rows('file_mgmt')).filter(isOurs);
  expect(
    management.map((row) => ({
      operation: row.event_type,
      errno: row.errno,
      path: pathOf(row),
      target: row.target_name === null ? null : `${row.target_dir ?? ''}${row.target_name}`,
      mode: row.event_type === 'chmod' ? row.target_mode : null,
      uid: row.target_uid,
      gid: row.target_gid,
    })),
  ).toEqual(calls.filter((call) => !isPermission(call)));
  expect(management.filter(({ path_inferred }) => path_inferred === 1).map(pathOf)).toEqual([
    // The program gave it as sub/../fourth.
    `${work}/fourth`,
  ]);

  const permissions = await rows('proc_perm');
  expect(permissions.map(({ event_type, errno }) => [event_type, errno])).toEqual(
    calls.filter(isPermission).map(({ operation, errno }) => [operation, errno]),
  );
  expect(permissions.map(({ new_ids }) => new_ids)).toEqual([
    [4_294_967_295, 100, 101],
    [102, 103],
    [104],
    [],
    [105, 4_294_967_295],
    [106, 107, 107],
    [0],
    [0],
  ]);
  expect(permissions[3]?.capabilities).toBe(
    'effective=0000000000000001 permitted=0000000000000081 inheritable=0000000000000000',
  );
  expect(permissions.slice(0, 3).map(({ old_gid, new_uid, new_gid }) => [old_gid, new_uid, new_gid])).toEqual(
    [
      [0, null, 100],
      [0, 102, 103],
      [102, null, 104],
    ],
  );
});

test('bytes read and written are summed up by file, whichever call moved them', async () => {
  await record([program, work]);
  const moved = (await rows('file_agg')).filter(isOurs);
  const sums = new Map<string, number>();
  for (const row of moved) {
    const key = `${row.event_type} ${row.file_name}`;
    sums.set(key, (sums.get(key) ?? 0) + Number(row.bytes));
  }
  expect(Object.fromEntries(sums)).toEqual({
    'write data': 10 + 7 + 5 + 7 + 7,
    'read data': 10 + 20 + 30 + 8 + 9 + 11 + 12 + 13,
    'write copy': 11 + 12 + 13,
  });
  // ftruncate and fchmod end the row of the writes before them.
  const writes = moved.find(({ event_type, file_name }) => event_type === 'write' && file_name === 'data');
  expect(writes).toMatchObject({ event_count: 5, file_type: 'regular', errno: 0, access_permission: 0o644 });
});

/** The child that tried a call of 32 bits, whatever came of it. */
const isEndOf32Bits = ({ event_type, exit_code, signal }: Row): boolean =>
  event_type === 'exit' && (exit_code === 32 || signal !== null);

test('processes have parent, directory, arguments and end, also when an exec was refused first', async () => {
  await record([program, work]);
  const all32Bits = new Set([...(await rows('proc_ops'))].filter(isEndOf32Bits).map(({ pid }) => pid));
  const found = (await rows('proc_ops')).filter(({ pid }) => !all32Bits.has(pid));
  const root = found[0]?.pid;
  const all = found.map(({ event_type, errno, argv, exec_path, cwd, exit_code }) => [
    event_type,
    errno,
    argv,
    exec_path,
    cwd,
    exit_code,
  ]);
  const ours = [program, work];
  expect(all).toEqual([
    ['exec', 0, ours, program, process.cwd(), null],
    ['fork', 0, ours, program, work, null],
    ['exit', 0, ours, program, work, 9],
    ['fork', 0, ours, program, work, null],
    ['exec', 2, [], '/missing-for-agsight', `${work}/sub`, null],
    ['exec', 0, ['true', 'an argument'], '/bin/true', `${work}/sub`, null],
    ['exit', 0, ['true', 'an argument'], '/bin/true', `${work}/sub`, 0],
    ['exit', 0, ours, program, work, 0],
  ]);
  for (const row of found) {
    expect(row.root_pid).toBe(root);
    expect(row.parent_pid).toBe(row.pid === root ? process.pid : root);
  }
  expect(found[5]?.cmdline).toBe("true 'an argument'");
});

test('eight threads at once: each creation, write and rename is there', async () => {
  const summary = await record([program, work, 'threads']);
  expect(summary.lost_events).toBe(0);
  const count = (found: Row[], type: string): number =>
    found.filter((row) => row.event_type === type && isOurs(row)).length;
  const management = await rows('file_mgmt');
  expect(count(management, 'create')).toBe(1600);
  expect(count(management, 'rename')).toBe(1600);
  for (const row of management.filter((row) => isOurs(row) && row.event_type === 'rename')) {
    expect(row.target_name).toBe(String(row.file_name).replace('from', 'to'));
  }
  const writes = (await rows('file_agg')).filter((row) => isOurs(row) && row.event_type === 'write');
  expect(writes.reduce((sum, { bytes }) => sum + Number(bytes), 0)).toBe(16_000);
  expect(writes.reduce((sum, { event_count }) => sum + Number(event_count), 0)).toBe(1600);
});

test('without files only processes are recorded', async () => {
  await record([program, work], { files: false });
  expect(await rows('file_mgmt')).toEqual([]);
  expect(await rows('file_agg')).toEqual([]);
  expect((await rows('proc_ops')).length).toBeGreaterThanOrEqual(7);
});

test('what a thread has written and not closed is told when the capture ends', async () => {
  const script = `
    const fs = require('node:fs');
    const file = fs.openSync('${work}/kept-open', 'w');
    for (let i = 0; i < 5; i++) fs.writeSync(file, 'line');
    setTimeout(() => {}, 60000);`;
  const stop = new AbortController();
  const running = record([process.execPath, '-e', script], { stop: stop.signal, durationMs: 2000 });
  const summary = await running;
  expect(summary.end_reason).toBe('duration');
  const writes = (await rows('file_agg')).filter(isOurs);
  expect(writes).toMatchObject([{ event_type: 'write', file_name: 'kept-open', bytes: 20, event_count: 5 }]);
  execFileSync('kill', ['-9', String(summary.targets[0]?.pid)]);
});

test('a file that is emptied on opening is told as truncated, and an append by where it went', async () => {
  const script = `
    const fs = require('node:fs');
    process.chdir('${work}');
    fs.writeFileSync('log', 'what is lost');
    fs.writeFileSync('log', 'new');
    fs.writeFileSync('/dev/null', 'new');
    const log = fs.openSync('log', 'a');
    fs.writeSync(log, 'more');
    fs.chmodSync('log', 0o600);
    fs.writeSync(log, 'the end, whatever position is given', 0);`;
  await record([process.execPath, '-e', script]);
  const changes = (await rows('file_mgmt')).filter((row) => isOurs(row) || row.file_dir === '/dev/');
  expect(changes.map((row) => [row.event_type, pathOf(row), row.offset])).toEqual([
    ['create', `${work}/log`, 0],
    ['truncate', `${work}/log`, 0],
    ['open', '/dev/null', 0],
    ['open', `${work}/log`, 0],
    ['chmod', `${work}/log`, 0],
  ]);
  const writes = (await rows('file_agg')).filter((row) => isOurs(row) && row.event_type === 'write');
  expect(writes.map(({ offset, bytes }) => [offset, bytes])).toEqual([
    [0, 12],
    [0, 3],
    [3, 4],
    [7, 35],
  ]);
});

/** What the evidence holds of a file, put together; fails where something is missing. */
async function recordedContent(path: string): Promise<{ content: Buffer; sources: Set<string> }> {
  const pieces: FileContentEvent[] = [];
  for await (const event of readEvidence(bundle)) {
    if (event.kind === 'file-content' && event.path === path) pieces.push(event);
  }
  const content = Buffer.alloc(Math.max(...pieces.map(({ offset, data }) => offset + data.length)));
  for (const { offset, data, missing } of pieces) {
    expect(missing).toBe(0);
    content.set(data, offset);
  }
  return { content, sources: new Set(pieces.map(({ source }) => source)) };
}

test('rollout files are recorded with content, however they are written', async () => {
  const script = `
    const fs = require('node:fs');
    process.chdir('${work}');
    const file = fs.openSync('rollout-a.jsonl', 'a');
    fs.writeSync(file, '{"line":1}\\n');
    fs.writevSync(file, [Buffer.from('{"line":'), Buffer.alloc(0), Buffer.alloc(70000, 'x'), Buffer.from('}\\n')]);
    fs.writeSync(file, Buffer.alloc(24 << 20, 'long line ') );
    const other = fs.openSync('rollout-b.jsonl', 'w');
    fs.writeSync(other, 'second', 10);
    fs.writeSync(other, 'first', 0);
    fs.writeSync(other, Buffer.from('positioned'), 0, 10, 3);
    fs.writeFileSync('part', 'written before it had the name\\n');
    fs.renameSync('part', 'rollout-c.jsonl');
    fs.appendFileSync('rollout-c.jsonl', 'and after\\n');
    fs.writeFileSync('rollout.jsonl', 'no rollout by its name');`;
  const summary = await record([process.execPath, '-e', script]);
  expect(summary.lost_events).toBe(0);
  await delay(10);
  const sources: Record<string, string[]> = {};
  for (const name of ['rollout-a.jsonl', 'rollout-b.jsonl', 'rollout-c.jsonl']) {
    const recorded = await recordedContent(join(work, name));
    expect(recorded.content.equals(readFileSync(join(work, name)))).toBe(true);
    sources[name] = [...recorded.sources].sort();
  }
  expect(sources).toEqual({
    // The rest of a very long line is read from the file.
    'rollout-a.jsonl': ['file', 'write'],
    'rollout-b.jsonl': ['write'],
    'rollout-c.jsonl': ['file', 'write'],
  });
  await expect(recordedContent(join(work, 'rollout.jsonl'))).rejects.toThrow();
});
