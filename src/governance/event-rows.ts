// Evidence to rows of the four event tables, one event at a time and with bounded memory.

import type {
  CaptureStartEvent,
  ConnectEvent,
  EvidenceEvent,
  FileOpEvent,
  SocketEvent,
} from '../evidence/event.js';
import { readAgentEvidence } from '../interpret/agent-evidence.js';
import { type Row, type TableName, tableNames } from './columns.js';
import { type FileAggregate, FileAggregator } from './file-aggregate.js';
import { FileLifetimes } from './file-lifetimes.js';
import { type HttpRequest, HttpRequests } from './http-requests.js';
import { type Cause, isLifecycle, Processes } from './processes.js';
import { Rows } from './rows.js';
import type { ToolCalls } from './tool-calls.js';

export interface TableRow {
  table: TableName;
  row: Row;
}

export interface EventRowsOptions {
  /** The tool calls that rows are joined to, where the process does not name its own. */
  calls: ToolCalls;
  /** The tables that are wanted; all unless told. */
  tables?: readonly TableName[];
  /** Whether what belongs to no agent has rows too, with root 0. */
  everybody?: boolean;
  /** Is told when the evidence is damaged, or says that the capture lost events. */
  onIncomplete: () => void;
  /** Is told of the capture itself: what it recorded, among others. */
  onStart?: (event: CaptureStartEvent) => void;
  /** Is told of each connect, for which there is no table. */
  onConnect?: (event: ConnectEvent, cause: Cause) => void;
  /** Is told what becomes of connections. */
  onSocket?: (event: SocketEvent) => void;
  /** Is told of each request over HTTP that is no call of a model, with the event that it was read from. */
  onRequest?: (event: EvidenceEvent, request: HttpRequest, cause: Cause) => void;
}

/**
 * The rows of the tables, in the order in which they are known to be complete.
 *
 * @throws AgsightError `no-evidence`
 */
export async function* eventRows(bundle: string, options: EventRowsOptions): AsyncGenerator<TableRow> {
  const {
    calls,
    tables = tableNames,
    everybody = false,
    onIncomplete,
    onStart,
    onSocket,
    onConnect,
    onRequest,
  } = options;
  const reducer = new EventReducer(calls, tables, onConnect, onRequest);
  for await (const event of readAgentEvidence(bundle, { everybody, onAnomaly: onIncomplete })) {
    if (event.kind === 'loss' && Object.values(event.counters).some((lost) => lost > 0)) onIncomplete();
    if (event.kind === 'capture-start') onStart?.(event);
    if (event.kind === 'socket') onSocket?.(event);
    yield* reducer.add(event);
  }
  yield* reducer.end();
}

const nothing: readonly TableRow[] = [];

/** The reducers of the four tables together, since a change to a file ends the rows of its reads and writes. */
class EventReducer {
  readonly #processes: Processes;
  readonly #aggregator = new FileAggregator();
  readonly #lifetimes = new FileLifetimes();
  readonly #onConnect: NonNullable<EventRowsOptions['onConnect']>;
  readonly #wants: Readonly<Record<TableName, boolean>>;
  readonly #requests: HttpRequests | undefined;
  #rows = new Rows(new Uint8Array(0));
  /** That is being looked at. */
  #event: EvidenceEvent | undefined;

  constructor(
    calls: ToolCalls,
    tables: readonly TableName[],
    onConnect: EventRowsOptions['onConnect'] = () => {},
    onRequest?: EventRowsOptions['onRequest'],
  ) {
    this.#processes = new Processes(calls);
    this.#onConnect = onConnect;
    if (onRequest !== undefined) {
      this.#requests = new HttpRequests((request) => {
        if (this.#event === undefined) return;
        const told = { ...request, path: this.#rows.text(request.path) };
        onRequest(this.#event, told, this.#processes.causeOf(this.#event));
      });
    }
    const wants = (table: TableName): boolean => tables.includes(table);
    this.#wants = {
      file_agg: wants('file_agg'),
      file_mgmt: wants('file_mgmt'),
      proc_perm: wants('proc_perm'),
      proc_ops: wants('proc_ops'),
    };
  }

  /** The rows that `event` completes. */
  add(event: EvidenceEvent): readonly TableRow[] {
    this.#event = event;
    this.#requests?.push(event);
    if (isLifecycle(event)) {
      const process = this.#processes.push(event);
      return this.#wants.proc_ops
        ? [{ table: 'proc_ops', row: this.#rows.lifecycle(event, process) }]
        : nothing;
    }
    switch (event.kind) {
      case 'capture-start':
        this.#rows = new Rows(event.salt);
        return nothing;
      case 'running':
        this.#processes.met(event);
        return nothing;
      case 'connect':
        this.#onConnect(event, this.#processes.causeOf(event));
        return nothing;
      case 'exec-failed':
        if (!this.#wants.proc_ops) return nothing;
        return [{ table: 'proc_ops', row: this.#rows.execFailed(event, this.#processes.of(event.pid)) }];
      case 'perm-op':
        if (!this.#wants.proc_perm) return nothing;
        return [{ table: 'proc_perm', row: this.#rows.permission(event, this.#processes.causeOf(event)) }];
      case 'file-io':
        if (!this.#wants.file_agg) return nothing;
        return this.#aggregated(this.#aggregator.add(event, this.#processes.causeOf(event, event.path)));
      case 'file-op':
        return this.#addFileOp(event);
      default:
        return nothing;
    }
  }

  /** The rows that were still open when the evidence ended. */
  end(): readonly TableRow[] {
    this.#requests?.end();
    return this.#aggregated(this.#aggregator.end());
  }

  #addFileOp(event: FileOpEvent): TableRow[] {
    const rows = this.#aggregated(this.#aggregator.endFile(event.rootPid, event.path));
    if (event.target !== undefined) {
      rows.push(...this.#aggregated(this.#aggregator.endFile(event.rootPid, event.target)));
    }
    if (!this.#wants.file_mgmt || this.#lifetimes.isRepeated(event)) return rows;
    const cause = this.#processes.causeOf(event, event.path);
    rows.push({ table: 'file_mgmt', row: this.#rows.fileManagement(event, cause) });
    return rows;
  }

  #aggregated(aggregates: readonly FileAggregate[]): TableRow[] {
    return aggregates.map((aggregate) => ({ table: 'file_agg', row: this.#rows.fileAggregate(aggregate) }));
  }
}
