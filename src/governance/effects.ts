// What processes did, gathered for a person to read: their commands and ends, the files that they changed, the permissions
// that they touched, their connections and what they asked of others over HTTP. Whose they are, a tool call's or an
// agent's, is for others to say.

import type { ConnectEvent, EvidenceEvent, SocketEvent } from '../evidence/event.js';
import type { Row } from './columns.js';
import { ConnectionOutcomes } from './connection-outcomes.js';
import type { TableRow } from './event-rows.js';
import type { HttpRequest } from './http-requests.js';
import type { Cause } from './processes.js';

export interface EffectBase {
  /** Microseconds since the Unix epoch. */
  time: number;
  pid: number;
  errno: number;
  /** The program that did it; empty when its start was not seen. */
  program: string;
  /** How the tool call was found; all but `environment` are inferred. */
  attribution: string | null;
}

export interface ProcessEffect extends EffectBase {
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
  /** It went on to work for somebody else, of whom its end is told. */
  went_on: boolean;
}

export interface FileEffect extends EffectBase {
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
  /** EINPROGRESS (115) where the capture does not tell what became of it. */
  errno: number;
  /** AF_UNIX 1, AF_INET 2, AF_INET6 10. */
  family: number;
  address: string;
  port: number;
}

/** A request over HTTP that is no call of a model. */
export interface HttpEffect extends EffectBase {
  method: string;
  host: string | null;
  /** The target without its query. */
  path: string;
  /** Null when no answer was seen. */
  status: number | null;
  /** Of the bodies, in their content codings. */
  sent_bytes: number;
  received_bytes: number;
  /** Whether the answer was seen to its end. */
  complete: boolean;
}

interface PermissionEffect extends EffectBase {
  event_type: string;
  new_ids: readonly number[];
  capabilities: string | null;
}

export interface Effects {
  processes: ProcessEffect[];
  files: FileEffect[];
  permissions: PermissionEffect[];
  connections: ConnectionEffect[];
  http_requests: HttpEffect[];
  /** Files that were read. */
  files_read: number;
}

export function noEffects(): Effects {
  return { processes: [], files: [], permissions: [], connections: [], http_requests: [], files_read: 0 };
}

/** Microseconds since the Unix epoch; undefined when there are none. */
export function firstTime(effects: Effects): number | undefined {
  const { processes, files, permissions, connections, http_requests } = effects;
  let first: number | undefined;
  for (const kind of [processes, files, permissions, connections, http_requests]) {
    for (const { time } of kind) if (first === undefined || time < first) first = time;
  }
  return first;
}

/** Adds rows and connections to the effects that they belong to, in the order in which they come. */
export class EffectCollector {
  readonly #running = new Map<number, { process: ProcessEffect; of: Effects }>();
  readonly #outcomes = new ConnectionOutcomes();

  /** @param effects that the row belongs to; undefined when nobody wants to know of it */
  add({ table, row }: TableRow, effects: Effects | undefined): void {
    if (effects === undefined) {
      if (table === 'proc_ops') this.#running.delete(Number(row.pid));
      return;
    }
    switch (table) {
      case 'proc_ops':
        this.#addProcess(effects, row);
        return;
      case 'proc_perm':
        effects.permissions.push({
          ...this.#base(row),
          event_type: text(row.event_type),
          new_ids: numbers(row.new_ids),
          capabilities: textOrNull(row.capabilities),
        });
        return;
      case 'file_agg':
        if (row.event_type === 'read') effects.files_read++;
        else effects.files.push({ ...this.#base(row), ...fileEffect(row) });
        return;
      case 'file_mgmt':
        effects.files.push({ ...this.#base(row), ...fileEffect(row) });
    }
  }

  addConnection(event: ConnectEvent, cause: Cause, effects: Effects): void {
    const { pid, timeNs, errno, family, address, port } = event;
    const connection: ConnectionEffect = { ...this.#at(timeNs, pid, cause), errno, family, address, port };
    effects.connections.push(connection);
    this.#outcomes.begun(event, (outcome) => {
      connection.errno = outcome;
    });
  }

  addRequest({ timeNs, pid }: EvidenceEvent, request: HttpRequest, cause: Cause, effects: Effects): void {
    const { method, host, path } = request;
    const told: HttpEffect = {
      ...this.#at(timeNs, pid, cause),
      ...{
        errno: 0,
        method,
        host: host ?? null,
        path,
        status: null,
        sent_bytes: 0,
        received_bytes: 0,
        complete: false,
      },
    };
    effects.http_requests.push(told);
    request.onAnswer(({ status, sentBytes, receivedBytes, isWhole }) => {
      told.status = status ?? null;
      told.sent_bytes = sentBytes;
      told.received_bytes = receivedBytes;
      told.complete = isWhole;
    });
  }

  /** What became of connections that were only begun. */
  settleConnection(event: SocketEvent): void {
    this.#outcomes.push(event);
  }

  #at(timeNs: bigint, pid: number, cause: Cause): Omit<EffectBase, 'errno'> {
    const program = this.#running.get(pid)?.process.program ?? '';
    return { time: Number(timeNs / 1000n), pid, program, attribution: cause.by };
  }

  #base(row: Row): EffectBase {
    return {
      time: Number(row.time),
      pid: Number(row.pid),
      errno: Number(row.errno),
      program: this.#running.get(Number(row.pid))?.process.program ?? '',
      attribution: textOrNull(row.attribution),
    };
  }

  #addProcess(effects: Effects, row: Row): void {
    const pid = Number(row.pid);
    const known = row.event_type === 'fork' ? undefined : this.#running.get(pid);
    // It is told where it began, and again where it begins to work for somebody else.
    let process = known?.of === effects ? known.process : undefined;
    if (process === undefined) {
      if (known !== undefined) known.process.went_on = true;
      process = {
        ...this.#base(row),
        errno: 0,
        program: text(row.exec_path),
        parent_pid: Number(row.parent_pid),
        commands: [],
        exit_code: null,
        signal: null,
        went_on: false,
      };
      effects.processes.push(process);
      this.#running.set(pid, { process, of: effects });
    }
    if (row.event_type === 'exec') {
      process.attribution = textOrNull(row.attribution);
      if (row.errno === 0) process.program = text(row.exec_path);
      process.commands.push(commandOf(row));
    } else if (row.event_type === 'exit') {
      // Its end alone is seen of what ran before the capture.
      if (known === undefined && row.cmdline !== '') process.commands.push(commandOf(row));
      process.exit_code = numberOrNull(row.exit_code);
      process.signal = numberOrNull(row.signal);
      this.#running.delete(pid);
    }
  }
}

function commandOf(row: Row): ProcessEffect['commands'][number] {
  return {
    cmdline: text(row.cmdline),
    argv: texts(row.argv),
    exec_path: text(row.exec_path),
    cwd: textOrNull(row.cwd),
    errno: Number(row.errno),
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
export const textOrNull = (cell: Row[string] | undefined): string | null =>
  typeof cell === 'string' ? cell : null;
const numberOrNull = (cell: Row[string] | undefined): number | null =>
  typeof cell === 'number' ? cell : null;
const texts = (cell: Row[string] | undefined): string[] =>
  Array.isArray(cell) ? cell.filter((part) => typeof part === 'string') : [];
const numbers = (cell: Row[string] | undefined): number[] =>
  Array.isArray(cell) ? cell.filter((part) => typeof part === 'number') : [];
