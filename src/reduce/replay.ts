// Replays one bundle into a reduced state: reads, orders and reduces its events, and collects what was wrong
// with them. Writes nothing.

import { isUtf8 } from 'node:buffer';
import { setImmediate } from 'node:timers/promises';
import { isBlankLine, readEventLog, readManifest, readSchema } from '../trace/bundle-reader.js';
import { decodeEvent } from '../trace/event-decoder.js';
import { JsonTextError } from '../trace/json-text.js';
import { compareUtf8, type Integer } from '../trace/json-value.js';
import { PayloadReader } from '../trace/payload-reader.js';
import { decodePlainEvent } from '../trace/plain-event.js';
import type { Manifest, RawEvent, SchemaVersion } from '../trace/raw-event.js';
import { Rejection } from '../trace/rejection.js';
import { linkStartedCells } from './cell-links.js';
import { connectWaitingSpawns } from './edges.js';
import { Graph } from './graph.js';
import { listConversations } from './item.js';
import { applyEvent } from './reducer.js';
import { type Schema, schemaOf } from './schema.js';
import type { ReducedState } from './state.js';

/** A line as the first schema's reader sees it, which matters for the positions that it names. */
function withoutEnd(line: Uint8Array): Uint8Array {
  if (line.at(-1) !== 10) return line;
  return line.subarray(0, line.at(-2) === 13 ? -2 : -1);
}

/** Something wrong in a bundle. */
export interface Anomaly {
  /** Line of the event log, from 1; null for what no line is to blame for. */
  line: number | null;
  seq: Integer | null;
  /** Stable, for scripts. */
  code: string;
  message: string;
  /** What the reference says of it, and stops. */
  reference: string;
}

export interface Replay {
  state: ReducedState;
  anomalies: Anomaly[];
}

/** How far a replay is: in the log, and then in the payloads that no event needed to look into. */
export type ReplayProgress =
  | { doing: 'replaying'; events: number; bytes: number; ofBytes: number }
  | { doing: 'checking'; payloads: number; ofPayloads: number };

export interface ReplayOptions {
  /** Throw the first anomaly as the Rejection that it is. */
  strict?: boolean | undefined;
  /** Ends it; its reason is thrown. */
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: ReplayProgress) => void) | undefined;
}

/** So many payloads are checked before anything else may happen. */
const CHECKED_AT_ONCE = 200;

/**
 * Replays the bundle in `dir`. What is wrong with single events or payloads becomes an anomaly, and the rest
 * goes on without them. Throws Rejection when there is nothing to replay (no manifest, no log).
 */
export async function replayBundle(dir: string, options: ReplayOptions = {}): Promise<Replay> {
  const { strict = false, signal, onProgress } = options;
  const manifest = await readManifest(dir);
  const schema = schemaOf(await readSchema(dir, manifest));
  const graph = new Graph(schema, manifest, new PayloadReader(dir));
  graph.journal.enabled = !strict;
  const replayer = new Replayer(graph, manifest, strict);
  replayer.start();
  await readEventLog(
    dir,
    (line, number, terminated) => replayer.line(line, number, terminated),
    (progress) => {
      signal?.throwIfAborted();
      onProgress?.({ doing: 'replaying', ...progress });
    },
  );
  replayer.end();
  await replayer.checkPayloads((progress) => {
    signal?.throwIfAborted();
    onProgress?.({ doing: 'checking', ...progress });
  });
  return { state: graph.state, anomalies: replayer.anomalies };
}

class Replayer {
  readonly #schema: Schema;
  readonly anomalies: Anomaly[] = [];
  /** The greatest sequence number so far. */
  #last = 0n;
  /** Every sequence number below `#next` was there, and of those above the ones in `#ahead`. */
  #next: bigint | undefined;
  readonly #ahead = new Set<bigint>();
  /** Lines since the last event that could not be decoded, and may be why events are missing. */
  #unreadable = 0n;
  #completed = false;

  constructor(
    private readonly graph: Graph,
    private readonly manifest: Manifest,
    private readonly strict: boolean,
  ) {
    this.#schema = graph.schema;
  }

  /** Schema 1 never asked what the manifest says. */
  start(): void {
    const { schema_version } = this.manifest;
    if (!this.#schema.checkedLog || schema_version === this.#schema.version) return;
    const refusal = `trace schema ${schema_version} cannot establish accepted history; use its matching reducer or record a new bundle`;
    this.#try(() => {
      throw new Rejection('schema-unsupported', refusal);
    });
  }

  line(line: Uint8Array, number: number, terminated: boolean): void {
    let seq: Integer | null = null;
    try {
      if (!isUtf8(line)) {
        const cause = 'stream did not contain valid UTF-8';
        throw new Rejection('line-not-utf-8', `read trace event line ${number}`, [cause]);
      }
      if (isBlankLine(line)) return;
      if (this.#completed) this.#afterCompletion(number);
      this.#unreadable++;
      const event = decode(
        this.#schema.checkedLog ? line : withoutEnd(line),
        number,
        terminated,
        this.#schema.version,
      );
      this.#unreadable--;
      seq = event.seq;
      if (this.#schema.checkedLog) this.#check(event, number);
      applyEvent(this.graph, event);
      this.#completed = event.payload.type === 'recording_completed';
      this.graph.state.recording_complete = this.#completed && terminated;
    } catch (error) {
      this.#note(error, number, seq);
    }
  }

  end(): void {
    this.#try(() => connectWaitingSpawns(this.graph));
    linkStartedCells(this.graph);
    listConversations(this.graph);
    this.#schema.trim?.(this.graph.state);
  }

  /** Checks the payloads that no event needed to look into. */
  async checkPayloads(onSome: (progress: { payloads: number; ofPayloads: number }) => void): Promise<void> {
    if (!this.#schema.checkedLog) return;
    const refs = [...this.graph.state.raw_payloads.values()];
    refs.sort((a, b) => compareUtf8(a.raw_payload_id, b.raw_payload_id));
    for (const [index, ref] of refs.entries()) {
      if (index % CHECKED_AT_ONCE === 0) {
        await setImmediate();
        onSome({ payloads: index, ofPayloads: refs.length });
      }
      if (!this.graph.payloads.wasRead(ref)) this.#try(() => this.graph.payloads.check(ref));
    }
  }

  /** The recording goes on after its end: what comes is still reduced, but the end was none. */
  #afterCompletion(number: number): void {
    this.#completed = false;
    this.graph.state.recording_complete = false;
    this.#note(
      new Rejection('after-recording-completed', 'trace event after recording completed'),
      number,
      null,
    );
  }

  /** Checks that an event is one of this log that was not there yet. */
  #check({ schema_version, seq, rollout_id }: RawEvent, number: number): void {
    if (schema_version !== 2) {
      throw new Rejection(
        'schema-unsupported',
        `unsupported trace event schema ${schema_version} at line ${number}`,
      );
    }
    this.#order(seq, number);
    if (rollout_id !== this.manifest.rollout_id) {
      throw new Rejection('other-rollout', 'trace event belongs to another rollout');
    }
  }

  /** Events are reduced in the order of the log; one that is missing, late or repeated is noted. */
  #order(written: Integer, number: number): void {
    const seq = BigInt(written);
    const expected = this.#last + 1n;
    const lost = this.#unreadable;
    this.#unreadable = 0n;
    this.#next ??= seq < expected ? seq : expected;
    const repeated = seq < this.#next || this.#ahead.has(seq);
    if (repeated || seq < expected || seq > expected + lost) {
      const code = repeated ? 'event-repeated' : 'event-out-of-order';
      const rejection = new Rejection(code, `missing or reordered trace event ${expected}`);
      if (repeated) throw rejection;
      this.#note(rejection, number, written);
    }
    if (seq > this.#last) this.#last = seq;
    this.#ahead.add(seq);
    while (this.#ahead.delete(this.#next)) this.#next++;
  }

  #try(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#note(error, null, null);
    }
  }

  #note(error: unknown, line: number | null, seq: Integer | null): void {
    if (!(error instanceof Rejection) || this.strict) throw error;
    const { code, message, reference } = error;
    this.anomalies.push({ line, seq, code, message, reference });
  }
}

function decode(line: Uint8Array, number: number, terminated: boolean, schema: SchemaVersion): RawEvent {
  try {
    return (schema === 2 ? decodePlainEvent(line) : undefined) ?? decodeEvent(line, schema);
  } catch (error) {
    if (!(error instanceof JsonTextError)) throw error;
    let code = 'line-invalid';
    if (line.every((byte) => byte === 0 || byte === 10)) code = 'line-of-nul';
    else if (!terminated) code = 'line-torn';
    throw new Rejection(code, `parse trace event line ${number}`, [error.message]);
  }
}
