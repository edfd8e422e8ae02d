// Reads a trace bundle: its manifest and the lines of its event log; its payloads are payload-reader.ts. Every
// refusal is a Rejection; what an event means is src/reduce/.

import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemErrorCode } from '../errors.js';
import { decodeText, JsonTextError } from './json-text.js';
import { type LineHandler, LineSplitter, LineTooLongError } from './line-splitter.js';
import type { Manifest, SchemaVersion } from './raw-event.js';
import { Rejection, systemErrorText } from './rejection.js';
import { i64, text, u32 } from './typed-json.js';

export const MANIFEST_FILE = 'manifest.json';
/** The reference reads this file whatever the manifest says, and so do we. */
const EVENT_LOG_FILE = 'trace.jsonl';

/** An event carries at most a code cell's source or a message inline; a longer line is damage. */
const MAX_EVENT_BYTES = 64 * 1024 * 1024;
const MAX_MANIFEST_BYTES = 1024 * 1024;
/** The first event names a recording and a thread. */
const FIRST_EVENT_BYTES = 4096;
const CHUNK_BYTES = 256 * 1024;

/**
 * Reads and checks manifest.json, but for its schema. Throws Rejection `manifest-unreadable` or
 * `manifest-invalid`.
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
  return decodeManifest(bytes, path);
}

const manifestShape = {
  schema_version: u32,
  trace_id: text,
  rollout_id: text,
  root_thread_id: text,
  started_at_unix_ms: i64,
  raw_event_log: text,
  payloads_dir: text,
};

function decodeManifest(bytes: Buffer, path: string): Manifest {
  try {
    const manifest = decodeText(bytes, 'struct TraceBundleManifest', manifestShape, { fromFile: true });
    return { ...manifest, schema_version: Number(manifest.schema_version) };
  } catch (error) {
    if (!(error instanceof JsonTextError)) throw error;
    throw new Rejection('manifest-invalid', `read ${path}`, [error.message]);
  }
}

/**
 * The schema that a bundle has: the one that its first event names, because Codex wrote it there; the manifest's
 * where there is no such event.
 */
export async function readSchema(dir: string, manifest: Manifest): Promise<SchemaVersion> {
  const start = Buffer.alloc(FIRST_EVENT_BYTES);
  let bytesRead = 0;
  try {
    const file = await open(join(dir, EVENT_LOG_FILE), 'r');
    ({ bytesRead } = await file.read(start, 0, start.length).finally(() => file.close()));
  } catch (error) {
    // Whoever reads the log says so.
    if (systemErrorCode(error) === undefined) throw error;
  }
  const [first = ''] = start.toString('latin1', 0, bytesRead).trimStart().split('\n', 1);
  const [, written = String(manifest.schema_version)] = /"schema_version"\s*:\s*([12])\b/.exec(first) ?? [];
  return written === '1' ? 1 : 2;
}

/** How much of an event log was read. */
export interface LogProgress {
  events: number;
  bytes: number;
  ofBytes: number;
}

/**
 * Hands the lines of the event log to `onLine` in order, in chunks of 256 KiB, and says after each how far it is.
 * Throws Rejection `log-unreadable` or `log-line-too-long`, and whatever `onLine` and `onChunk` throw.
 */
export async function readEventLog(
  dir: string,
  onLine: LineHandler,
  onChunk: (progress: LogProgress) => void = () => {},
): Promise<void> {
  const path = join(dir, EVENT_LOG_FILE);
  const splitter = new LineSplitter(onLine, MAX_EVENT_BYTES);
  const file = await open(path, 'r').catch((error: unknown) => {
    throw new Rejection('log-unreadable', `open trace event log ${path}`, [systemErrorText(error)]);
  });
  try {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    const { size: ofBytes } = await file.stat();
    for (let bytes = 0; ; ) {
      const { bytesRead } = await file.read(chunk, 0, chunk.length).catch((error: unknown) => {
        throw new Rejection('log-unreadable', `read trace event line ${splitter.lines + 1}`, [
          systemErrorText(error),
        ]);
      });
      if (bytesRead === 0) break;
      splitter.push(chunk.subarray(0, bytesRead));
      bytes += bytesRead;
      onChunk({ events: splitter.lines, bytes, ofBytes });
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
