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
  SocketEnding,
  SocketEvent,
  TlsEvent,
} from '../../src/evidence/event.js';
import type { modelVisibleFacts } from '../e2e/model-visible-facts.js';

export interface WireRecording {
  /** Version of Codex. */
  codex: string;
  startedAtUnixMs: number;
  /**
   * Milliseconds since the start, connection or AEAD context, `s`ent or `r`eceived, bytes as Latin-1, number of the
   * process, and for the plaintext of a TLS record what was authenticated beside it, as Latin-1.
   */
  pieces: [
    atMs: number,
    connection: number,
    direction: 's' | 'r',
    bytes: string,
    run: number,
    additionalData?: string,
  ][];
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

export function wireRecording(name: string, folder: 'wire' | 'agreement' = 'wire'): WireRecording {
  const path = new URL(`../fixtures/${folder}/${name}.json.gz`, import.meta.url);
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
    recorded: ['processes', 'tls'],
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

/** The TLS records of one AEAD context, with their offsets. TLS 1.3 unless told otherwise. */
export class Records {
  #offset = 0;
  readonly #context: number;
  readonly #direction: TlsEvent['direction'];
  readonly #pid: number;

  constructor(context: number, direction: TlsEvent['direction'], pid = CODEX_PID) {
    this.#context = context;
    this.#direction = direction;
    this.#pid = pid;
  }

  /** Records of at most 16 KiB that hold `content`. Text is UTF-8. */
  content(content: string | Uint8Array, timeNs: bigint, type = APPLICATION_DATA, padding = 0): TlsEvent[] {
    const bytes = Buffer.from(content);
    const events: TlsEvent[] = [];
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      const part = bytes.subarray(at, at + PIECE_BYTES);
      const plaintext = Buffer.concat([part, Buffer.from([type]), Buffer.alloc(padding)]);
      events.push(this.record(plaintext, timeNs, tls13AdditionalData(plaintext.length)));
    }
    return events;
  }

  /** One record, or whatever else an AEAD function was called for. */
  record(plaintext: Uint8Array, timeNs: bigint, additionalData: Uint8Array): TlsEvent {
    const offset = this.#offset;
    this.#offset += plaintext.length;
    const place = { direction: this.#direction, connection: BigInt(this.#context), offset };
    return {
      ...codex,
      pid: this.#pid,
      kind: 'tls',
      timeNs,
      library: 'aws-lc',
      ...place,
      data: plaintext,
      missing: 0,
      additionalData,
    };
  }

  /** `bytes` of the context are lost. */
  skip(bytes: number): void {
    this.#offset += bytes;
  }
}

const APPLICATION_DATA = 23;
const TAG_BYTES = 16;

/** The header of a TLS 1.3 record with `plaintextBytes` in it. */
export function tls13AdditionalData(plaintextBytes: number): Uint8Array {
  const length = plaintextBytes + TAG_BYTES;
  return Uint8Array.from([APPLICATION_DATA, 3, 3, length >> 8, length & 0xff]);
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

export function socketEvent(timeNs: bigint, fields: Partial<SocketEvent>): SocketEvent {
  return {
    ...codex,
    kind: 'socket',
    timeNs,
    operation: 'connect',
    connection: 1n,
    carries: 0n,
    local: { address: '127.0.0.1', port: 40_000 },
    remote: { address: '127.0.0.1', port: 443 },
    content: 'unknown',
    sent: 0,
    received: 0,
    errno: 0,
    ...fields,
  };
}

/** A socket of Codex is closed: that of connection 1, or one that carried it. */
export function socketClosed(
  timeNs: bigint,
  { isPlain, ...how }: { endedBy: SocketEnding; errno?: number; isPlain: boolean },
): SocketEvent {
  const ids = isPlain ? { connection: 1n, carries: 0n } : { connection: 99n, carries: 1n };
  return socketEvent(timeNs, { operation: 'close', ...ids, ...how });
}

export function exitEvent(timeNs: bigint, fields: Partial<ExitEvent> = {}): ExitEvent {
  return { ...codex, kind: 'exit', timeNs, parentPid: 1, uid: 0, gid: 0, ...fields };
}

/** The recording as the evidence of a capture that saw it whole, in the order of time. */
export function evidenceOf(recording: WireRecording, pieceBytes = PIECE_BYTES): EvidenceEvent[] {
  const at = (ms: number) =>
    BigInt(recording.startedAtUnixMs) * 1_000_000n + BigInt(Math.round(ms * 1_000_000));
  const connections = new Map<number, Wire>();
  const events: EvidenceEvent[] = [];
  const contexts = new Map<string, Records>();
  for (const [ms, connection, sentOrReceived, bytes, run, additionalData] of recording.pieces) {
    const direction = sentOrReceived === 's' ? 'send' : 'receive';
    if (additionalData !== undefined) {
      const key = `${connection} ${direction}`;
      const records = contexts.get(key) ?? new Records(connection, direction, CODEX_PID + run);
      contexts.set(key, records);
      const authenticated = Buffer.from(additionalData, 'latin1');
      events.push(records.record(Buffer.from(bytes, 'latin1'), at(ms), authenticated));
      continue;
    }
    const wire = connections.get(connection) ?? new Wire(connection, CODEX_PID + run);
    connections.set(connection, wire);
    const data = Buffer.from(bytes, 'latin1');
    events.push(...wire.piece(direction, data, at(ms), pieceBytes));
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
