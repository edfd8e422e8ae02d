// What each tool call of a bundle caused: its processes with their ends, the files that they changed, the
// permissions that they touched. Holds all of it in memory, as a person wants to read it.

import { AgsightError } from '../errors.js';
import type { ConnectEvent } from '../evidence/event.js';
import { renderTable } from '../render/table.js';
import { singleLine } from '../render/terminal.js';
import type { Row } from './columns.js';
import { eventRows, type TableRow } from './event-rows.js';
import type { Cause } from './processes.js';
import { type KnownCall, loadRuns, type Run, ToolCalls } from './tool-calls.js';

interface EffectBase {
  /** Microseconds since the Unix epoch. */
  time: number;
  pid: number;
  errno: number;
  /** The program that did it; empty when its start was not seen. */
  program: string;
  /** How the tool call was found; all but `environment` are inferred. */
  attribution: string | null;
}

interface ProcessEffect extends EffectBase {
  parent_pid: number;
  /** What it ran, one after the other; empty for a fork that went on with its parent's program. */
  commands: {
    cmdline: string;
    argv: readonly string[];
    exec_path: string;
    cwd: string | null;
    errno: number;
  }[];
  exit_code: number | null;
  signal: number | null;
}

interface FileEffect extends EffectBase {
  event_type: string;
  path: string;
  /** rename, link: the new path; symlink: what it says. */
  target: string | null;
  mode: number | null;
  uid: number | null;
  gid: number | null;
  bytes: number;
}

interface ConnectionEffect extends EffectBase {
  /** AF_UNIX 1, AF_INET 2, AF_INET6 10. */
  family: number;
  address: string;
  port: number;
}

interface PermissionEffect extends EffectBase {
  event_type: string;
  new_ids: readonly number[];
  capabilities: string | null;
}

export interface ToolCallEffects {
  tool_call_id: string;
  codex_thread_id: string | null;
  tool: string | null;
  request: string | null;
  status: string | null;
  /** Microseconds since the Unix epoch; null where the bundle does not tell. */
  started_at: number | null;
  ended_at: number | null;
  processes: ProcessEffect[];
  files: FileEffect[];
  permissions: PermissionEffect[];
  connections: ConnectionEffect[];
  /** Files that were read. */
  files_read: number;
}

export interface BundleEffects {
  runs: Run[];
  calls: ToolCallEffects[];
  /** Nothing was lost, nothing is damaged. */
  isSound: boolean;
}

/**
 * What the tool calls of a bundle caused; of a bundle of Codex itself, which has no evidence, only the calls.
 *
 * @throws AgsightError `no-evidence` when there is no run either.
 */
export async function toolCallEffects(bundle: string): Promise<BundleEffects> {
  const runs = await loadRuns(bundle);
  const calls = new ToolCalls(runs);
  const collector = new Collector(calls);
  let isSound = true;
  const onIncomplete = (): void => {
    isSound = false;
  };
  const rows = eventRows(bundle, {
    calls,
    onIncomplete,
    onConnect: (event, cause) => collector.addConnection(event, cause),
  });
  try {
    for await (const row of rows) collector.add(row);
  } catch (error) {
    if (runs.length === 0 || !(error instanceof AgsightError) || error.code !== 'no-evidence') throw error;
  }
  return { runs, calls: collector.calls, isSound };
}

class Collector {
  readonly #known: ToolCalls;
  readonly #calls = new Map<string, ToolCallEffects>();
  readonly #running = new Map<number, ProcessEffect>();

  constructor(known: ToolCalls) {
    this.#known = known;
    for (const call of known.all) this.#calls.set(`${call.threadId} ${call.id}`, emptyEffects(call));
  }

  get calls(): ToolCallEffects[] {
    return [...this.#calls.values()];
  }

  add({ table, row }: TableRow): void {
    const { tool_call_id: id, codex_thread_id: threadId } = row;
    const call = this.#callOf(textOrNull(threadId), textOrNull(id));
    if (call === undefined) {
      if (table === 'proc_ops') this.#running.delete(Number(row.pid));
      return;
    }
    switch (table) {
      case 'proc_ops':
        this.#addProcess(call, row);
        return;
      case 'proc_perm':
        call.permissions.push({
          ...this.#base(row),
          event_type: text(row.event_type),
          new_ids: numbers(row.new_ids),
          capabilities: textOrNull(row.capabilities),
        });
        return;
      case 'file_agg':
        if (row.event_type === 'read') call.files_read++;
        else call.files.push({ ...this.#base(row), ...fileEffect(row) });
        return;
      case 'file_mgmt':
        call.files.push({ ...this.#base(row), ...fileEffect(row) });
    }
  }

  addConnection(event: ConnectEvent, cause: Cause): void {
    const { pid, timeNs, errno, family, address, port } = event;
    this.#callOf(cause.threadId, cause.callId)?.connections.push({
      time: Number(timeNs / 1000n),
      pid,
      errno,
      program: this.#running.get(pid)?.program ?? '',
      attribution: cause.by,
      family,
      address,
      port,
    });
  }

  #callOf(thread: string | null, id: string | null): ToolCallEffects | undefined {
    if (id === null) return undefined;
    const known = this.#known.get(thread, id);
    const key = `${thread} ${known?.id ?? id}`;
    let call = this.#calls.get(key);
    if (call === undefined) {
      call = { ...emptyEffects(undefined), tool_call_id: id, codex_thread_id: thread };
      this.#calls.set(key, call);
    }
    return call;
  }

  #base(row: Row): EffectBase {
    return {
      time: Number(row.time),
      pid: Number(row.pid),
      errno: Number(row.errno),
      program: this.#running.get(Number(row.pid))?.program ?? '',
      attribution: textOrNull(row.attribution),
    };
  }

  #addProcess(call: ToolCallEffects, row: Row): void {
    const pid = Number(row.pid);
    let process = row.event_type === 'fork' ? undefined : this.#running.get(pid);
    if (process === undefined) {
      process = {
        ...this.#base(row),
        errno: 0,
        program: text(row.exec_path),
        parent_pid: Number(row.parent_pid),
        commands: [],
        exit_code: null,
        signal: null,
      };
      call.processes.push(process);
      this.#running.set(pid, process);
    }
    if (row.event_type === 'exec') {
      process.attribution = textOrNull(row.attribution);
      if (row.errno === 0) process.program = text(row.exec_path);
      process.commands.push({
        cmdline: text(row.cmdline),
        argv: texts(row.argv),
        exec_path: text(row.exec_path),
        cwd: textOrNull(row.cwd),
        errno: Number(row.errno),
      });
    } else if (row.event_type === 'exit') {
      process.exit_code = numberOrNull(row.exit_code);
      process.signal = numberOrNull(row.signal);
      this.#running.delete(pid);
    }
  }
}

function emptyEffects(call: KnownCall | undefined): ToolCallEffects {
  const micros = (ns: bigint | undefined): number | null => (ns === undefined ? null : Number(ns / 1000n));
  return {
    tool_call_id: call?.id ?? '',
    codex_thread_id: call?.threadId ?? null,
    tool: call?.tool ?? null,
    request: call?.request ?? null,
    status: call?.status ?? null,
    started_at: micros(call?.startNs),
    ended_at: micros(call?.endNs),
    processes: [],
    files: [],
    permissions: [],
    connections: [],
    files_read: 0,
  };
}

function fileEffect(row: Row): Omit<FileEffect, keyof EffectBase> {
  const { target_dir, target_name } = row;
  return {
    event_type: text(row.event_type),
    path: text(row.file_dir) + text(row.file_name),
    target: typeof target_name === 'string' ? `${target_dir ?? ''}${target_name}` : null,
    mode: numberOrNull(row.target_mode),
    uid: numberOrNull(row.target_uid),
    gid: numberOrNull(row.target_gid),
    bytes: Number(row.bytes),
  };
}

const text = (cell: Row[string] | undefined): string => (typeof cell === 'string' ? cell : '');
const textOrNull = (cell: Row[string] | undefined): string | null => (typeof cell === 'string' ? cell : null);
const numberOrNull = (cell: Row[string] | undefined): number | null =>
  typeof cell === 'number' ? cell : null;
const texts = (cell: Row[string] | undefined): string[] =>
  Array.isArray(cell) ? cell.filter((part) => typeof part === 'string') : [];
const numbers = (cell: Row[string] | undefined): number[] =>
  Array.isArray(cell) ? cell.filter((part) => typeof part === 'number') : [];

const cellWidth = 100;

/** For a terminal: what each call caused, one line each. */
export function describeToolCalls(calls: readonly ToolCallEffects[]): string {
  const rows = calls.flatMap((call) => {
    const head = [call.tool_call_id, call.tool ?? '', singleLine(call.request ?? '', cellWidth), '', ''];
    return [head, ...effectLines(call).map(({ what, result, how }) => ['', '', `  ${what}`, result, how])];
  });
  return renderTable(['Tool call', 'Tool', 'What', 'Result', 'Found by'], rows);
}

export interface EffectLine {
  time: number;
  what: string;
  result: string;
  how: string;
}

const unixSocket = 1;
/** What builds the sandbox around a command does much of no interest; the command itself runs another program. */
const sandboxPrograms = /(?:^|\/)(?:codex-linux-sandbox|bwrap)$/;

/** What a call caused, in the order of time, but for what its sandbox did to build itself: that is one line. */
export function effectLines(call: ToolCallEffects): EffectLine[] {
  const isOfCommand = ({ program }: EffectBase): boolean => !sandboxPrograms.test(program);
  const files = call.files.filter(isOfCommand);
  const permissions = call.permissions.filter(isOfCommand);
  const lines: EffectLine[] = [
    ...call.processes.map((process) => ({
      time: process.time,
      what: singleLine(`process ${process.pid}: ${describeCommand(process)}`, cellWidth),
      result:
        process.signal !== null
          ? `signal ${process.signal}`
          : process.exit_code === null
            ? 'running'
            : `exit ${process.exit_code}`,
      how: process.attribution ?? '',
    })),
    ...files.filter(isTold).map((file) => ({
      time: file.time,
      what: singleLine(`${file.event_type} ${file.path}${describeTarget(file)}`, cellWidth),
      result: errorName(file.errno),
      how: file.attribution ?? '',
    })),
    ...permissions.map((permission) => ({
      time: permission.time,
      what: singleLine(
        `${permission.event_type} ${permission.capabilities ?? permission.new_ids.join(' ')}`,
        cellWidth,
      ),
      result: errorName(permission.errno),
      how: permission.attribution ?? '',
    })),
  ];
  for (const { time, family, address, port, errno, attribution } of call.connections) {
    if (family === unixSocket) continue;
    const what = singleLine(`connect ${address} port ${port}`, cellWidth);
    lines.push({ time, what, result: errorName(errno), how: attribution ?? '' });
  }
  lines.sort((a, b) => a.time - b.time);
  const left = call.files.length - files.length + call.permissions.length - permissions.length;
  if (left > 0) {
    const what = `${left} operations of the sandbox on itself (--json has them)`;
    lines.push({ time: lines.at(-1)?.time ?? 0, what, result: '', how: '' });
  }
  return lines;
}

/** Shells try one directory after the other, and a wrapper becomes what it wraps: the last success tells. */
function describeCommand({ commands }: ProcessEffect): string {
  const last = commands.findLast(({ errno }) => errno === 0) ?? commands.at(-1);
  if (last === undefined) return 'fork';
  return last.errno === 0 ? last.cmdline : `${last.exec_path} (${errorName(last.errno)})`;
}

/** What is written to a file that was opened is told by itself, and a device is no file. */
function isTold({ event_type, errno, path }: FileEffect): boolean {
  return event_type !== 'open' || (errno !== 0 && !path.startsWith('/dev/'));
}

function describeTarget({ event_type, target, mode, uid, gid, bytes }: FileEffect): string {
  if (target !== null) return ` → ${target}`;
  if (event_type === 'chown') return ` to ${ownerName(uid)}:${ownerName(gid)}`;
  if (event_type === 'chmod' && mode !== null) return ` to ${mode.toString(8).padStart(4, '0')}`;
  return event_type === 'write' ? `, ${bytes} bytes` : '';
}

const unchangedId = 0xffff_ffff;
const ownerName = (id: number | null): string => (id === null || id === unchangedId ? '' : String(id));

function errorName(errno: number): string {
  return errno === 0 ? 'ok' : (systemErrorNames.get(errno) ?? `errno ${errno}`);
}

/** The errors of Linux that file and permission calls give, by number: the host that reads may be another system. */
const systemErrorNames = new Map([
  [1, 'EPERM'],
  [2, 'ENOENT'],
  [5, 'EIO'],
  [6, 'ENXIO'],
  [9, 'EBADF'],
  [13, 'EACCES'],
  [16, 'EBUSY'],
  [17, 'EEXIST'],
  [18, 'EXDEV'],
  [20, 'ENOTDIR'],
  [21, 'EISDIR'],
  [22, 'EINVAL'],
  [26, 'ETXTBSY'],
  [27, 'EFBIG'],
  [28, 'ENOSPC'],
  [30, 'EROFS'],
  [31, 'EMLINK'],
  [36, 'ENAMETOOLONG'],
  [39, 'ENOTEMPTY'],
  [40, 'ELOOP'],
  [95, 'EOPNOTSUPP'],
  [111, 'ECONNREFUSED'],
  [115, 'EINPROGRESS'],
  [122, 'EDQUOT'],
]);
