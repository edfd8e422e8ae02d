// Recordings of what crossed the TLS connections of a real Codex, as evidence events in memory. A recording is
// test/fixtures/wire/NAME.json.gz; its README tells how they were made. Also builds evidence from scratch.

import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import type {
  CaptureEndEvent,
  CaptureStartEvent,
  EvidenceEvent,
  ExecEvent,
  ExitEvent,
  TlsEvent,
} from '../../src/evidence/event.js';
import type { modelVisibleFacts } from '../e2e/model-visible-facts.js';

export interface WireRecording {
  /** Version of Codex. */
  codex: string;
  startedAtUnixMs: number;
  /** Milliseconds since the start, connection, `s`ent or `r`eceived, bytes as Latin-1, number of the process. */
  pieces: [atMs: number, connection: number, direction: 's' | 'r', bytes: string, run: number][];
  /** Commands that tool calls ran. */
  processes: {
    threadId: string;
    callId: string;
    argv: string[];
    startMs: number;
    endMs?: number;
    exitCode?: number;
  }[];
  /** How each Codex process ended. */
  exits: { run: number; atMs: number; exitCode?: number; signal?: number }[];
  /** Per bundle of Codex's own tracer in the same run: what the reference reduced it to, as far as compared. */
  reference: Parameters<typeof modelVisibleFacts>[0][];
}

export function wireRecording(name: string): WireRecording {
  const path = new URL(`../fixtures/wire/${name}.json.gz`, import.meta.url);
  return JSON.parse(gunzipSync(readFileSync(path)).toString());
}

const CODEX_PID = 100;
const COMMAND_PID = 1000;
/** Pieces of evidence hold at most this much. */
const PIECE_BYTES = 16 * 1024;

const nobody = { pid: 0, tid: 0, comm: '', rootPid: 0 };
const codex = { pid: CODEX_PID, tid: CODEX_PID, comm: 'codex', rootPid: CODEX_PID };

const SALT = new Uint8Array(32).fill(7);

export function captureStart(timeNs: bigint): CaptureStartEvent {
  return {
    ...nobody,
    kind: 'capture-start',
    timeNs,
    formatVersion: 1,
    agsightVersion: '0.1.0',
    hostname: 'host',
    kernel: '6.1.0',
    arch: 'x64',
    bootId: 'boot',
    monotonicNs: 0n,
    realtimeNs: timeNs,
    salt: SALT,
    targetPids: [CODEX_PID],
    command: ['codex'],
  };
}

export function captureEnd(timeNs: bigint): CaptureEndEvent {
  return { ...nobody, kind: 'capture-end', timeNs, reason: 'target-exit' };
}

/** The pieces of one connection, with their offsets. */
export class Wire {
  readonly #offsets = { send: 0, receive: 0 };
  readonly #connection: bigint;
  readonly #pid: number;

  constructor(connection = 1, pid = CODEX_PID) {
    this.#connection = BigInt(connection);
    this.#pid = pid;
  }

  /** Events for `bytes`, none with more than `pieceBytes`. Text is UTF-8. */
  piece(
    direction: TlsEvent['direction'],
    bytes: string | Uint8Array,
    timeNs: bigint,
    pieceBytes = PIECE_BYTES,
  ): TlsEvent[] {
    const data = typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
    const events: TlsEvent[] = [];
    for (let at = 0; at < data.length; at += pieceBytes) {
      const part = data.subarray(at, at + pieceBytes);
      events.push({
        ...codex,
        pid: this.#pid,
        kind: 'tls',
        timeNs,
        direction,
        library: 'openssl',
        connection: this.#connection,
        offset: this.#offsets[direction],
        data: part,
        missing: 0,
      });
      this.#offsets[direction] += part.length;
    }
    return events;
  }
}

export function execEvent(timeNs: bigint, fields: Partial<ExecEvent>): ExecEvent {
  return {
    ...codex,
    kind: 'exec',
    timeNs,
    parentPid: CODEX_PID,
    uid: 0,
    gid: 0,
    execPath: '/bin/bash',
    argv: ['/bin/bash'],
    argvMissing: 0,
    environment: {},
    ...fields,
  };
}

export function exitEvent(timeNs: bigint, fields: Partial<ExitEvent> = {}): ExitEvent {
  return { ...codex, kind: 'exit', timeNs, parentPid: 1, uid: 0, gid: 0, ...fields };
}

/** The recording as the evidence of a capture that saw it whole, in the order of time. */
export function evidenceOf(recording: WireRecording, pieceBytes = PIECE_BYTES): EvidenceEvent[] {
  const at = (ms: number) => BigInt(recording.startedAtUnixMs + ms) * 1_000_000n;
  const connections = new Map<number, Wire>();
  const events: EvidenceEvent[] = [];
  for (const [ms, connection, direction, bytes, run] of recording.pieces) {
    const wire = connections.get(connection) ?? new Wire(connection, CODEX_PID + run);
    connections.set(connection, wire);
    const data = Buffer.from(bytes, 'latin1');
    events.push(...wire.piece(direction === 's' ? 'send' : 'receive', data, at(ms), pieceBytes));
  }
  for (const [index, command] of recording.processes.entries()) {
    const pid = COMMAND_PID + index;
    const environment = { CODEX_TOOL_CALL_ID: command.callId, CODEX_THREAD_ID: command.threadId };
    events.push(execEvent(at(command.startMs), { pid, argv: command.argv, environment }));
    if (command.endMs !== undefined && command.exitCode !== undefined) {
      events.push(exitEvent(at(command.endMs), { pid, exitCode: command.exitCode }));
    }
  }
  for (const { run, atMs, ...how } of recording.exits) {
    events.push(exitEvent(at(atMs), { pid: CODEX_PID + run, ...how }));
  }
  events.sort((a, b) => (a.timeNs < b.timeNs ? -1 : a.timeNs > b.timeNs ? 1 : 0));
  const last = events.at(-1)?.timeNs ?? at(0);
  return [captureStart(at(-1)), ...events, captureEnd(last + 1_000_000n)];
}
