// Small evidence for tests: a temporary bundle, events with sensible fields, and a capture that ends well.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type {
  CaptureEndEvent,
  CaptureStartEvent,
  EvidenceEvent,
  TlsEvent,
} from '../../src/evidence/event.js';
import { type EvidenceAnomaly, readEvidence } from '../../src/evidence/reader.js';
import { EvidenceWriter, type EvidenceWriterOptions, type RecordedEvent } from '../../src/evidence/writer.js';

/** An empty directory that is gone after the test. */
export function temporaryBundle(): string {
  const directory = mkdtempSync(join(tmpdir(), 'agsight-evidence-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

const NO_PROCESS = { pid: 0, tid: 0, comm: '', rootPid: 0 };

export const captureStart: CaptureStartEvent = {
  kind: 'capture-start',
  ...NO_PROCESS,
  timeNs: 1_000n,
  formatVersion: 1,
  agsightVersion: '0.1.0',
  hostname: 'host',
  kernel: '6.1.0',
  arch: 'x64',
  bootId: 'boot',
  monotonicNs: 5n,
  realtimeNs: 1_000n,
  salt: new Uint8Array(32),
  targetPids: [1],
  recorded: ['processes', 'tls'],
  command: ['codex', 'exec'],
};

export const captureEnd: CaptureEndEvent = {
  kind: 'capture-end',
  ...NO_PROCESS,
  timeNs: 9_000n,
  reason: 'target-exit',
};

/** Plaintext of connection 1 unless told otherwise. */
export function tlsEvent(offset: number, data: Uint8Array, fields: Partial<TlsEvent> = {}): TlsEvent {
  return {
    kind: 'tls',
    pid: 1,
    tid: 1,
    comm: 'codex',
    timeNs: 2_000n,
    rootPid: 1,
    direction: 'send',
    library: 'openssl',
    connection: 1n,
    offset,
    data,
    missing: 0,
    ...fields,
  };
}

/** Writes a capture with start and end around `events`. */
export function writeCapture(
  bundle: string,
  events: readonly RecordedEvent[],
  options?: EvidenceWriterOptions,
): void {
  const writer = new EvidenceWriter(bundle, options);
  for (const event of [captureStart, ...events]) writer.append(event);
  writer.end(captureEnd);
  writer.close();
}

export async function readBundle(
  bundle: string,
  chunkBytes?: number,
): Promise<{ events: EvidenceEvent[]; anomalies: EvidenceAnomaly[] }> {
  const anomalies: EvidenceAnomaly[] = [];
  const events: EvidenceEvent[] = [];
  const options = { onAnomaly: (anomaly: EvidenceAnomaly) => anomalies.push(anomaly) };
  for await (const event of readEvidence(
    bundle,
    chunkBytes === undefined ? options : { ...options, chunkBytes },
  )) {
    events.push(event);
  }
  return { events, anomalies };
}

/** The paths of the segments, in order. */
export function segments(bundle: string): string[] {
  const directory = join(bundle, 'evidence');
  return readdirSync(directory)
    .sort()
    .map((name) => join(directory, name));
}

export function evidenceBytes(bundle: string): Buffer {
  return Buffer.concat(segments(bundle).map((path) => readFileSync(path)));
}
