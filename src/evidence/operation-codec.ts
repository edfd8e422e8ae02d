// Events on files, permissions and the network, to and from the fields of ProcEvent. Everything that DeepFlow's
// own messages can say stands there; OperationDetail has the rest.
import type {
  ConnectEvent,
  EventBase,
  EvidenceEvent,
  ExecFailedEvent,
  FileContentEvent,
  FileIoEvent,
  FileOpEvent,
  FileOperation,
  FileRef,
  FileType,
  PermOpEvent,
  PermOperation,
} from './event.js';
import {
  toBigint,
  toBytes,
  toCount,
  toText,
  toUint64,
  type WireEvent,
  type WireIo,
  type WireOperation,
  ZERO,
} from './wire.js';

type OperationEvent =
  | FileOpEvent
  | FileIoEvent
  | FileContentEvent
  | PermOpEvent
  | ConnectEvent
  | ExecFailedEvent;

const EventType = { io: 1, fileOp: 2, permOp: 3, procLifecycle: 4 } as const;
const LIFECYCLE_EXEC = 2;
const LARGEST_UINT32 = 0xffff_ffff;

const FILE_TYPES: readonly FileType[] = ['unknown', 'regular', 'virtual', 'network'];

/** By the numbers of `Operation`. */
const OPERATIONS = [
  undefined,
  'read',
  'write',
  'open',
  'create',
  'delete',
  'rename',
  'mkdir',
  'rmdir',
  'link',
  'symlink',
  'truncate',
  'allocate',
  'chmod',
  'chown',
  'map',
  'setuid',
  'setgid',
  'setreuid',
  'setregid',
  'setresuid',
  'setresgid',
  'capset',
  'connect',
  'exec',
] as const;

/** By the numbers of DeepFlow's FileOpType and PermOpType. */
const FILE_OPS: readonly (FileOperation | undefined)[] = [undefined, 'create', 'delete', 'chmod', 'chown'];
const PERM_OPS: readonly (PermOperation | undefined)[] = [
  undefined,
  'setuid',
  'setgid',
  'setreuid',
  'setregid',
];

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

export function wireOperation(event: OperationEvent): Partial<WireEvent> {
  switch (event.kind) {
    case 'file-op':
      return {
        eventType: EventType.fileOp,
        fileOpEventData: {
          opType: Math.max(FILE_OPS.indexOf(event.operation), 0),
          pid: event.pid,
          uid: event.ownerUid ?? event.uid,
          gid: event.ownerGid ?? event.gid,
          mode: event.wantedMode ?? 0,
          timestamp: toUint64(event.timeNs),
          filename: toBytes(event.path),
        },
        operationDetail: {
          ...detail(event.operation, event.errno),
          ...fileDetail(event),
          callerUid: event.uid,
          callerGid: event.gid,
          ...(event.target === undefined ? {} : { target: toBytes(event.target) }),
          ...(event.flags === undefined ? {} : { flags: toUint64(event.flags) }),
          ...(event.length === undefined ? {} : { length: toUint64(event.length) }),
          ...(event.wantedMode === undefined ? {} : { wantedMode: event.wantedMode }),
        },
      };
    case 'file-io': {
      const slash = event.path.lastIndexOf('/') + 1;
      return {
        eventType: EventType.io,
        ioEventData: {
          bytesCount: Math.min(event.bytes, LARGEST_UINT32),
          operation: event.operation === 'write' ? 0 : 1,
          latency: toUint64(event.durationNs),
          filename: toBytes(event.path.slice(slash)),
          offBytes: toUint64(event.offset),
          fileDir: toBytes(event.path.slice(0, slash)),
          fileType: FILE_TYPES.indexOf(event.fileType),
          accessPermission: event.mode ?? 0,
        },
        operationDetail: {
          ...detail(event.operation, event.errno),
          ...fileDetail(event),
          eventCount: toUint64(event.count),
          bytes: toUint64(event.bytes),
        },
      };
    }
    case 'file-content':
      return {
        fileContent: {
          path: toBytes(event.path),
          inode: toUint64(event.inode),
          device: event.device,
          offset: toUint64(event.offset),
          data: event.data,
          missing: toUint64(event.missing),
          readBack: event.source === 'file',
        },
      };
    case 'perm-op': {
      const [first = 0, second = 0] = event.ids;
      const isPair = event.ids.length > 1;
      return {
        eventType: EventType.permOp,
        permOpEventData: {
          opType: Math.max(PERM_OPS.indexOf(event.operation), 0),
          pid: event.pid,
          oldUid: event.uid,
          oldGid: event.gid,
          // DeepFlow stores both arguments of setreuid and setregid here, whichever id they are of.
          newUid: isPair || event.operation === 'setuid' ? first : 0,
          newGid: isPair ? second : event.operation === 'setgid' ? first : 0,
          timestamp: toUint64(event.timeNs),
        },
        operationDetail: {
          ...detail(event.operation, event.errno),
          ids: event.ids,
          capabilities:
            event.capabilities === undefined
              ? []
              : [
                  toUint64(event.capabilities.effective),
                  toUint64(event.capabilities.permitted),
                  toUint64(event.capabilities.inheritable),
                ],
        },
      };
    }
    case 'connect':
      return {
        operationDetail: {
          ...detail('connect', event.errno),
          addressFamily: event.family,
          address: toBytes(event.address),
          port: event.port,
        },
      };
    case 'exec-failed':
      return {
        eventType: EventType.procLifecycle,
        procLifecycleEventData: {
          lifecycleType: LIFECYCLE_EXEC,
          pid: event.pid,
          parentPid: 0,
          uid: event.uid,
          gid: event.gid,
          timestamp: toUint64(event.timeNs),
          comm: toBytes(event.comm),
          cmdline: toBytes(''),
          execPath: toBytes(event.execPath),
        },
        processDetail: { argv: [], argvMissing: ZERO, environment: [], cwd: toBytes(event.cwd ?? '') },
        operationDetail: detail('exec', event.errno),
      };
  }
}

function detail(operation: NonNullable<(typeof OPERATIONS)[number]>, errno: number): WireOperation {
  return {
    operation: OPERATIONS.indexOf(operation),
    errno,
    inode: ZERO,
    device: 0,
    fileType: 0,
    pathInferred: false,
    callerUid: 0,
    callerGid: 0,
    eventCount: ZERO,
    bytes: ZERO,
    ids: [],
    capabilities: [],
    addressFamily: 0,
    address: [],
    port: 0,
  };
}

function fileDetail(event: FileRef) {
  return {
    inode: toUint64(event.inode),
    device: event.device,
    fileType: FILE_TYPES.indexOf(event.fileType),
    pathInferred: event.pathInferred,
    ...(event.mode === undefined ? {} : { mode: event.mode }),
  };
}

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

type Operation = (typeof OPERATIONS)[number];

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
