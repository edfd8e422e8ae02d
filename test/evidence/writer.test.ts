import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { EvidenceEvent } from '../../src/evidence/event.js';
import { readEvidence } from '../../src/evidence/reader.js';
import { EvidenceWriter, type RecordedEvent } from '../../src/evidence/writer.js';
import { recordedEvent } from './events.js';

let bundle: string;
beforeEach(() => {
  bundle = mkdtempSync(join(tmpdir(), 'agsight-evidence-'));
});
afterEach(() => rmSync(bundle, { recursive: true, force: true }));

async function readAll(): Promise<{ events: EvidenceEvent[]; anomalies: string[] }> {
  const events: EvidenceEvent[] = [];
  const anomalies: string[] = [];
  for await (const event of readEvidence(bundle, { onAnomaly: ({ kind }) => anomalies.push(kind) })) {
    events.push(event);
  }
  return { events, anomalies };
}

const END = {
  kind: 'capture-end',
  pid: 0,
  tid: 0,
  comm: '',
  timeNs: 5n,
  rootPid: 0,
  reason: 'duration',
} as const;

function tls(data: Uint8Array, timeNs = 0n): RecordedEvent {
  return {
    kind: 'tls',
    pid: 1,
    tid: 1,
    comm: 'codex',
    timeNs,
    rootPid: 1,
    direction: 'send',
    library: 'openssl',
    connection: 1n,
    offset: 0,
    data,
    missing: 0,
  };
}

describe('EvidenceWriter', () => {
  it('gives back what was appended, in order, whatever the segment and checkpoint sizes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(recordedEvent, { maxLength: 40 }),
        fc.integer({ min: 100, max: 4000 }),
        fc.integer({ min: 100, max: 4000 }),
        fc.integer({ min: 1, max: 10 }),
        async (events, segmentBytes, checkpointBytes, flushEvery) => {
          rmSync(join(bundle, 'evidence'), { recursive: true, force: true });
          const writer = new EvidenceWriter(bundle, { segmentBytes, checkpointBytes });
          for (const [index, event] of events.entries()) {
            writer.append(event);
            if (index % flushEvery === 0) writer.flush();
          }
          writer.end(END);
          const { bytes, frames } = writer;
          writer.close();

          const read = await readAll();
          expect(read.anomalies).toEqual([]);
          expect(read.events).toHaveLength(frames);
          expect(read.events.at(-1)).toEqual(END);
          expect(read.events.at(-2)?.kind).toBe('checkpoint');
          const recorded = read.events.filter(({ kind }) => kind !== 'checkpoint' && kind !== 'capture-end');
          expect(recorded).toEqual(events);

          const sizes = readdirSync(join(bundle, 'evidence')).map(
            (name) => statSync(join(bundle, 'evidence', name)).size,
          );
          expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(bytes);
        },
      ),
      { numRuns: 100 },
    );
  });
});
