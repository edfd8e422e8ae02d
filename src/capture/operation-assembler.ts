// Turns the kernel's records of operations into evidence events. Owns how a path is put together, and which file
// each thread is reading and writing. Events are put together by Object.assign and assignments: before V8 optimises, which
// a recording is over too soon for, `{ ...base, more }` takes a hundred times as long.

import { layout, OperationFlag, operationNames, RecordType } from '../bpf/record.js';
import type { RecordReader } from '../bpf/record-reader.js';
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
  readonly #base: (record: RecordReader) => EventBase;
  /** By thread, and whether it reads or writes. The oldest make room: their threads have ended. */
  readonly #files = new Map<string, FileRef>();
  /** Reads and writes of files that the kernel announced and the ring lost. */
  unknownFiles = 0;

  /** @param base what all records have in common, its time that of the record. */
  constructor(base: (record: RecordReader) => EventBase) {
    this.#base = base;
  }

  /** The event of a record; undefined for one that only prepares others, or is of another kind. */
  read(record: RecordReader): OperationEvent | undefined {
    switch (record.type) {
      case RecordType.operation:
        return this.#readOperation(record);
      case RecordType.file:
        this.#rememberFile(record);
        return undefined;
      case RecordType.transfer:
        return this.#readTransfer(record);
      case RecordType.content:
        return this.#readContent(record);
      default:
        return undefined;
    }
  }

  #rememberFile(record: RecordReader): void {
    const key = fileKey(record, record.uint32(at.operation));
    this.#files.delete(key);
    this.#files.set(key, fileAt(record));
    if (this.#files.size <= maxOpenFiles) return;
    for (const oldest of this.#files.keys()) {
      this.#files.delete(oldest);
      break;
    }
  }

  #file(record: RecordReader, operation: number): FileRef {
    const file = this.#files.get(fileKey(record, operation));
    if (file !== undefined) return file;
    this.unknownFiles++;
    return { path: '', pathInferred: true, inode: 0, device: 0, fileType: 'unknown' };
  }

  #readTransfer(record: RecordReader): FileIoEvent {
    const fields = layout.transfer;
    const operation = record.uint32(fields.operation);
    const base = this.#base(record);
    const file = this.#file(record, operation);
    const event: FileIoEvent = Object.assign(base, {
      kind: 'file-io' as const,
      timeNs: beginning(record, base, fields.startTime),
      endNs: base.timeNs,
      errno: record.uint32(fields.error),
      operation: operationNames[operation] === 'write' ? ('write' as const) : ('read' as const),
      path: file.path,
      pathInferred: file.pathInferred,
      inode: file.inode,
      device: file.device,
      fileType: file.fileType,
      bytes: record.number(fields.bytes),
      count: record.number(fields.count),
      durationNs: record.uint64(fields.duration),
      offset: record.number(fields.offset),
    });
    if (file.mode !== undefined) event.mode = file.mode;
    return event;
  }

  #readContent(record: RecordReader): FileContentEvent {
    const fields = layout.content;
    const file = this.#file(record, operationNames.indexOf('write'));
    return Object.assign(this.#base(record), {
      kind: 'file-content' as const,
      path: file.path,
      inode: file.inode,
      device: file.device,
      offset: record.number(fields.offset),
      data: record.bytes(fields.data, record.uint32(layout.dataLength)),
      missing: record.number(fields.missing),
      source: 'write' as const,
    });
  }

  #readOperation(record: RecordReader): OperationEvent | undefined {
    const operation = operationNames[record.uint32(at.operation)];
    const base = this.#base(record);
    const common = Object.assign(base, {
      timeNs: beginning(record, base, at.startTime),
      endNs: base.timeNs,
      errno: errnoOf(record),
    });
    switch (operation) {
      case undefined:
      case 'read':
      case 'write':
        return undefined;
      case 'setuid':
      case 'setgid':
        return permission(record, common, operation, 1);
      case 'setreuid':
      case 'setregid':
        return permission(record, common, operation, 2);
      case 'setresuid':
      case 'setresgid':
        return permission(record, common, operation, 3);
      case 'capset': {
        const event = permission(record, common, operation, 0);
        const [effective, permitted, inheritable] = [value(record, 0), value(record, 1), value(record, 2)];
        event.capabilities = { effective, permitted, inheritable };
        return event;
      }
      case 'connect':
        return Object.assign(common, { kind: 'connect' as const }, socketAddress(partAt(record, 1)));
      case 'exec':
        return Object.assign(common, {
          kind: 'exec-failed' as const,
          uid: record.uint32(at.uid),
          gid: record.uint32(at.gid),
          execPath: pathAt(record, 0).path,
          cwd: pathAt(record, 2).path,
        });
      default:
        return fileOperation(record, common, operation === 'open' ? openOperation(record) : operation);
    }
  }
}

type Common = EventBase & Pick<FileOpEvent, 'endNs' | 'errno'>;

/** The working directory in a RecordType.directory. */
export function directoryAt(record: RecordReader): string {
  return pathAt(record, 0).path;
}

function fileKey(record: RecordReader, operation: number): string {
  return `${record.uint32(layout.tid)} ${operation}`;
}

/** When the call began; the time of the record is that of its return. */
function beginning(record: RecordReader, { timeNs }: EventBase, startTime: number): bigint {
  return timeNs - (record.uint64(layout.time) - record.uint64(startTime));
}

function errnoOf(record: RecordReader): number {
  const result = record.int64(at.result);
  return result < 0n ? Number(-result) : 0;
}

/** One of the four values of an operation, and its lower half. */
function value(record: RecordReader, index: number): bigint {
  return record.uint64(at.values + 8 * index);
}

function smallValue(record: RecordReader, index: number): number {
  return record.uint32(at.values + 8 * index);
}

function permission(
  record: RecordReader,
  common: Common,
  operation: PermOpEvent['operation'],
  count: number,
): PermOpEvent {
  return Object.assign(common, {
    kind: 'perm-op' as const,
    operation,
    uid: record.uint32(at.uid),
    gid: record.uint32(at.gid),
    ids: Array.from({ length: count }, (_, index) => smallValue(record, index)),
  });
}

/** An open that made the file, or would have, is a creation; one that may not touch it, is one for writing. */
function openOperation(record: RecordReader): 'create' | 'open' {
  if (record.uint16(layout.flags) & OperationFlag.created) return 'create';
  return errnoOf(record) !== 0 && smallValue(record, 0) & createFlag ? 'create' : 'open';
}

function fileOperation(
  record: RecordReader,
  common: Common,
  operation: FileOpEvent['operation'],
): FileOpEvent {
  const file = fileAt(record);
  const event: FileOpEvent = Object.assign(common, {
    kind: 'file-op' as const,
    operation,
    uid: record.uint32(at.uid),
    gid: record.uint32(at.gid),
    path: file.path,
    pathInferred: file.pathInferred,
    inode: file.inode,
    device: file.device,
    fileType: file.fileType,
  });
  if (file.mode !== undefined) event.mode = file.mode;
  addWanted(record, event);
  return event;
}

/** What the caller asked for, by the kernel's name of the operation: creat() and mknod() differ from an open that creates. */
function addWanted(record: RecordReader, event: FileOpEvent): void {
  switch (operationNames[record.uint32(at.operation)]) {
    case 'open':
      event.flags = smallValue(record, 0);
      if (event.flags & createFlag) event.wantedMode = smallValue(record, 1) & permissionMask;
      break;
    case 'create':
    case 'mkdir':
    case 'chmod':
      event.wantedMode = smallValue(record, 0) & permissionMask;
      break;
    case 'chown':
      event.ownerUid = smallValue(record, 0);
      event.ownerGid = smallValue(record, 1);
      break;
    case 'rename':
    case 'link': {
      event.flags = smallValue(record, 0);
      const { path, pathInferred } = pathAt(record, 2);
      event.target = path;
      event.pathInferred ||= pathInferred;
      break;
    }
    case 'symlink':
      event.target = partAt(record, 3).toString('utf8');
      break;
    case 'truncate':
      event.length = record.number(at.values);
      break;
    case 'allocate':
      event.flags = smallValue(record, 0);
      event.length = Number(value(record, 1) + value(record, 2));
      break;
  }
}

/** One of the four strings behind an operation. */
function partAt(record: RecordReader, part: number): Buffer {
  let position: number = at.data;
  for (let before = 0; before < part; before++) position += record.uint16(at.lengths + 2 * before);
  return record.bytes(position, record.uint16(at.lengths + 2 * part));
}

/** The path of which part `part` is the directory and the next one the name below it. */
function pathAt(record: RecordReader, part: number): { path: string; pathInferred: boolean } {
  const components = partAt(record, part).toString('utf8').split('\0').slice(0, -1).reverse();
  let pathInferred =
    (record.uint16(layout.flags) & (OperationFlag.pathCut | OperationFlag.nameUnreadable)) !== 0;
  for (const component of partAt(record, part + 1)
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

function fileAt(record: RecordReader): FileRef {
  const { path, pathInferred } = pathAt(record, 0);
  const mode = record.uint32(at.mode);
  const file: FileRef = {
    path,
    pathInferred,
    inode: record.number(at.inode),
    device: record.uint32(at.device),
    fileType: fileType(record.uint32(at.magic), mode),
  };
  if (mode !== 0) file.mode = mode & permissionMask;
  return file;
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
  const end = isAbstract ? -1 : bytes.indexOf(0, 2);
  const name = bytes.toString('utf8', isAbstract ? 3 : 2, end === -1 ? bytes.length : end);
  return { family, address: isAbstract ? `@${name}` : name, port: 0 };
}
