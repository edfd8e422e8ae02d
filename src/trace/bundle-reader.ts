// Reads a trace bundle: its manifest, the lines of its event log and its payload files, the latter only from
// inside the bundle. Every refusal is a Rejection; what an event means is src/reduce/.

import { isUtf8 } from 'node:buffer';
import { closeSync, constants, fstatSync, openSync, readSync, realpathSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { isAbsolute, join, normalize, relative, sep } from 'node:path';
import { faultEnd } from './event-decoder.js';
import { JsonSyntaxError, jsonPosition, parseJson, parseJsonMembers } from './json-parser.js';
import type { Json } from './json-value.js';
import { type LineHandler, LineSplitter, LineTooLongError } from './line-splitter.js';
import type { Manifest, RawPayloadRef } from './raw-event.js';
import { Rejection, systemErrorText } from './rejection.js';
import { type Decode, i64, mismatch, TypeMismatch, text, u32 } from './typed-json.js';

export const MANIFEST_FILE = 'manifest.json';
/** The reference reads this file whatever the manifest says, and so do we. */
const EVENT_LOG_FILE = 'trace.jsonl';

/** An event carries at most a code cell's source or a message inline; a longer line is damage. */
const MAX_EVENT_BYTES = 64 * 1024 * 1024;
/** Below the longest string that V8 can make (2^29 - 24). */
const MAX_PAYLOAD_BYTES = 500 * 1024 * 1024;
const MAX_MANIFEST_BYTES = 1024 * 1024;
const CHUNK_BYTES = 1024 * 1024;

/**
 * Reads and checks manifest.json. Throws Rejection `manifest-unreadable`, `manifest-invalid` or
 * `schema-unsupported` (any schema but 2).
 */
export async function readManifest(dir: string): Promise<Manifest> {
  const path = join(dir, MANIFEST_FILE);
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new Rejection('manifest-unreadable', systemErrorText(error));
  }
  if (bytes.length > MAX_MANIFEST_BYTES) {
    throw new Rejection('manifest-invalid', `read ${path}`, [`longer than ${MAX_MANIFEST_BYTES} bytes`]);
  }
  const manifest = decodeManifest(bytes, path);
  if (manifest.schema_version !== 2) {
    throw new Rejection(
      'schema-unsupported',
      `trace schema ${manifest.schema_version} cannot establish accepted history; use its matching reducer or record a new bundle`,
    );
  }
  return manifest;
}

function decodeManifest(bytes: Buffer, path: string): Manifest {
  const refuse = (what: string, at: number) => {
    const place = jsonPosition(bytes, Math.min(at, bytes.length));
    return new Rejection('manifest-invalid', `read ${path}`, [`${what} at ${place}`]);
  };
  const { value, members, end } = parseManifest(bytes, path);
  if (!(value instanceof Map)) throw refuse(mismatch(value, '', 'struct TraceBundleManifest').message, end);
  const take = <T>(name: keyof Manifest, decode: Decode<T>): T => {
    const field = members.find(({ key }) => key === name);
    try {
      return decode(field?.value, name);
    } catch (error) {
      if (!(error instanceof TypeMismatch)) throw error;
      if (field === undefined) throw refuse(error.message, end);
      // From a file the reference reads one byte ahead, except past a string or a word.
      const lookahead = typeof field.value === 'object' && field.value !== null ? 1 : 0;
      throw refuse(error.ofText, faultEnd(field) + lookahead);
    }
  };
  return {
    schema_version: Number(take('schema_version', u32)),
    trace_id: take('trace_id', text),
    rollout_id: take('rollout_id', text),
    root_thread_id: take('root_thread_id', text),
    started_at_unix_ms: take('started_at_unix_ms', i64),
    raw_event_log: take('raw_event_log', text),
    payloads_dir: take('payloads_dir', text),
  };
}

function parseManifest(bytes: Buffer, path: string): ReturnType<typeof parseJsonMembers> {
  try {
    return parseJsonMembers(bytes);
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    throw new Rejection('manifest-invalid', `read ${path}`, [error.message]);
  }
}

/**
 * Hands the lines of the event log to `onLine` in order, in chunks of 1 MiB. Throws Rejection
 * `log-unreadable` or `log-line-too-long`, and whatever `onLine` throws.
 */
export async function readEventLog(dir: string, onLine: LineHandler): Promise<void> {
  const path = join(dir, EVENT_LOG_FILE);
  const splitter = new LineSplitter(onLine, MAX_EVENT_BYTES);
  const file = await open(path, 'r').catch((error: unknown) => {
    throw new Rejection('log-unreadable', `open trace event log ${path}`, [systemErrorText(error)]);
  });
  try {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    for (;;) {
      const { bytesRead } = await file.read(chunk, 0, chunk.length).catch((error: unknown) => {
        throw new Rejection('log-unreadable', `read trace event line ${splitter.lines + 1}`, [
          systemErrorText(error),
        ]);
      });
      if (bytesRead === 0) break;
      splitter.push(chunk.subarray(0, bytesRead));
    }
    splitter.end();
  } catch (error) {
    if (!(error instanceof LineTooLongError)) throw error;
    throw new Rejection('log-line-too-long', error.message);
  } finally {
    await file.close();
  }
}

/** A line that the reference skips: nothing but Unicode white space. */
export function isBlankLine(line: Uint8Array): boolean {
  return line[0] !== 123 && /^\p{White_Space}*$/u.test(Buffer.from(line).toString('utf8'));
}

/** Reads payload files, each parsed once per event, and never from outside the bundle. */
export class PayloadReader {
  readonly #root: string;
  readonly #parsed = new Map<string, Json>();
  readonly #seen = new Set<string>();

  /** Throws when the bundle directory does not exist. */
  constructor(dir: string) {
    this.#root = realpathSync.native(dir);
  }

  /** Forgets parsed payloads; called between events. */
  forget(): void {
    this.#parsed.clear();
  }

  /** Whether `json` has read this payload without fault. */
  wasRead(ref: RawPayloadRef): boolean {
    return this.#seen.has(ref.path);
  }

  /**
   * The payload's JSON. `keep` limits it to these members of the outermost object; a payload is always read
   * with the same `keep`. Throws Rejection `payload-outside`, `payload-unreadable` or `payload-invalid`.
   */
  json(ref: RawPayloadRef, keep?: ReadonlySet<string>): Json {
    const known = this.#parsed.get(ref.path);
    if (known !== undefined) return known;
    const bytes = this.#read(ref, 'open payload', 'parse payload');
    try {
      const value = parseJson(bytes, keep);
      this.#parsed.set(ref.path, value);
      this.#seen.add(ref.path);
      return value;
    } catch (error) {
      if (!(error instanceof JsonSyntaxError)) throw error;
      throw new Rejection('payload-invalid', `parse payload ${ref.raw_payload_id}`, [error.message]);
    }
  }

  /**
   * Checks a payload that no event needed to look into, as loosely as the reference does: any nesting, any
   * surrogate. Throws as `json` does.
   */
  check(ref: RawPayloadRef): void {
    const bytes = this.#read(ref, 'read payload', 'read payload');
    if (!isUtf8(bytes)) {
      const cause = 'stream did not contain valid UTF-8';
      throw new Rejection('payload-invalid', `read payload ${ref.raw_payload_id}`, [cause]);
    }
    try {
      JSON.parse(bytes.toString('utf8'));
    } catch {
      throw new Rejection('payload-invalid', `invalid payload ${ref.raw_payload_id}`, [syntaxFault(bytes)]);
    }
  }

  #read(ref: RawPayloadRef, opening: string, reading: string): Buffer {
    const unreadable = (doing: string, error: unknown) =>
      new Rejection('payload-unreadable', `${doing} ${ref.raw_payload_id}`, [systemErrorText(error)]);
    const path = this.#locate(ref, (error) => unreadable(opening, error));
    let file: number;
    try {
      // Without O_NONBLOCK a named pipe in the place of a payload would wait forever.
      file = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    } catch (error) {
      throw unreadable(opening, error);
    }
    try {
      const { size } = fstatSync(file);
      if (size > MAX_PAYLOAD_BYTES) {
        const what = `payload ${ref.raw_payload_id} is longer than ${MAX_PAYLOAD_BYTES} bytes`;
        throw new Rejection('payload-too-large', what);
      }
      return readAll(file, size);
    } catch (error) {
      throw error instanceof Rejection ? error : unreadable(reading, error);
    } finally {
      closeSync(file);
    }
  }

  /** The real path of a payload file, refused when it leads out of the bundle, also through a symbolic link. */
  #locate(ref: RawPayloadRef, unreadable: (error: unknown) => Rejection): string {
    const outside = () =>
      new Rejection('payload-outside', `payload ${ref.raw_payload_id} lies outside the bundle: ${ref.path}`);
    if (isAbsolute(ref.path) || leadsOut(normalize(ref.path))) throw outside();
    let real: string;
    try {
      real = realpathSync.native(join(this.#root, ref.path));
    } catch (error) {
      throw unreadable(error);
    }
    if (leadsOut(relative(this.#root, real))) throw outside();
    return real;
  }
}

function leadsOut(path: string): boolean {
  return isAbsolute(path) || path === '..' || path.startsWith(`..${sep}`);
}

function readAll(file: number, size: number): Buffer {
  // One byte more tells whether the file grew; a pipe has no size at all.
  let bytes = Buffer.allocUnsafe(size + 1);
  let length = 0;
  for (;;) {
    const read = readSync(file, bytes, length, bytes.length - length, null);
    if (read === 0) return bytes.subarray(0, length);
    length += read;
    if (length > MAX_PAYLOAD_BYTES) return bytes.subarray(0, length);
    if (length === bytes.length) bytes = Buffer.concat([bytes, Buffer.allocUnsafe(bytes.length)]);
  }
}

function syntaxFault(bytes: Uint8Array): string {
  try {
    parseJson(bytes);
  } catch (error) {
    if (error instanceof JsonSyntaxError) return error.message;
  }
  return 'not JSON';
}
