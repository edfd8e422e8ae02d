// Events on files, permissions and the network from the fields of ProcEvent, ours or as DeepFlow itself writes them.
import type { EventBase, FileOperation, FileRef, FileType, PermOperation } from './event.js';
import {
  FILE_OPS,
  FILE_TYPES,
  OPERATIONS,
  type Operation,
  type OperationEvent,
  PERM_OPS,
} from './operation-names.js';
import { toBigint, toCount, toText, type WireEvent, type WireIo, type WireOperation, ZERO } from './wire.js';

/** The event of a frame that holds one of these; undefined for any other. Frames that DeepFlow wrote lack the detail. */
export function fromWireOperation(start: EventBase, wire: WireEvent): OperationEvent | undefined {
  const { ioEventData: io, fileOpEventData: fileOp, permOpEventData: permOp, operationDetail: more } = wire;
  const base = { ...start, endNs: toBigint(wire.endTime), errno: more?.errno ?? 0 };
  if (wire.fileContent) {
    const content = wire.fileContent;
    return {
      kind: 'file-content',
      ...start,
      path: toText(content.path),
      inode: toCount(content.inode),
      device: content.device,
      offset: toCount(content.offset),
      data: new Uint8Array(content.data),
      missing: toCount(content.missing),
      source: content.readBack ? 'file' : 'write',
    };
  }
  if (io) return { kind: 'file-io', ...base, ...ioFromWire(io, more) };
  if (fileOp) {
    const operation = more ? OPERATIONS[more.operation] : FILE_OPS[fileOp.opType];
    if (!isFileOperation(operation)) throw new RangeError(`file operation ${fileOp.opType}`);
    const isChown = operation === 'chown';
    const wantedMode = more
      ? (more.wantedMode ?? undefined)
      : operation === 'chmod'
        ? fileOp.mode
        : undefined;
    return {
      kind: 'file-op',
      ...base,
      operation,
      path: toText(fileOp.filename),
      ...refFromWire(more),
      uid: more ? more.callerUid : fileOp.uid,
      gid: more ? more.callerGid : fileOp.gid,
      ...(isPresent(more, 'target') ? { target: toText(more.target) } : {}),
      ...(wantedMode === undefined ? {} : { wantedMode }),
      ...(isChown ? { ownerUid: fileOp.uid, ownerGid: fileOp.gid } : {}),
      ...(isPresent(more, 'flags') ? { flags: toCount(more.flags) } : {}),
      ...(isPresent(more, 'length') ? { length: toCount(more.length) } : {}),
    };
  }
  if (permOp) {
    const operation = more ? OPERATIONS[more.operation] : PERM_OPS[permOp.opType];
    if (!isPermOperation(operation)) throw new RangeError(`permission operation ${permOp.opType}`);
    const [effective = ZERO, permitted = ZERO, inheritable = ZERO] = more?.capabilities ?? [];
    return {
      kind: 'perm-op',
      ...base,
      operation,
      uid: permOp.oldUid,
      gid: permOp.oldGid,
      ids: more ? [...more.ids] : idsOf(operation, permOp.newUid, permOp.newGid),
      ...(operation === 'capset'
        ? {
            capabilities: {
              effective: toBigint(effective),
              permitted: toBigint(permitted),
              inheritable: toBigint(inheritable),
            },
          }
        : {}),
    };
  }
  if (!more) return undefined;
  if (wire.procLifecycleEventData) {
    const { uid, gid, execPath } = wire.procLifecycleEventData;
    const cwd = toText(wire.processDetail?.cwd ?? []);
    return {
      kind: 'exec-failed',
      ...base,
      uid,
      gid,
      execPath: toText(execPath),
      ...(cwd === '' ? {} : { cwd }),
    };
  }
  if (OPERATIONS[more.operation] !== 'connect') throw new RangeError(`operation ${more.operation}`);
  return {
    kind: 'connect',
    ...base,
    family: more.addressFamily,
    address: toText(more.address),
    port: more.port,
  };
}

/** protobufjs stands defaults in for absent fields, on the prototype. */
function isPresent<K extends 'target' | 'flags' | 'length'>(
  more: WireOperation | null | undefined,
  name: K,
): more is WireOperation & Record<K, NonNullable<WireOperation[K]>> {
  return more != null && Object.hasOwn(more, name) && more[name] != null;
}

function ioFromWire(io: WireIo, more: WireOperation | null | undefined) {
  return {
    operation: io.operation === 0 ? ('write' as const) : ('read' as const),
    path: toText(io.fileDir) + toText(io.filename),
    ...refFromWire(more),
    fileType: fileType(io.fileType),
    mode: io.accessPermission,
    bytes: more ? toCount(more.bytes) : io.bytesCount,
    count: more ? toCount(more.eventCount) : 1,
    durationNs: toBigint(io.latency),
    offset: toCount(io.offBytes),
  };
}

function refFromWire(more: WireOperation | null | undefined): Omit<FileRef, 'path'> {
  if (!more) return { pathInferred: false, inode: 0, device: 0, fileType: 'unknown' };
  return {
    pathInferred: more.pathInferred,
    inode: toCount(more.inode),
    device: more.device,
    fileType: fileType(more.fileType),
    ...(typeof more.mode === 'number' ? { mode: more.mode } : {}),
  };
}

function fileType(number: number): FileType {
  const type = FILE_TYPES[number];
  if (type === undefined) throw new RangeError(`file type ${number}`);
  return type;
}

function isFileOperation(operation: Operation): operation is FileOperation {
  const number = OPERATIONS.indexOf(operation);
  return number >= OPERATIONS.indexOf('open') && number <= OPERATIONS.indexOf('map');
}

function isPermOperation(operation: Operation): operation is PermOperation {
  const number = OPERATIONS.indexOf(operation);
  return number >= OPERATIONS.indexOf('setuid') && number <= OPERATIONS.indexOf('capset');
}

function idsOf(operation: PermOperation, newUid: number, newGid: number): number[] {
  if (operation === 'setuid') return [newUid];
  return operation === 'setgid' ? [newGid] : [newUid, newGid];
}
