// Turns the kernel's records into evidence events: one to one, except that an exec arrives in parts. Owns
// the change from the kernel's clock to the wall clock.

import {
  cString,
  layout,
  RecordType,
  socketContents,
  socketEndings,
  socketLibrary,
  socketOperations,
  TlsFlag,
  tlsLibraries,
} from '../bpf/record.js';
import type { EventBase, EvidenceEvent, ExecEvent, SocketEvent, TlsEvent } from '../evidence/event.js';
import { socketAddress } from '../evidence/socket-codec.js';
import { directoryAt, OperationAssembler, type OperationEvent } from './operation-assembler.js';

/** AF_INET6. */
const inet6 = 10;

export type KernelEvent =
  | Extract<EvidenceEvent, { kind: 'tls' | 'fork' | 'exec' | 'exit' | 'socket' }>
  | OperationEvent;

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
  readonly #operations = new OperationAssembler((buffer, start) => this.#base(buffer, start));
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
   * The event of the record at `start` of `buffer`, or undefined when the record is a part of one that is
   * still to come. A TLS event and its bytes are valid only until the next call.
   */
  read(buffer: Buffer, start: number): KernelEvent | undefined {
    switch (buffer.readUInt16LE(start + layout.type)) {
      case RecordType.tls:
        return this.#readTls(buffer, start);
      case RecordType.fork:
        return {
          kind: 'fork',
          ...this.#base(buffer, start),
          ...owner(buffer, start, layout.fork),
          ...this.#directory(buffer, start),
        };
      case RecordType.exec:
        return this.#readExec(buffer, start);
      case RecordType.exit:
        return {
          kind: 'exit',
          ...this.#base(buffer, start),
          ...owner(buffer, start, layout.exit),
          ...this.#directory(buffer, start),
          ...exitStatus(buffer.readUInt32LE(start + layout.exit.status)),
        };
      case RecordType.socket:
        return readSocket(buffer, start, this.#base(buffer, start));
      case RecordType.argv:
        this.#parts(buffer, start).argv.push(Buffer.from(partData(buffer, start)));
        return undefined;
      case RecordType.variable:
        this.#parts(buffer, start).variables.push(partData(buffer, start).toString('utf8'));
        return undefined;
      case RecordType.directory:
        this.#directories.set(buffer.readUInt32LE(start + layout.tid), {
          time: buffer.readBigUInt64LE(start + layout.time),
          path: directoryAt(buffer, start),
        });
        return undefined;
      default:
        return this.#operations.read(buffer, start);
    }
  }

  /** The working directory that was told just before the record at `start`. */
  #directory(buffer: Buffer, start: number): { cwd?: string } {
    const tid = buffer.readUInt32LE(start + layout.tid);
    const directory = this.#directories.get(tid);
    this.#directories.delete(tid);
    return directory?.time === buffer.readBigUInt64LE(start + layout.time) ? { cwd: directory.path } : {};
  }

  #base(buffer: Buffer, start: number): EventBase {
    return {
      pid: buffer.readUInt32LE(start + layout.pid),
      tid: buffer.readUInt32LE(start + layout.tid),
      comm: cString(buffer, start + layout.comm, layout.commBytes),
      timeNs: buffer.readBigUInt64LE(start + layout.time) + this.#clockOffset,
      rootPid: buffer.readUInt32LE(start + layout.rootPid),
    };
  }

  #readTls(buffer: Buffer, start: number): TlsEvent {
    const flags = buffer.readUInt16LE(start + layout.flags);
    const data = start + layout.tls.data;
    const event = Object.assign(this.#tls, this.#base(buffer, start));
    event.direction = flags & TlsFlag.receive ? 'receive' : 'send';
    event.library = libraryName(buffer.readUInt32LE(start + layout.tls.library));
    event.connection = buffer.readBigUInt64LE(start + layout.tls.connection);
    event.offset = Number(buffer.readBigUInt64LE(start + layout.tls.offset));
    event.missing = Number(buffer.readBigUInt64LE(start + layout.tls.missing));
    event.data = buffer.subarray(data, data + buffer.readUInt32LE(start + layout.dataLength));
    if (flags & TlsFlag.overLimit) event.missingReason = 'over-limit';
    else if (flags & TlsFlag.unreadable) event.missingReason = 'unreadable';
    else delete event.missingReason;
    const additional = start + layout.tls.additional;
    const additionalLength = buffer.readUInt32LE(start + layout.tls.additionalLength);
    if (additionalLength > 0)
      event.additionalData = buffer.subarray(additional, additional + additionalLength);
    else delete event.additionalData;
    return event;
  }

  /** The parts of the exec that a part record belongs to; those of an exec that never closed are forgotten. */
  #parts(buffer: Buffer, start: number): ExecParts {
    const tid = buffer.readUInt32LE(start + layout.tid);
    const execTime = buffer.readBigUInt64LE(start + layout.part.execTime);
    const known = this.#execs.get(tid);
    if (known !== undefined && known.execTime === execTime) return known;
    const parts = { execTime, argv: [], variables: [] };
    this.#execs.set(tid, parts);
    return parts;
  }

  #readExec(buffer: Buffer, start: number): ExecEvent {
    const base = this.#base(buffer, start);
    const execTime = buffer.readBigUInt64LE(start + layout.exec.execTime);
    const argvLength = Number(buffer.readBigUInt64LE(start + layout.exec.argvLength));
    const parts = this.#execs.get(base.tid);
    this.#execs.delete(base.tid);
    const { argv, variables } = parts?.execTime === execTime ? parts : { argv: [], variables: [] };
    const bytes = Buffer.concat(argv);
    return {
      kind: 'exec',
      ...base,
      ...owner(buffer, start, layout.exec),
      ...this.#directory(buffer, start),
      execPath: cString(buffer, start + layout.exec.path, layout.exec.pathBytes),
      argv: splitArguments(bytes),
      argvMissing: argvLength - bytes.length,
      environment: Object.fromEntries(variables.map(splitVariable)),
    };
  }
}

function owner(buffer: Buffer, start: number, at: { parentPid: number; uid: number; gid: number }) {
  return {
    parentPid: buffer.readUInt32LE(start + at.parentPid),
    uid: buffer.readUInt32LE(start + at.uid),
    gid: buffer.readUInt32LE(start + at.gid),
  };
}

function libraryName(library: number): string {
  return library === socketLibrary ? 'socket' : (tlsLibraries[library] ?? 'unknown');
}

function readSocket(buffer: Buffer, start: number, base: EventBase): SocketEvent {
  const at = layout.socket;
  const addressBytes = buffer.readUInt16LE(start + at.family) === inet6 ? 16 : 4;
  const address = (place: number, port: number) =>
    socketAddress(
      buffer.subarray(start + place, start + place + addressBytes),
      buffer.readUInt16LE(start + port),
    );
  const endedBy = socketEndings[buffer.readUInt32LE(start + at.endedBy)];
  const endTime = buffer.readBigUInt64LE(start + at.endTime);
  const sendTime = buffer.readBigUInt64LE(start + at.sendTime);
  const clockOffset = base.timeNs - buffer.readBigUInt64LE(start + layout.time);
  return {
    kind: 'socket',
    ...base,
    operation: socketOperations[buffer.readUInt32LE(start + at.operation)] ?? 'close',
    connection: buffer.readBigUInt64LE(start + at.connection),
    carries: buffer.readBigUInt64LE(start + at.carries),
    local: address(at.local, at.localPort),
    remote: address(at.remote, at.remotePort),
    content: socketContents[buffer.readUInt32LE(start + at.content)] ?? 'unknown',
    sent: Number(buffer.readBigUInt64LE(start + at.sent)),
    received: Number(buffer.readBigUInt64LE(start + at.received)),
    ...(endedBy === undefined ? {} : { endedBy }),
    ...(endTime === 0n ? {} : { endedNs: endTime + clockOffset }),
    ...(endTime === 0n || sendTime === 0n ? {} : { lastSentNs: sendTime + clockOffset }),
    errno: buffer.readUInt32LE(start + at.error),
  };
}

function partData(buffer: Buffer, start: number): Buffer {
  const data = start + layout.part.data;
  return buffer.subarray(data, data + buffer.readUInt32LE(start + layout.dataLength));
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

/** A wait(2) status: a process that a signal ended has no exit code. */
function exitStatus(status: number): { exitCode: number } | { signal: number } {
  const signal = status & 0x7f;
  return signal === 0 ? { exitCode: (status >> 8) & 0xff } : { signal };
}
