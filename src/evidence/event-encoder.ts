// Evidence events to the payload of a frame (proc-event.proto). Owns the mapping and nothing of frames, files or checks
// between events. DeepFlow's fields are filled with DeepFlow's meaning, so that its own readers find process, time and
// lifecycle in our frames. The way back is event-decoder.ts.

import type {
  CaptureStartEvent,
  CheckpointEvent,
  EvidenceEvent,
  ExecEvent,
  ExitEvent,
  ForkEvent,
  LossEvent,
  RunningEvent,
  TlsEvent,
} from './event.js';
import { DIRECTIONS, EventType, LIFECYCLE_KINDS, MISSING_REASONS, RECORDED_SOURCES } from './event-names.js';
import { MessageWriter } from './message-writer.js';
import { isOperation, writeOperation } from './operation-encoder.js';
import { writeSocket } from './socket-codec.js';

/**
 * Appends the payload of `event` to `writer`.
 *
 * Strings are written as UTF-8; times and the connection key keep all 64 bits.
 */
export function writeEvent(writer: MessageWriter, event: EvidenceEvent): void {
  writer.uint32(1, event.pid);
  writer.uint32(2, event.tid);
  writer.text(4, event.comm);
  writer.uint64(5, event.timeNs);
  writer.uint64(6, 'endNs' in event ? event.endNs : event.timeNs);
  writer.uint32(14, event.rootPid);
  if (isOperation(event)) {
    writeOperation(writer, event);
    return;
  }
  switch (event.kind) {
    case 'tls':
      writeTls(writer, event);
      break;
    case 'socket':
      writeSocket(writer, event);
      break;
    case 'fork':
    case 'exec':
    case 'running':
    case 'exit':
      writeLifecycle(writer, event);
      break;
    case 'capture-start':
      writeCaptureStart(writer, event);
      break;
    case 'loss':
      writeLoss(writer, event);
      break;
    case 'checkpoint':
      writeCheckpoint(writer, event);
      break;
    case 'capture-end': {
      const start = writer.begin(105);
      writer.text(1, event.reason);
      writer.end(start);
    }
  }
}

/** The payload of `event`, in memory of its own. */
export function encodeEvent(event: EvidenceEvent): Uint8Array {
  const writer = new MessageWriter();
  writeEvent(writer, event);
  return writer.buffer.subarray(0, writer.at);
}

function writeTls(writer: MessageWriter, event: TlsEvent): void {
  const start = writer.begin(100);
  writer.uint32(1, DIRECTIONS.indexOf(event.direction));
  writer.text(2, event.library);
  writer.uint64(3, event.connection);
  writer.uint64(4, event.offset);
  writer.bytes(5, event.data);
  writer.uint64(6, event.missing);
  writer.uint32(7, MISSING_REASONS.indexOf(event.missingReason));
  if (event.additionalData !== undefined) writer.bytes(8, event.additionalData);
  writer.end(start);
}

function writeLifecycle(
  writer: MessageWriter,
  event: ForkEvent | ExecEvent | RunningEvent | ExitEvent,
): void {
  const isExec = event.kind === 'exec' || event.kind === 'running';
  writer.uint32(7, EventType.procLifecycle);
  const lifecycle = writer.begin(13);
  writer.uint32(1, LIFECYCLE_KINDS.indexOf(event.kind));
  writer.uint32(2, event.pid);
  writer.uint32(3, event.parentPid);
  writer.uint32(4, event.uid);
  writer.uint32(5, event.gid);
  writer.uint64(6, event.timeNs);
  writer.text(7, event.comm);
  if (isExec) {
    writer.text(8, event.argv.join(' '));
    writer.text(9, event.execPath);
  }
  writer.end(lifecycle);

  const detail = writer.begin(101);
  if (isExec) {
    for (const argument of event.argv) writer.presentText(1, argument);
    writer.uint64(2, event.argvMissing);
    for (const [name, value] of Object.entries(event.environment)) writer.presentText(3, `${name}=${value}`);
  } else if (event.kind === 'exit') {
    if (event.exitCode !== undefined) writer.presentUint32(4, event.exitCode);
    if (event.signal !== undefined) writer.presentUint32(5, event.signal);
  }
  writer.text(6, event.cwd ?? '');
  writer.end(detail);
}

function writeCaptureStart(writer: MessageWriter, event: CaptureStartEvent): void {
  const start = writer.begin(102);
  writer.uint32(1, event.formatVersion);
  writer.text(2, event.agsightVersion);
  writer.text(3, event.hostname);
  writer.text(4, event.kernel);
  writer.text(5, event.arch);
  writer.text(6, event.bootId);
  writer.uint64(7, event.monotonicNs);
  writer.uint64(8, event.realtimeNs);
  writer.bytes(9, event.salt);
  writer.uint32s(10, event.targetPids);
  for (const argument of event.command) writer.presentText(11, argument);
  writer.uint32s(
    12,
    event.recorded.map((source) => RECORDED_SOURCES.indexOf(source)),
  );
  for (const endpoint of event.agentEndpoints ?? []) writer.presentText(13, endpoint);
  writer.end(start);
}

function writeLoss(writer: MessageWriter, event: LossEvent): void {
  const start = writer.begin(103);
  for (const { pid, counters } of [{ pid: 0, counters: event.counters }, ...event.processes]) {
    for (const [reason, events] of Object.entries(counters)) {
      const counter = writer.begin(1);
      writer.text(1, reason);
      writer.uint64(2, events);
      writer.uint32(3, pid);
      writer.end(counter);
    }
  }
  writer.end(start);
}

function writeCheckpoint(writer: MessageWriter, event: CheckpointEvent): void {
  const start = writer.begin(104);
  writer.bytes(1, event.sha256);
  writer.uint64(2, event.frames);
  writer.uint64(3, event.bytes);
  writer.end(start);
}
