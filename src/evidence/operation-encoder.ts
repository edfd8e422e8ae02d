// Events on files, permissions and the network to the fields of ProcEvent. Everything that DeepFlow's own messages can
// say stands there; OperationDetail has the rest. The way back is operation-decoder.ts.
import type {
  EvidenceEvent,
  ExecFailedEvent,
  FileContentEvent,
  FileIoEvent,
  FileOpEvent,
  FileRef,
  PermOpEvent,
} from './event.js';
import { EventType, LIFECYCLE_KINDS } from './event-names.js';
import type { MessageWriter } from './message-writer.js';
import {
  FILE_OPS,
  FILE_TYPES,
  OPERATIONS,
  type Operation,
  type OperationEvent,
  PERM_OPS,
} from './operation-names.js';

const IO_READ = 1;
const LARGEST_UINT32 = 0xffff_ffff;

const kinds = new Set<string>([
  'file-op',
  'file-io',
  'file-content',
  'perm-op',
  'connect',
  'exec-failed',
] satisfies OperationEvent['kind'][]);

export function isOperation(event: EvidenceEvent): event is OperationEvent {
  return kinds.has(event.kind);
}

/** Appends the fields of `event` but those that all events have. */
export function writeOperation(writer: MessageWriter, event: OperationEvent): void {
  switch (event.kind) {
    case 'file-op':
      writeFileOp(writer, event);
      break;
    case 'file-io':
      writeFileIo(writer, event);
      break;
    case 'file-content':
      writeFileContent(writer, event);
      break;
    case 'perm-op':
      writePermOp(writer, event);
      break;
    case 'connect': {
      const start = beginDetail(writer, 'connect', event.errno);
      writer.uint32(18, event.family);
      writer.text(19, event.address);
      writer.uint32(20, event.port);
      writer.end(start);
      break;
    }
    case 'exec-failed':
      writeExecFailed(writer, event);
      break;
  }
}

function writeFileOp(writer: MessageWriter, event: FileOpEvent): void {
  writer.uint32(7, EventType.fileOp);
  const start = writer.begin(11);
  writer.uint32(1, Math.max(FILE_OPS.indexOf(event.operation), 0));
  writer.uint32(2, event.pid);
  writer.uint32(3, event.ownerUid ?? event.uid);
  writer.uint32(4, event.ownerGid ?? event.gid);
  writer.uint32(5, event.wantedMode ?? 0);
  writer.uint64(6, event.timeNs);
  writer.text(7, event.path);
  writer.end(start);

  const detail = beginDetail(writer, event.operation, event.errno);
  writeFileRef(writer, event);
  if (event.target !== undefined) writer.presentText(8, event.target);
  if (event.flags !== undefined) writer.presentUint64(9, event.flags);
  if (event.length !== undefined) writer.presentUint64(10, event.length);
  if (event.wantedMode !== undefined) writer.presentUint32(11, event.wantedMode);
  writer.uint32(12, event.uid);
  writer.uint32(13, event.gid);
  writer.end(detail);
}

function writeFileIo(writer: MessageWriter, event: FileIoEvent): void {
  const name = event.path.lastIndexOf('/') + 1;
  writer.uint32(7, EventType.io);
  const start = writer.begin(8);
  writer.uint32(1, Math.min(event.bytes, LARGEST_UINT32));
  writer.uint32(2, event.operation === 'write' ? 0 : IO_READ);
  writer.uint64(3, event.durationNs);
  writer.text(4, event.path.slice(name));
  writer.uint64(5, event.offset);
  writer.text(8, event.path.slice(0, name));
  writer.uint32(9, FILE_TYPES.indexOf(event.fileType));
  writer.uint32(10, event.mode ?? 0);
  writer.end(start);

  const detail = beginDetail(writer, event.operation, event.errno);
  writeFileRef(writer, event);
  writer.uint64(14, event.count);
  writer.uint64(15, event.bytes);
  writer.end(detail);
}

function writeFileContent(writer: MessageWriter, event: FileContentEvent): void {
  const start = writer.begin(111);
  writer.text(1, event.path);
  writer.uint64(2, event.inode);
  writer.uint32(3, event.device);
  writer.uint64(4, event.offset);
  writer.bytes(5, event.data);
  writer.uint64(6, event.missing);
  writer.uint32(7, Number(event.source === 'file'));
  writer.end(start);
}

function writePermOp(writer: MessageWriter, event: PermOpEvent): void {
  const [first = 0, second = 0] = event.ids;
  const isPair = event.ids.length > 1;
  writer.uint32(7, EventType.permOp);
  const start = writer.begin(12);
  writer.uint32(1, Math.max(PERM_OPS.indexOf(event.operation), 0));
  writer.uint32(2, event.pid);
  writer.uint32(3, event.uid);
  writer.uint32(4, event.gid);
  // DeepFlow stores both arguments of setreuid and setregid here, whichever id they are of.
  writer.uint32(5, isPair || event.operation === 'setuid' ? first : 0);
  writer.uint32(6, isPair ? second : event.operation === 'setgid' ? first : 0);
  writer.uint64(7, event.timeNs);
  writer.end(start);

  const detail = beginDetail(writer, event.operation, event.errno);
  writer.uint32s(16, event.ids);
  if (event.capabilities !== undefined) {
    const { effective, permitted, inheritable } = event.capabilities;
    writer.uint64s(17, [effective, permitted, inheritable]);
  }
  writer.end(detail);
}

function writeExecFailed(writer: MessageWriter, event: ExecFailedEvent): void {
  writer.uint32(7, EventType.procLifecycle);
  const start = writer.begin(13);
  writer.uint32(1, LIFECYCLE_KINDS.indexOf('exec'));
  writer.uint32(2, event.pid);
  writer.uint32(4, event.uid);
  writer.uint32(5, event.gid);
  writer.uint64(6, event.timeNs);
  writer.text(7, event.comm);
  writer.text(9, event.execPath);
  writer.end(start);

  const process = writer.begin(101);
  writer.text(6, event.cwd ?? '');
  writer.end(process);
  writer.end(beginDetail(writer, 'exec', event.errno));
}

function beginDetail(writer: MessageWriter, operation: NonNullable<Operation>, errno: number): number {
  const start = writer.begin(110);
  writer.uint32(1, OPERATIONS.indexOf(operation));
  writer.uint32(2, errno);
  return start;
}

function writeFileRef(writer: MessageWriter, file: FileRef): void {
  writer.uint64(3, file.inode);
  writer.uint32(4, file.device);
  writer.uint32(5, FILE_TYPES.indexOf(file.fileType));
  writer.uint32(6, Number(file.pathInferred));
  if (file.mode !== undefined) writer.presentUint32(7, file.mode);
}
