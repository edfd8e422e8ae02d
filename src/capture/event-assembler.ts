// Turns the kernel's records into evidence events: one to one, except that an exec arrives in parts. Owns
// the change from the kernel's clock to the wall clock.

import {
  layout,
  RecordType,
  socketContents,
  socketEndings,
  socketLibrary,
  socketOperations,
  TlsFlag,
  tlsLibraries,
} from '../bpf/record.js';
import type { RecordReader } from '../bpf/record-reader.js';
import type {
  EventBase,
  EvidenceEvent,
  ExecEvent,
  ExitEvent,
  ForkEvent,
  SocketEvent,
  TlsEvent,
} from '../evidence/event.js';
import { socketAddress } from '../evidence/socket-codec.js';
import { directoryAt, OperationAssembler, type OperationEvent } from './operation-assembler.js';

/** AF_INET6. */
const inet6 = 10;

export type KernelEvent =
  | Extract<EvidenceEvent, { kind: 'tls' | 'fork' | 'exec' | 'exit' | 'socket' }>
  | OperationEvent;

type Lifecycle = Omit<ForkEvent, 'kind'>;

interface ExecParts {
  execTime: bigint;
  argv: Buffer[];
  variables: string[];
}

export class EventAssembler {
  /** Wall clock minus kernel clock, in nanoseconds. */
  readonly #clockOffset: bigint;
  /** Parts of execs whose closing record has not come yet, by thread. */
  readonly #execs = new Map<number, ExecParts>();
  /** Where a thread is, until the record that this belongs to. */
  readonly #directories = new Map<number, { time: bigint; path: string }>();
  readonly #operations = new OperationAssembler((record) => this.#base(record));
  /** One object for all TLS records: whoever gets it uses it before the next call. */
  readonly #tls: TlsEvent;

  constructor(clocks: { monotonicNs: bigint; realtimeNs: bigint }) {
    this.#clockOffset = clocks.realtimeNs - clocks.monotonicNs;
    this.#tls = {
      kind: 'tls',
      pid: 0,
      tid: 0,
      comm: '',
      timeNs: 0n,
      rootPid: 0,
      direction: 'send',
      library: '',
      connection: 0n,
      offset: 0,
      data: new Uint8Array(0),
      missing: 0,
    };
  }

  /** Reads and writes whose file is not known, because the record that named it was lost. */
  get unknownFiles(): number {
    return this.#operations.unknownFiles;
  }

  /**
   * The event of a record, or undefined when the record is a part of one that is still to come. A TLS event, and the
   * bytes of any, are valid only until the next call.
   */
  read(record: RecordReader): KernelEvent | undefined {
    switch (record.type) {
      case RecordType.tls:
        return this.#readTls(record);
      case RecordType.fork:
        return Object.assign(this.#lifecycle(record, layout.fork), { kind: 'fork' as const });
      case RecordType.exec:
        return this.#readExec(record);
      case RecordType.exit:
        return this.#readExit(record);
      case RecordType.socket:
        return readSocket(record, this.#base(record));
      case RecordType.argv:
        this.#parts(record).argv.push(Buffer.from(partData(record)));
        return undefined;
      case RecordType.variable:
        this.#parts(record).variables.push(partData(record).toString('utf8'));
        return undefined;
      case RecordType.directory:
        this.#directories.set(record.uint32(layout.tid), {
          time: record.uint64(layout.time),
          path: directoryAt(record),
        });
        return undefined;
      default:
        return this.#operations.read(record);
    }
  }

  /** What fork, exec and exit have in common. The working directory was told just before the record. */
  #lifecycle(record: RecordReader, at: { parentPid: number; uid: number; gid: number }): Lifecycle {
    const event: Lifecycle = Object.assign(this.#base(record), {
      parentPid: record.uint32(at.parentPid),
      uid: record.uint32(at.uid),
      gid: record.uint32(at.gid),
    });
    const directory = this.#directories.get(event.tid);
    this.#directories.delete(event.tid);
    if (directory?.time === record.uint64(layout.time)) event.cwd = directory.path;
    return event;
  }

  #base(record: RecordReader): EventBase {
    return {
      pid: record.uint32(layout.pid),
      tid: record.uint32(layout.tid),
      comm: record.cString(layout.comm, layout.commBytes),
      timeNs: record.uint64(layout.time) + this.#clockOffset,
      rootPid: record.uint32(layout.rootPid),
    };
  }

  #readTls(record: RecordReader): TlsEvent {
    const flags = record.uint16(layout.flags);
    const event = Object.assign(this.#tls, this.#base(record));
    event.direction = flags & TlsFlag.receive ? 'receive' : 'send';
    event.library = libraryName(record.uint32(layout.tls.library));
    event.connection = record.uint64(layout.tls.connection);
    event.offset = record.number(layout.tls.offset);
    event.missing = record.number(layout.tls.missing);
    event.data = record.bytes(layout.tls.data, record.uint32(layout.dataLength));
    if (flags & TlsFlag.overLimit) event.missingReason = 'over-limit';
    else if (flags & TlsFlag.unreadable) event.missingReason = 'unreadable';
    else delete event.missingReason;
    const additionalLength = record.uint32(layout.tls.additionalLength);
    if (additionalLength > 0) event.additionalData = record.bytes(layout.tls.additional, additionalLength);
    else delete event.additionalData;
    return event;
  }

  /** The parts of the exec that a part record belongs to; those of an exec that never closed are forgotten. */
  #parts(record: RecordReader): ExecParts {
    const tid = record.uint32(layout.tid);
    const execTime = record.uint64(layout.part.execTime);
    const known = this.#execs.get(tid);
    if (known !== undefined && known.execTime === execTime) return known;
    const parts = { execTime, argv: [], variables: [] };
    this.#execs.set(tid, parts);
    return parts;
  }

  #readExec(record: RecordReader): ExecEvent {
    const base = this.#lifecycle(record, layout.exec);
    const execTime = record.uint64(layout.exec.execTime);
    const argvLength = record.number(layout.exec.argvLength);
    const parts = this.#execs.get(base.tid);
    this.#execs.delete(base.tid);
    const { argv, variables } = parts?.execTime === execTime ? parts : { argv: [], variables: [] };
    const bytes = Buffer.concat(argv);
    return Object.assign(base, {
      kind: 'exec' as const,
      execPath: record.cString(layout.exec.path, layout.exec.pathBytes),
      argv: splitArguments(bytes),
      argvMissing: argvLength - bytes.length,
      environment: Object.fromEntries(variables.map(splitVariable)),
    });
  }

  #readExit(record: RecordReader): ExitEvent {
    const event: ExitEvent = Object.assign(this.#lifecycle(record, layout.exit), { kind: 'exit' as const });
    // As wait(2) gives it: a process that a signal ended has no exit code.
    const status = record.uint32(layout.exit.status);
    const signal = status & 0x7f;
    if (signal === 0) event.exitCode = (status >> 8) & 0xff;
    else event.signal = signal;
    return event;
  }
}

function libraryName(library: number): string {
  return library === socketLibrary ? 'socket' : (tlsLibraries[library] ?? 'unknown');
}

function readSocket(record: RecordReader, base: EventBase): SocketEvent {
  const at = layout.socket;
  const addressBytes = record.uint16(at.family) === inet6 ? 16 : 4;
  const address = (place: number, port: number) =>
    socketAddress(record.bytes(place, addressBytes), record.uint16(port));
  const endedBy = socketEndings[record.uint32(at.endedBy)];
  const endTime = record.uint64(at.endTime);
  const sendTime = record.uint64(at.sendTime);
  const clockOffset = base.timeNs - record.uint64(layout.time);
  const event: SocketEvent = Object.assign(base, {
    kind: 'socket' as const,
    operation: socketOperations[record.uint32(at.operation)] ?? 'close',
    connection: record.uint64(at.connection),
    carries: record.uint64(at.carries),
    local: address(at.local, at.localPort),
    remote: address(at.remote, at.remotePort),
    content: socketContents[record.uint32(at.content)] ?? 'unknown',
    sent: record.number(at.sent),
    received: record.number(at.received),
    errno: record.uint32(at.error),
  });
  if (endedBy !== undefined) event.endedBy = endedBy;
  if (endTime !== 0n) event.endedNs = endTime + clockOffset;
  if (endTime !== 0n && sendTime !== 0n) event.lastSentNs = sendTime + clockOffset;
  return event;
}

function partData(record: RecordReader): Buffer {
  return record.bytes(layout.part.data, record.uint32(layout.dataLength));
}

/** The argument area ends in a NUL, except when it was cut. */
function splitArguments(bytes: Buffer): string[] {
  if (bytes.length === 0) return [];
  const end = bytes.at(-1) === 0 ? bytes.length - 1 : bytes.length;
  return bytes.toString('utf8', 0, end).split('\0');
}

function splitVariable(variable: string): [string, string] {
  const equals = variable.indexOf('=');
  return equals === -1 ? [variable, ''] : [variable.slice(0, equals), variable.slice(equals + 1)];
}
