// Evidence events from the payload of a frame (proc-event.proto), our own or as DeepFlow itself writes them. The way there
// is event-encoder.ts; frames, files and checks between events are others' work.

import { messageOf } from '../errors.js';
import type { EventBase, EvidenceEvent, LossEvent, TlsEvent } from './event.js';
import { DIRECTIONS, LIFECYCLE_KINDS, MISSING_REASONS, RECORDED_SOURCES } from './event-names.js';
import { fromWireOperation } from './operation-decoder.js';
import { socketFromWire } from './socket-codec.js';
import {
  type Bytes,
  procEvent,
  toBigint,
  toCount,
  toText,
  type WireEvent,
  type WireLifecycle,
  type WireProcessDetail,
  type WireTls,
} from './wire.js';

/** A frame that this version cannot interpret: damaged content, or an event kind of a later version. */
export interface UnknownEvent {
  kind: 'unknown';
  reason: string;
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
