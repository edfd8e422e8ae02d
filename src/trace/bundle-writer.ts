// Writes a trace bundle: manifest.json, trace.jsonl and payloads/N.json, in the form that Codex gives them.
// It does not decide what to record, does not redact, and does not read (bundle-reader.ts does).

import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { dirname, isAbsolute, join, normalize } from 'node:path';
import { AgsightError, systemErrorCode } from '../errors.js';
import type { Manifest, RawEvent, RawEventPayload, RawPayloadKind, RawPayloadRef } from './raw-event.js';

/** Event lines are collected up to this many characters before they go to the file. */
const LINE_BUFFER_CHARS = 256 * 1024;

/** What an event says about when and for whom it happened. */
export interface EventContext {
  /** Milliseconds since the Unix epoch, an integer. */
  wallTimeUnixMs: number;
  threadId: string | null;
  codexTurnId: string | null;
}

/**
 * One bundle being written. The directory may exist (a capture keeps its evidence there) but must hold no
 * manifest, event log or payloads yet.
 *
 * A payload is on disk before `payload` returns, so before any event can refer to it. Events are buffered;
 * `finish` writes the rest and closes the log. The same calls give the same bytes.
 *
 * Throws AgsightError `bundle-exists` and `bundle-write-failed`.
 */
export class TraceBundleWriter {
  readonly #dir: string;
  readonly #manifest: Manifest;
  readonly #log: number;
  #lines: string[] = [];
  #lineChars = 0;
  #seq = 0;
  #payloads = 0;
  #finished = false;

  constructor(dir: string, manifest: Manifest) {
    this.#dir = dir;
    this.#manifest = {
      schema_version: manifest.schema_version,
      trace_id: manifest.trace_id,
      rollout_id: manifest.rollout_id,
      root_thread_id: manifest.root_thread_id,
      started_at_unix_ms: manifest.started_at_unix_ms,
      raw_event_log: inside(dir, manifest.raw_event_log),
      payloads_dir: inside(dir, manifest.payloads_dir),
    };
    const manifestPath = join(dir, 'manifest.json');
    attempt(dir, () => mkdirSync(dir, { recursive: true, mode: 0o700 }));
    create(manifestPath, JSON.stringify(this.#manifest, null, 2));
    const logPath = join(dir, this.#manifest.raw_event_log);
    this.#log = attempt(logPath, () => openSync(logPath, 'wx', 0o600));
    const payloadsDir = join(dir, this.#manifest.payloads_dir);
    attempt(payloadsDir, () => mkdirSync(payloadsDir, { mode: 0o700 }));
  }

  /**
   * Writes a payload file and returns the reference to put into an event. `value` is any JSON value, or the
   * JSON text itself as bytes, which is kept byte for byte.
   */
  payload(kind: RawPayloadKind, value: unknown): RawPayloadRef {
    const ordinal = ++this.#payloads;
    const path = `${this.#manifest.payloads_dir}/${ordinal}.json`;
    create(join(this.#dir, path), value instanceof Uint8Array ? value : JSON.stringify(value, null, 2));
    return { raw_payload_id: `raw_payload:${ordinal}`, kind: { type: kind }, path };
  }

  /** Appends one event and returns its sequence number, which starts at 1. */
  event(payload: RawEventPayload, context: EventContext): number {
    if (this.#finished) throw new Error('TraceBundleWriter.event after finish');
    const seq = ++this.#seq;
    const event: RawEvent = {
      schema_version: this.#manifest.schema_version,
      seq,
      wall_time_unix_ms: context.wallTimeUnixMs,
      rollout_id: this.#manifest.rollout_id,
      thread_id: context.threadId,
      codex_turn_id: context.codexTurnId,
      payload,
    };
    const line = `${JSON.stringify(event)}\n`;
    this.#lines.push(line);
    this.#lineChars += line.length;
    if (this.#lineChars >= LINE_BUFFER_CHARS) this.#flush();
    return seq;
  }

  /** Writes what is buffered and closes the log. Harmless when called twice. */
  finish(): void {
    if (this.#finished) return;
    this.#finished = true;
    try {
      this.#flush();
    } finally {
      closeSync(this.#log);
    }
  }

  #flush(): void {
    const bytes = Buffer.from(this.#lines.join(''));
    this.#lines = [];
    this.#lineChars = 0;
    attempt(join(this.#dir, this.#manifest.raw_event_log), () => {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#log, bytes, at);
    });
  }
}

function create(path: string, content: string | Uint8Array): void {
  attempt(path, () => writeFileSync(path, content, { flag: 'wx', mode: 0o600 }));
}

function inside(dir: string, name: string): string {
  if (name !== '' && !isAbsolute(name) && dirname(normalize(name)) === '.' && name !== '..') return name;
  throw new AgsightError('bundle-write-failed', `"${name}" is not a plain file name`, {
    file: dir,
    remedy: 'name the event log and the payload directory without a path',
  });
}

function attempt<T>(path: string, operation: () => T): T {
  try {
    return operation();
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'EEXIST') {
      throw new AgsightError('bundle-exists', 'already there', {
        file: path,
        remedy: 'write the bundle into a new directory',
        cause: error,
      });
    }
    throw new AgsightError('bundle-write-failed', `cannot write (${code ?? String(error)})`, {
      file: path,
      remedy: 'check free space and permissions',
      cause: error,
    });
  }
}
