// Evidence events to and from the payload of a frame (proc-event.proto). Owns the mapping and nothing of
// frames, files or checks between events. DeepFlow's fields are filled with DeepFlow's meaning, so that its
// own readers find process, time and lifecycle in our frames.

import protobuf, { type Writer } from 'protobufjs';
import { messageOf } from '../errors.js';
import type {
  Direction,
  EventBase,
  EvidenceEvent,
  ExecEvent,
  ExitEvent,
  ForkEvent,
  LossEvent,
  MissingReason,
  RecordedSource,
  RunningEvent,
  TlsEvent,
} from './event.js';
import { fromWireOperation } from './operation-decoder.js';
import { isOperation, wireOperation } from './operation-encoder.js';
import { socketFromWire, wireSocket } from './socket-codec.js';
import {
  type Bytes,
  procEvent,
  toBigint,
  toBytes,
  toCount,
  toText,
  toUint64,
  type WireEvent,
  type WireLifecycle,
  type WireProcessDetail,
  type WireTls,
  ZERO,
} from './wire.js';

/** A frame that this version cannot interpret: damaged content, or an event kind of a later version. */
export interface UnknownEvent {
  kind: 'unknown';
  reason: string;
}

const PROC_LIFECYCLE_EVENT = 4;
const DIRECTIONS: readonly Direction[] = ['send', 'receive'];
/** DeepFlow has no number for a process that runs already. */
const LIFECYCLE_KINDS = ['running', 'fork', 'exec', 'exit'] as const;
const RECORDED_SOURCES: readonly (RecordedSource | undefined)[] = [
  undefined,
  'processes',
  'tls',
  'sockets',
  'files',
];
const MISSING_REASONS: readonly (MissingReason | undefined)[] = [undefined, 'over-limit', 'unreadable'];

/**
 * Appends the payload of `event` to `writer`.
 *
 * Strings are written as UTF-8; times and the connection key keep all 64 bits.
 */
export function writeEvent(writer: Writer, event: EvidenceEvent): void {
  if (event.kind === 'tls') writeTls(writer, event);
  else procEvent().encode({ ...wireBase(event), ...wireBody(event) }, writer);
}

/** The payload of `event`, in memory of its own. */
export function encodeEvent(event: EvidenceEvent): Uint8Array {
  const writer = protobuf.Writer.create();
  writeEvent(writer, event);
  return writer.finish();
}

/**
 * The event in a frame's payload. Its bytes are copies: `payload` may be reused afterwards.
 *
 * Never throws: what is not a ProcEvent, or is one that this version does not know, is an UnknownEvent.
 */
export function decodeEvent(payload: Uint8Array): EvidenceEvent | UnknownEvent {
  try {
    // The one place where decoded bytes get their type: protobufjs has just enforced the schema.
    return fromWire(procEvent().decode(payload) as unknown as WireEvent);
  } catch (error) {
    return { kind: 'unknown', reason: messageOf(error) };
  }
}

/** The hot path, written by hand against the numbers of proc-event.proto. */
function writeTls(writer: Writer, event: TlsEvent): void {
  const time = toUint64(event.timeNs);
  writer.uint32(tag(1, VARINT)).uint32(event.pid);
  writer.uint32(tag(2, VARINT)).uint32(event.tid);
  writer.uint32(tag(4, LENGTH)).string(event.comm);
  writer.uint32(tag(5, VARINT)).uint64(time);
  writer.uint32(tag(6, VARINT)).uint64(time);
  if (event.rootPid !== 0) writer.uint32(tag(14, VARINT)).uint32(event.rootPid);
  writer.uint32(tag(100, LENGTH)).fork();
  if (event.direction !== 'send') writer.uint32(tag(1, VARINT)).uint32(DIRECTIONS.indexOf(event.direction));
  writer.uint32(tag(2, LENGTH)).string(event.library);
  writer.uint32(tag(3, VARINT)).uint64(toUint64(event.connection));
  if (event.offset !== 0) writer.uint32(tag(4, VARINT)).uint64(event.offset);
  if (event.data.length > 0) writer.uint32(tag(5, LENGTH)).bytes(event.data);
  if (event.missing !== 0) writer.uint32(tag(6, VARINT)).uint64(event.missing);
  if (event.missingReason !== undefined) {
    writer.uint32(tag(7, VARINT)).uint32(MISSING_REASONS.indexOf(event.missingReason));
  }
  if (event.additionalData !== undefined) writer.uint32(tag(8, LENGTH)).bytes(event.additionalData);
  writer.ldelim();
}

const VARINT = 0;
const LENGTH = 2;

function tag(field: number, wireType: number): number {
  return (field << 3) | wireType;
}

function wireBase(event: EvidenceEvent): Partial<WireEvent> {
  const time = toUint64(event.timeNs);
  const end = 'endNs' in event ? toUint64(event.endNs) : time;
  return {
    pid: event.pid,
    threadId: event.tid,
    processKname: toBytes(event.comm),
    startTime: time,
    endTime: end,
    aiAgentRootPid: event.rootPid,
  };
}

function wireBody(event: Exclude<EvidenceEvent, TlsEvent>): Partial<WireEvent> {
  if (isOperation(event)) return wireOperation(event);
  switch (event.kind) {
    case 'fork':
      return { ...wireLifecycle(event), processDetail: wireDetail(event) };
    case 'exec':
    case 'running':
      return {
        ...wireLifecycle(event),
        processDetail: {
          ...wireDetail(event),
          argv: event.argv.map(toBytes),
          argvMissing: toUint64(event.argvMissing),
          environment: Object.entries(event.environment).map(([name, value]) => toBytes(`${name}=${value}`)),
        },
      };
    case 'exit': {
      const detail = wireDetail(event);
      if (event.exitCode !== undefined) detail.exitCode = event.exitCode;
      if (event.signal !== undefined) detail.signal = event.signal;
      return { ...wireLifecycle(event), processDetail: detail };
    }
    case 'socket':
      return { socketData: wireSocket(event) };
    case 'capture-start':
      return {
        captureStart: {
          ...event,
          monotonicNs: toUint64(event.monotonicNs),
          realtimeNs: toUint64(event.realtimeNs),
          command: event.command.map(toBytes),
          agentEndpoints: (event.agentEndpoints ?? []).map(toBytes),
          recorded: event.recorded.map((source) => RECORDED_SOURCES.indexOf(source)),
        },
      };
    case 'loss':
      return {
        loss: {
          counters: [{ pid: 0, counters: event.counters }, ...event.processes].flatMap(({ pid, counters }) =>
            Object.entries(counters).map(([reason, events]) => ({ reason, events: toUint64(events), pid })),
          ),
        },
      };
    case 'checkpoint':
      return {
        checkpoint: {
          sha256: event.sha256,
          frames: toUint64(event.frames),
          bytes: toUint64(event.bytes),
        },
      };
    case 'capture-end':
      return { captureEnd: { reason: event.reason } };
  }
}

function wireDetail({ cwd }: { cwd?: string }): WireProcessDetail {
  return { argv: [], argvMissing: ZERO, environment: [], cwd: toBytes(cwd ?? '') };
}

function wireLifecycle(event: ForkEvent | ExecEvent | RunningEvent | ExitEvent): Partial<WireEvent> {
  const isExec = event.kind === 'exec' || event.kind === 'running';
  return {
    eventType: PROC_LIFECYCLE_EVENT,
    procLifecycleEventData: {
      lifecycleType: LIFECYCLE_KINDS.indexOf(event.kind),
      pid: event.pid,
      parentPid: event.parentPid,
      uid: event.uid,
      gid: event.gid,
      timestamp: toUint64(event.timeNs),
      comm: toBytes(event.comm),
      cmdline: toBytes(isExec ? event.argv.join(' ') : ''),
      execPath: toBytes(isExec ? event.execPath : ''),
    },
  };
}

function fromWire(wire: WireEvent): EvidenceEvent | UnknownEvent {
  const base: EventBase = {
    pid: wire.pid,
    tid: wire.threadId,
    comm: toComm(wire.processKname),
    timeNs: toBigint(wire.startTime),
    rootPid: wire.aiAgentRootPid,
  };
  if (wire.tlsData) return { kind: 'tls', ...base, ...tlsFromWire(wire.tlsData) };
  if (wire.socketData) return { kind: 'socket', ...base, ...socketFromWire(wire.socketData) };
  if (wire.captureStart) {
    const start = wire.captureStart;
    return {
      kind: 'capture-start',
      ...base,
      formatVersion: start.formatVersion,
      agsightVersion: start.agsightVersion,
      hostname: start.hostname,
      kernel: start.kernel,
      arch: start.arch,
      bootId: start.bootId,
      monotonicNs: toBigint(start.monotonicNs),
      realtimeNs: toBigint(start.realtimeNs),
      salt: new Uint8Array(start.salt),
      targetPids: [...start.targetPids],
      recorded: start.recorded.flatMap((source) => RECORDED_SOURCES[source] ?? []),
      command: start.command.map(toText),
      ...(start.agentEndpoints.length === 0 ? {} : { agentEndpoints: start.agentEndpoints.map(toText) }),
    };
  }
  if (wire.loss) return { kind: 'loss', ...base, ...lossFromWire(wire.loss) };
  if (wire.checkpoint) {
    return {
      kind: 'checkpoint',
      ...base,
      sha256: new Uint8Array(wire.checkpoint.sha256),
      frames: toCount(wire.checkpoint.frames),
      bytes: toCount(wire.checkpoint.bytes),
    };
  }
  if (wire.captureEnd) return { kind: 'capture-end', ...base, reason: wire.captureEnd.reason };
  const operation = fromWireOperation(base, wire);
  if (operation !== undefined) return operation;
  if (wire.procLifecycleEventData) {
    return lifecycleFromWire(base, wire.procLifecycleEventData, wire.processDetail);
  }
  return { kind: 'unknown', reason: `event type ${wire.eventType}` };
}

function tlsFromWire(tls: WireTls): Omit<TlsEvent, 'kind' | keyof EventBase> {
  const direction = DIRECTIONS[tls.direction];
  if (direction === undefined) throw new RangeError(`TLS direction ${tls.direction}`);
  if (tls.missingReason >= MISSING_REASONS.length)
    throw new RangeError(`missing reason ${tls.missingReason}`);
  const missingReason = MISSING_REASONS[tls.missingReason];
  return {
    direction,
    library: tls.library,
    connection: toBigint(tls.connection),
    offset: toCount(tls.offset),
    data: new Uint8Array(tls.data),
    missing: toCount(tls.missing),
    ...(missingReason === undefined ? {} : { missingReason }),
    ...(tls.additionalData.length === 0 ? {} : { additionalData: new Uint8Array(tls.additionalData) }),
  };
}

function lossFromWire({
  counters,
}: NonNullable<WireEvent['loss']>): Pick<LossEvent, 'counters' | 'processes'> {
  const byPid = new Map<number, Record<string, number>>([[0, {}]]);
  for (const { reason, events, pid } of counters) {
    byPid.set(pid, { ...byPid.get(pid), [reason]: toCount(events) });
  }
  const [[, total] = [0, {}], ...processes] = byPid;
  return { counters: total, processes: processes.map(([pid, own]) => ({ pid, counters: own })) };
}

function lifecycleFromWire(
  base: EventBase,
  lifecycle: WireLifecycle,
  detail: WireProcessDetail | null | undefined,
): EvidenceEvent | UnknownEvent {
  const { parentPid, uid, gid } = lifecycle;
  const cwd = detail && detail.cwd.length > 0 ? { cwd: toText(detail.cwd) } : {};
  const kind = LIFECYCLE_KINDS[lifecycle.lifecycleType];
  switch (kind) {
    case 'fork':
      return { kind: 'fork', ...base, parentPid, uid, gid, ...cwd };
    case 'exec':
    case 'running':
      if (kind === 'running' && !detail) break;
      return {
        kind,
        ...base,
        parentPid,
        uid,
        gid,
        ...cwd,
        execPath: toText(lifecycle.execPath),
        // A recording by DeepFlow itself has only the joined command line.
        argv: detail ? detail.argv.map(toText) : [toText(lifecycle.cmdline)],
        argvMissing: detail ? toCount(detail.argvMissing) : 0,
        environment: Object.fromEntries((detail?.environment ?? []).map(splitVariable)),
      };
    case 'exit':
      return {
        kind: 'exit',
        ...base,
        parentPid,
        uid,
        gid,
        ...cwd,
        ...(typeof detail?.exitCode === 'number' ? { exitCode: detail.exitCode } : {}),
        ...(typeof detail?.signal === 'number' ? { signal: detail.signal } : {}),
      };
    default:
  }
  return { kind: 'unknown', reason: `lifecycle type ${lifecycle.lifecycleType}` };
}

function splitVariable(bytes: Bytes): [string, string] {
  const variable = toText(bytes);
  const equals = variable.indexOf('=');
  return equals < 0 ? [variable, ''] : [variable.slice(0, equals), variable.slice(equals + 1)];
}

/** DeepFlow writes the kernel's 16-byte array, padded with zeros. */
function toComm(bytes: Bytes): string {
  const text = toText(bytes);
  const end = text.indexOf('\0');
  return end < 0 ? text : text.slice(0, end);
}
