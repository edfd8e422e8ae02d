// Events on files, permissions and the network to the fields of ProcEvent. Everything that DeepFlow's own messages can
// say stands there; OperationDetail has the rest. The way back is operation-decoder.ts.
import type { EvidenceEvent, FileRef } from './event.js';
import {
  FILE_OPS,
  FILE_TYPES,
  OPERATIONS,
  type Operation,
  type OperationEvent,
  PERM_OPS,
} from './operation-names.js';
import { toBytes, toUint64, type WireEvent, type WireOperation, ZERO } from './wire.js';

const EventType = { io: 1, fileOp: 2, permOp: 3, procLifecycle: 4 } as const;
const LIFECYCLE_EXEC = 2;
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

function detail(operation: NonNullable<Operation>, errno: number): WireOperation {
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
