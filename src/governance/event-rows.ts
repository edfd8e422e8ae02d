// Evidence to rows of the four event tables, one event at a time and with bounded memory.

import type {
  EventBase,
  EvidenceEvent,
  ExecFailedEvent,
  FileOpEvent,
  FileRef,
  PermOpEvent,
} from '../evidence/event.js';
import { readEvidence } from '../evidence/reader.js';
import { Redactor } from '../interpret/redact.js';
import type { Cell, Row, TableName } from './columns.js';
import { type FileAggregate, FileAggregator } from './file-aggregate.js';
import { FileLifetimes } from './file-lifetimes.js';
import { type Cause, isLifecycle, type Process, Processes } from './processes.js';
import { shellQuote } from './shell-quote.js';
import type { ToolCalls } from './tool-calls.js';

const NS_PER_US = 1000n;

export interface TableRow {
  table: TableName;
  row: Row;
}

/**
 * The rows of all tables, in the order in which they are known to be complete. Keys and tokens in them are redacted.
 *
 * @param calls the tool calls that rows are joined to, where the process does not name its own.
 * @param onIncomplete is told when the evidence is damaged, or says that the capture lost events.
 * @throws AgsightError `no-evidence`
 */
export async function* eventRows(
  bundle: string,
  calls: ToolCalls,
  onIncomplete: () => void,
): AsyncGenerator<TableRow> {
  const reducer = new EventReducer(calls);
  for await (const event of readEvidence(bundle, { onAnomaly: onIncomplete })) {
    if (event.kind === 'loss' && Object.values(event.counters).some((lost) => lost > 0)) onIncomplete();
    yield* reducer.add(event);
  }
  yield* reducer.end();
}

/** The reducers of the four tables together, since a change to a file ends the rows of its reads and writes. */
class EventReducer {
  readonly #processes: Processes;
  readonly #aggregator = new FileAggregator();
  readonly #lifetimes = new FileLifetimes();
  #redactor = new Redactor(new Uint8Array(0));

  constructor(calls: ToolCalls) {
    this.#processes = new Processes(calls);
  }

  /** The rows that `event` completes. */
  add(event: EvidenceEvent): TableRow[] {
    return this.#rowsOf(event).map((row) => this.#redacted(row));
  }

  /** The rows that were still open when the evidence ended. */
  end(): TableRow[] {
    return this.#aggregator.end().map((aggregate) => this.#redacted(aggregateRow(aggregate)));
  }

  #redacted({ table, row }: TableRow): TableRow {
    const redact = (cell: Cell): Cell => {
      if (typeof cell === 'string') return this.#redactor.text(cell);
      return isTexts(cell) ? cell.map((text) => this.#redactor.text(text)) : cell;
    };
    return {
      table,
      row: Object.fromEntries(Object.entries(row).map(([name, cell]) => [name, redact(cell)])),
    };
  }

  #rowsOf(event: EvidenceEvent): TableRow[] {
    if (isLifecycle(event)) {
      const process = this.#processes.push(event);
      return [{ table: 'proc_ops', row: lifecycleRow(event, process) }];
    }
    switch (event.kind) {
      case 'capture-start':
        this.#redactor = new Redactor(event.salt);
        return [];
      case 'exec-failed':
        return [{ table: 'proc_ops', row: execFailedRow(event, this.#processes.of(event.pid)) }];
      case 'perm-op':
        return [{ table: 'proc_perm', row: permissionRow(event, this.#processes.causeOf(event)) }];
      case 'file-io':
        return this.#aggregator.add(event, this.#processes.causeOf(event, event.path)).map(aggregateRow);
      case 'file-op':
        return this.#addFileOp(event);
      default:
        return [];
    }
  }

  #addFileOp(event: FileOpEvent): TableRow[] {
    const rows = this.#aggregator.endFile(event.rootPid, event.path).map(aggregateRow);
    if (event.target !== undefined) {
      rows.push(...this.#aggregator.endFile(event.rootPid, event.target).map(aggregateRow));
    }
    if (this.#lifetimes.isRepeated(event)) return rows;
    rows.push({ table: 'file_mgmt', row: managementRow(event, this.#processes.causeOf(event, event.path)) });
    return rows;
  }
}

function isTexts(cell: Cell): cell is readonly string[] {
  return Array.isArray(cell) && typeof cell[0] === 'string';
}

function micros(ns: bigint): number {
  return Number(ns / NS_PER_US);
}

function common(event: EventBase, type: string, endNs: bigint = event.timeNs) {
  return {
    time: micros(event.timeNs),
    start_time: micros(event.timeNs),
    end_time: micros(endNs),
    event_type: type,
    process_kname: event.comm,
    pid: event.pid,
    root_pid: event.rootPid,
    syscall_thread: event.tid,
  };
}

function causeColumns(errno: number, { threadId, callId, by }: Cause) {
  return { errno, codex_thread_id: threadId, tool_call_id: callId, attribution: by };
}

/** As DeepFlow splits a path: the directory keeps its slash. */
function splitPath(path: string): [directory: string, name: string] {
  const slash = path.lastIndexOf('/') + 1;
  return [path.slice(0, slash), path.slice(slash)];
}

function fileColumns({ path, fileType, pathInferred }: FileRef) {
  const [file_dir, file_name] = splitPath(path);
  return { file_dir, file_name, file_type: fileType, path_inferred: pathInferred ? 1 : 0 };
}

function aggregateRow({ event, cause, endNs, bytes, count, durationNs, offset }: FileAggregate): TableRow {
  return {
    table: 'file_agg',
    row: {
      ...common(event, event.operation, endNs),
      ...fileColumns(event),
      bytes,
      duration: micros(durationNs),
      offset,
      access_permission: event.mode ?? null,
      event_count: count,
      ...causeColumns(event.errno, cause),
    },
  };
}

function managementRow(event: FileOpEvent, cause: Cause): Row {
  const isNewPath = event.operation === 'rename' || event.operation === 'link';
  const [target_dir, target_name] =
    event.target === undefined ? [null, null] : isNewPath ? splitPath(event.target) : [null, event.target];
  return {
    ...common(event, event.operation, event.endNs),
    ...fileColumns(event),
    bytes: 0,
    duration: micros(event.endNs - event.timeNs),
    // Of what has a length in it, where the file ends afterwards.
    offset: event.length ?? 0,
    access_permission: event.operation === 'chmod' ? (event.wantedMode ?? null) : (event.mode ?? null),
    event_count: 1,
    target_dir,
    target_name,
    target_uid: event.ownerUid ?? null,
    target_gid: event.ownerGid ?? null,
    target_mode: event.wantedMode ?? null,
    ...causeColumns(event.errno, cause),
  };
}

function permissionRow(event: PermOpEvent, cause: Cause): Row {
  const [first = null, second = null] = event.ids;
  const news: Record<PermOpEvent['operation'], [uid: number | null, gid: number | null]> = {
    setuid: [first, null],
    setgid: [null, first],
    // DeepFlow stores the real and the effective id here, whichever kind of id they are.
    setreuid: [first, second],
    setregid: [first, second],
    setresuid: [second, null],
    setresgid: [null, second],
    capset: [null, null],
  };
  const [new_uid, new_gid] = news[event.operation];
  const { capabilities } = event;
  return {
    ...common(event, event.operation, event.endNs),
    old_uid: event.uid,
    old_gid: event.gid,
    new_uid,
    new_gid,
    new_ids: event.ids,
    capabilities:
      capabilities === undefined
        ? null
        : Object.entries(capabilities)
            .map(([set, mask]) => `${set}=${mask.toString(16).padStart(16, '0')}`)
            .join(' '),
    ...causeColumns(event.errno, cause),
  };
}

function lifecycleRow(
  event: Extract<EvidenceEvent, { kind: 'fork' | 'exec' | 'exit' }>,
  process: Process,
): Row {
  return {
    ...common(event, event.kind),
    parent_pid: event.parentPid,
    uid: event.uid,
    gid: event.gid,
    cmdline: shellQuote(process.argv),
    argv: process.argv,
    exec_path: process.execPath,
    cwd: process.cwd ?? null,
    exit_code: event.kind === 'exit' ? (event.exitCode ?? null) : null,
    signal: event.kind === 'exit' ? (event.signal ?? null) : null,
    ...causeColumns(0, process.cause),
  };
}

/** What the arguments would have been is not known; the process goes on with what it ran before. */
function execFailedRow(event: ExecFailedEvent, process: Process): Row {
  return {
    ...common(event, 'exec', event.endNs),
    parent_pid: process.parentPid,
    uid: event.uid,
    gid: event.gid,
    cmdline: '',
    argv: [],
    exec_path: event.execPath,
    cwd: event.cwd ?? process.cwd ?? null,
    exit_code: null,
    signal: null,
    ...causeColumns(event.errno, process.cause),
  };
}
