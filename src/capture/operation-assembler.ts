// Turns the kernel's records of operations into evidence events. Owns how a path is put together, and which file
// each thread is reading and writing.

import { cString, layout, OperationFlag, operationNames, RecordType } from '../bpf/record.js';
import type {
  ConnectEvent,
  EventBase,
  ExecFailedEvent,
  FileContentEvent,
  FileIoEvent,
  FileOpEvent,
  FileRef,
  FileType,
  PermOpEvent,
} from '../evidence/event.js';

export type OperationEvent =
  | FileOpEvent
  | FileIoEvent
  | FileContentEvent
  | PermOpEvent
  | ConnectEvent
  | ExecFailedEvent;

/** Twice the threads that the kernel program follows, each with a file that it reads and one that it writes. */
const maxOpenFiles = 65_536;

const fileTypeMask = 0o170000;
const regularFile = 0o100000;
const permissionMask = 0o7777;
const createFlag = 0o100;
const addressFamily = { unix: 1, inet: 2, inet6: 10 };

/** File systems by the magic numbers of statfs(2): files that are no data on a disk, and data of another host. */
const virtualFileSystems = new Set([
  0x9fa0, 0x62656572, 0x63677270, 0x27e0eb, 0x64626720, 0x74726163, 0xcafe4a11, 0x1cd1, 0x73636673,
  0x62656570, 0xde5e81e4, 0x50495045, 0x9041934,
]);
const networkFileSystems = new Set([
  0x6969, 0xff534d42, 0xfe534d42, 0xc36400, 0x1021997, 0x5346414f, 0x73757245, 0x564c,
]);

const at = layout.operation;

export class OperationAssembler {
  readonly #base: (buffer: Buffer, start: number) => EventBase;
  /** By thread, and whether it reads or writes. The oldest make room: their threads have ended. */
  readonly #files = new Map<string, FileRef>();
  /** Reads and writes of files that the kernel announced and the ring lost. */
  unknownFiles = 0;

  /** @param base what all records have in common, its time that of the record. */
  constructor(base: (buffer: Buffer, start: number) => EventBase) {
    this.#base = base;
  }

  /** The event of the record at `start`; undefined for one that only prepares others, or is of another kind. */
  read(buffer: Buffer, start: number): OperationEvent | undefined {
    switch (buffer.readUInt16LE(start + layout.type)) {
      case RecordType.operation:
        return this.#readOperation(buffer, start);
      case RecordType.file:
        this.#rememberFile(buffer, start);
        return undefined;
      case RecordType.transfer:
        return this.#readTransfer(buffer, start);
      case RecordType.content:
        return this.#readContent(buffer, start);
      default:
        return undefined;
    }
  }

  #rememberFile(buffer: Buffer, start: number): void {
    const key = fileKey(buffer, start, buffer.readUInt32LE(start + at.operation));
    this.#files.delete(key);
    this.#files.set(key, fileRef(buffer, start, pathAt(buffer, start, 0)));
    if (this.#files.size <= maxOpenFiles) return;
    for (const oldest of this.#files.keys()) {
      this.#files.delete(oldest);
      break;
    }
  }

  #file(buffer: Buffer, start: number, operation: number): FileRef {
    const file = this.#files.get(fileKey(buffer, start, operation));
    if (file !== undefined) return file;
    this.unknownFiles++;
    return { path: '', pathInferred: true, inode: 0, device: 0, fileType: 'unknown' };
  }

  #readTransfer(buffer: Buffer, start: number): FileIoEvent {
    const fields = layout.transfer;
    const operation = buffer.readUInt32LE(start + fields.operation);
    const base = this.#base(buffer, start);
    return {
      kind: 'file-io',
      ...base,
      ...span(buffer, start, base, fields.startTime),
      errno: buffer.readUInt32LE(start + fields.error),
      operation: operationNames[operation] === 'write' ? 'write' : 'read',
      ...this.#file(buffer, start, operation),
      bytes: Number(buffer.readBigUInt64LE(start + fields.bytes)),
      count: Number(buffer.readBigUInt64LE(start + fields.count)),
      durationNs: buffer.readBigUInt64LE(start + fields.duration),
      offset: Number(buffer.readBigUInt64LE(start + fields.offset)),
    };
  }

  #readContent(buffer: Buffer, start: number): FileContentEvent {
    const fields = layout.content;
    const { path, inode, device } = this.#file(buffer, start, operationNames.indexOf('write'));
    const data = start + fields.data;
    return {
      kind: 'file-content',
      ...this.#base(buffer, start),
      path,
      inode,
      device,
      offset: Number(buffer.readBigUInt64LE(start + fields.offset)),
      data: Buffer.from(buffer.subarray(data, data + buffer.readUInt32LE(start + layout.dataLength))),
      missing: Number(buffer.readBigUInt64LE(start + fields.missing)),
      source: 'write',
    };
  }

  #readOperation(buffer: Buffer, start: number): OperationEvent | undefined {
    const base = this.#base(buffer, start);
    const operation = operationNames[buffer.readUInt32LE(start + at.operation)];
    const result = buffer.readBigInt64LE(start + at.result);
    const common = {
      ...base,
      ...span(buffer, start, base, at.startTime),
      errno: result < 0n ? Number(-result) : 0,
      uid: buffer.readUInt32LE(start + at.uid),
      gid: buffer.readUInt32LE(start + at.gid),
    };
    const value = (index: number): bigint => buffer.readBigUInt64LE(start + at.values + 8 * index);
    const ids = (count: number): number[] =>
      Array.from({ length: count }, (_, index) => Number(value(index) & 0xffff_ffffn));

    switch (operation) {
      case 'setuid':
      case 'setgid':
        return { kind: 'perm-op', operation, ...common, ids: ids(1) };
      case 'setreuid':
      case 'setregid':
        return { kind: 'perm-op', operation, ...common, ids: ids(2) };
      case 'setresuid':
      case 'setresgid':
        return { kind: 'perm-op', operation, ...common, ids: ids(3) };
      case 'capset': {
        const capabilities = { effective: value(0), permitted: value(1), inheritable: value(2) };
        return { kind: 'perm-op', operation, ...common, ids: [], capabilities };
      }
      case 'connect': {
        const { uid: _uid, gid: _gid, ...rest } = common;
        const data = start + at.data;
        const length = buffer.readUInt16LE(start + at.lengths + 2);
        return { kind: 'connect', ...rest, ...socketAddress(buffer.subarray(data, data + length)) };
      }
      case 'exec':
        return {
          kind: 'exec-failed',
          ...common,
          execPath: pathAt(buffer, start, 0).path,
          cwd: pathAt(buffer, start, 2).path,
        };
      case undefined:
      case 'read':
      case 'write':
        return undefined;
      default:
        return {
          kind: 'file-op',
          operation: operation === 'open' ? openOperation(buffer, start) : operation,
          ...common,
          ...fileRef(buffer, start, pathAt(buffer, start, 0)),
          ...wanted(operation, value),
          ...target(operation, buffer, start),
        };
    }
  }
}

/** The working directory in a RecordType.directory. */
export function directoryAt(buffer: Buffer, start: number): string {
  return pathAt(buffer, start, 0).path;
}

function fileKey(buffer: Buffer, start: number, operation: number): string {
  return `${buffer.readUInt32LE(start + layout.tid)} ${operation}`;
}

/** When the call began and returned; the record's own time is that of the return. */
function span(buffer: Buffer, start: number, { timeNs }: EventBase, startTime: number) {
  const before = buffer.readBigUInt64LE(start + layout.time) - buffer.readBigUInt64LE(start + startTime);
  return { timeNs: timeNs - before, endNs: timeNs };
}

/** An open that made the file, or would have, is a creation; one that may not touch it, is one for writing. */
function openOperation(buffer: Buffer, start: number): 'create' | 'open' {
  if (buffer.readUInt16LE(start + layout.flags) & OperationFlag.created) return 'create';
  const failed = buffer.readBigInt64LE(start + at.result) < 0n;
  return failed && buffer.readUInt32LE(start + at.values) & createFlag ? 'create' : 'open';
}

function wanted(operation: (typeof operationNames)[number], value: (index: number) => bigint) {
  const mode = (index: number): number => Number(value(index) & BigInt(permissionMask));
  const id = (index: number): number => Number(value(index) & 0xffff_ffffn);
  switch (operation) {
    case 'open':
      return {
        flags: Number(value(0) & 0xffff_ffffn),
        ...(value(0) & BigInt(createFlag) ? { wantedMode: mode(1) } : {}),
      };
    case 'create':
    case 'mkdir':
    case 'chmod':
      return { wantedMode: mode(0) };
    case 'chown':
      return { ownerUid: id(0), ownerGid: id(1) };
    case 'rename':
    case 'link':
      return { flags: id(0) };
    case 'truncate':
      return { length: Number(value(0)) };
    case 'allocate':
      return { flags: id(0), length: Number(value(1) + value(2)) };
    default:
      return {};
  }
}

function target(operation: (typeof operationNames)[number], buffer: Buffer, start: number) {
  if (operation === 'symlink') return { target: partAt(buffer, start, 3).toString('utf8') };
  if (operation !== 'rename' && operation !== 'link') return {};
  const { path, pathInferred } = pathAt(buffer, start, 2);
  return { target: path, ...(pathInferred ? { pathInferred } : {}) };
}

/** One of the four strings behind an operation. */
function partAt(buffer: Buffer, start: number, part: number): Buffer {
  let position = start + at.data;
  for (let before = 0; before < part; before++) {
    position += buffer.readUInt16LE(start + at.lengths + 2 * before);
  }
  return buffer.subarray(position, position + buffer.readUInt16LE(start + at.lengths + 2 * part));
}

/** The path of which part `part` is the directory and the next one the name below it. */
function pathAt(buffer: Buffer, start: number, part: number): { path: string; pathInferred: boolean } {
  const components = partAt(buffer, start, part).toString('utf8').split('\0').slice(0, -1).reverse();
  const flags = buffer.readUInt16LE(start + layout.flags);
  let pathInferred = (flags & (OperationFlag.pathCut | OperationFlag.nameUnreadable)) !== 0;
  for (const component of partAt(buffer, start, part + 1)
    .toString('utf8')
    .split('/')) {
    if (component === '..') {
      // Where it leads when a symbolic link stands before it, only the kernel knows.
      pathInferred = true;
      components.pop();
    } else if (component !== '' && component !== '.') components.push(component);
  }
  return { path: `/${components.join('/')}`, pathInferred };
}

function fileRef(buffer: Buffer, start: number, path: { path: string; pathInferred: boolean }): FileRef {
  const mode = buffer.readUInt32LE(start + at.mode);
  return {
    ...path,
    inode: Number(buffer.readBigUInt64LE(start + at.inode)),
    device: buffer.readUInt32LE(start + at.device),
    fileType: fileType(buffer.readUInt32LE(start + at.magic), mode),
    ...(mode === 0 ? {} : { mode: mode & permissionMask }),
  };
}

function fileType(magic: number, mode: number): FileType {
  if (virtualFileSystems.has(magic)) return 'virtual';
  if (networkFileSystems.has(magic)) return 'network';
  return (mode & fileTypeMask) === regularFile ? 'regular' : 'unknown';
}

function socketAddress(bytes: Buffer): Pick<ConnectEvent, 'family' | 'address' | 'port'> {
  const family = bytes.length < 2 ? 0 : bytes.readUInt16LE(0);
  if (family === addressFamily.inet && bytes.length >= 8) {
    return { family, address: [...bytes.subarray(4, 8)].join('.'), port: bytes.readUInt16BE(2) };
  }
  if (family === addressFamily.inet6 && bytes.length >= 24) {
    const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(8 + 2 * i).toString(16));
    return { family, address: groups.join(':'), port: bytes.readUInt16BE(2) };
  }
  if (family !== addressFamily.unix) return { family, address: '', port: 0 };
  const isAbstract = bytes.length > 2 && bytes[2] === 0;
  const name = isAbstract ? bytes.toString('utf8', 3) : cString(bytes, 2, bytes.length - 2);
  return { family, address: isAbstract ? `@${name}` : name, port: 0 };
}
