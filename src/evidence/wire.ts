// What protobufjs reads from a frame: the message types of proc-event.proto as it hands them over, and
// the conversion of their scalars. What the fields mean is event-decoder.ts.
import { readFileSync } from 'node:fs';
import protobuf, { type Type } from 'protobufjs';

/** An unsigned 64-bit integer as protobufjs reads and writes it. */
export interface Uint64 {
  low: number;
  high: number;
  unsigned: boolean;
}

/** protobufjs stands an empty array in for absent bytes. */
export type Bytes = Uint8Array | never[];

/** ProcEvent as protobufjs decodes it: absent submessages are null, absent scalars have their zero value. */
export interface WireEvent {
  pid: number;
  threadId: number;
  processKname: Bytes;
  startTime: Uint64;
  endTime: Uint64;
  eventType: number;
  aiAgentRootPid: number;
  ioEventData?: WireIo | null;
  fileOpEventData?: WireFileOp | null;
  permOpEventData?: WirePermOp | null;
  procLifecycleEventData?: WireLifecycle | null;
  tlsData?: WireTls | null;
  socketData?: WireSocket | null;
  processDetail?: WireProcessDetail | null;
  captureStart?: WireCaptureStart | null;
  loss?: { counters: { reason: string; events: Uint64; pid: number }[] } | null;
  checkpoint?: { sha256: Bytes; frames: Uint64; bytes: Uint64 } | null;
  captureEnd?: { reason: string } | null;
  operationDetail?: WireOperation | null;
  fileContent?: WireContent | null;
}

export interface WireLifecycle {
  lifecycleType: number;
  pid: number;
  parentPid: number;
  uid: number;
  gid: number;
  timestamp: Uint64;
  comm: Bytes;
  cmdline: Bytes;
  execPath: Bytes;
}

export interface WireProcessDetail {
  argv: Bytes[];
  argvMissing: Uint64;
  environment: Bytes[];
  exitCode?: number | null;
  signal?: number | null;
  cwd: Bytes;
}

export interface WireIo {
  bytesCount: number;
  operation: number;
  latency: Uint64;
  filename: Bytes;
  offBytes: Uint64;
  fileDir: Bytes;
  fileType: number;
  accessPermission: number;
}

interface WireFileOp {
  opType: number;
  pid: number;
  uid: number;
  gid: number;
  mode: number;
  timestamp: Uint64;
  filename: Bytes;
}

interface WirePermOp {
  opType: number;
  pid: number;
  oldUid: number;
  oldGid: number;
  newUid: number;
  newGid: number;
  timestamp: Uint64;
}

export interface WireOperation {
  operation: number;
  errno: number;
  inode: Uint64;
  device: number;
  fileType: number;
  pathInferred: boolean;
  mode?: number | null;
  target?: Bytes | null;
  flags?: Uint64 | null;
  length?: Uint64 | null;
  wantedMode?: number | null;
  callerUid: number;
  callerGid: number;
  eventCount: Uint64;
  bytes: Uint64;
  ids: number[];
  capabilities: Uint64[];
  addressFamily: number;
  address: Bytes;
  port: number;
}

interface WireContent {
  path: Bytes;
  inode: Uint64;
  device: number;
  offset: Uint64;
  data: Bytes;
  missing: Uint64;
  readBack: boolean;
}

export interface WireTls {
  direction: number;
  library: string;
  connection: Uint64;
  offset: Uint64;
  data: Bytes;
  missing: Uint64;
  missingReason: number;
  additionalData: Bytes;
}

export interface WireSocket {
  operation: number;
  connection: Uint64;
  carries: Uint64;
  localAddress: Bytes;
  localPort: number;
  remoteAddress: Bytes;
  remotePort: number;
  content: number;
  sent: Uint64;
  received: Uint64;
  endedBy: number;
  errno: number;
  endedNs: Uint64;
  lastSentNs: Uint64;
}

interface WireCaptureStart {
  formatVersion: number;
  agsightVersion: string;
  hostname: string;
  kernel: string;
  arch: string;
  bootId: string;
  monotonicNs: Uint64;
  realtimeNs: Uint64;
  salt: Bytes;
  targetPids: number[];
  recorded: number[];
  command: Bytes[];
  agentEndpoints: Bytes[];
}

export const ZERO: Uint64 = { low: 0, high: 0, unsigned: true };

let procEventType: Type | undefined;

/** The message type, parsed from the schema at first use. */
export function procEvent(): Type {
  procEventType ??= protobuf
    .parse(readFileSync(new URL('./proc-event.proto', import.meta.url), 'utf8'))
    .root.lookupType('agsight.ProcEvent');
  return procEventType;
}

export function toBigint({ low, high }: Uint64): bigint {
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}

/** @throws RangeError above 2^53 - 1, where numbers stop being exact. */
export function toCount({ low, high }: Uint64): number {
  const value = (high >>> 0) * 2 ** 32 + (low >>> 0);
  if (!Number.isSafeInteger(value)) throw new RangeError(`number out of range: ${value}`);
  return value;
}

export function toText(bytes: Bytes): string {
  return Buffer.from(bytes).toString('utf8');
}
