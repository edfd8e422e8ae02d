import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EvidenceWriter } from '../../src/evidence/writer.js';
import {
  captureEnd,
  captureStart,
  evidenceBytes,
  readBundle,
  segments,
  temporaryBundle,
  tlsEvent,
} from './bundle.js';
import { recordedEvent } from './events.js';

function modeOf(path: string): string {
  return (statSync(path).mode & 0o777).toString(8);
}

describe('EvidenceWriter', () => {
  it('gives back what was appended, in order, whatever the segment and checkpoint sizes', async () => {
    const parent = temporaryBundle();
    let run = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(recordedEvent, { maxLength: 40 }),
        fc.integer({ min: 100, max: 4000 }),
        fc.integer({ min: 100, max: 4000 }),
        fc.integer({ min: 1, max: 10 }),
        async (events, segmentBytes, checkpointBytes, flushEvery) => {
          const bundle = join(parent, `${run++}`);
          const writer = new EvidenceWriter(bundle, { segmentBytes, checkpointBytes });
          for (const [index, event] of events.entries()) {
            writer.append(event);
            if (index % flushEvery === 0) writer.flush();
          }
          writer.end(captureEnd);
          const { bytes, frames } = writer;
          writer.close();

          const read = await readBundle(bundle);
          expect(read.anomalies).toEqual([]);
          expect(read.events).toHaveLength(frames);
          expect(read.events.slice(-2).map(({ kind }) => kind)).toEqual(['checkpoint', 'capture-end']);
          const recorded = read.events.filter(({ kind }) => kind !== 'checkpoint' && kind !== 'capture-end');
          expect(recorded).toEqual(events);
          expect(evidenceBytes(bundle)).toHaveLength(bytes);
          for (const path of segments(bundle).slice(0, -1)) {
            expect(statSync(path).size).toBeGreaterThan(0);
          }
        },
      ),
      { numRuns: 100 },
    );
  });

  it('starts a new segment at the frame that would cross the limit', () => {
    const bundle = temporaryBundle();
    const writer = new EvidenceWriter(bundle, { segmentBytes: 2500 });
    for (let count = 0; count < 5; count++) writer.append(tlsEvent(count * 1000, Buffer.alloc(1000)));
    writer.append(tlsEvent(5000, Buffer.alloc(9000)));
    writer.append(tlsEvent(14000, Buffer.alloc(10)));
    writer.close();
    const sizes = segments(bundle).map((path) => statSync(path).size);
    expect(sizes.map((size) => Math.floor(size / 1000))).toEqual([2, 2, 1, 9, 0]);
  });

  it('keeps evidence from other users', () => {
    const bundle = join(temporaryBundle(), 'new');
    new EvidenceWriter(bundle).close();
    expect(modeOf(bundle)).toBe('700');
    expect(modeOf(join(bundle, 'evidence'))).toBe('700');
    expect(segments(bundle).map(modeOf)).toEqual(['600']);
  });

  it('refuses a directory that holds evidence', () => {
    const bundle = temporaryBundle();
    new EvidenceWriter(bundle).close();
    expect(() => new EvidenceWriter(bundle)).toThrow(
      expect.objectContaining({ code: 'evidence-exists', message: expect.stringContaining('000001.pb') }),
    );
  });

  it('has everything on disk after flush', async () => {
    const bundle = temporaryBundle();
    const writer = new EvidenceWriter(bundle);
    writer.append(captureStart);
    expect(evidenceBytes(bundle)).toHaveLength(0);
    writer.flush();
    expect(evidenceBytes(bundle)).toHaveLength(writer.bytes);
    writer.close();
  });

  it('writes a checkpoint of all bytes before it once a second of event time has passed', async () => {
    const bundle = temporaryBundle();
    const writer = new EvidenceWriter(bundle, { segmentBytes: 300 });
    const start = 1_800_000_000_000_000_000n;
    for (let tenth = 0n; tenth <= 10n; tenth++) {
      writer.append(tlsEvent(0, Buffer.from(`at ${tenth}`), { timeNs: start + tenth * 100_000_000n }));
      writer.flush();
    }
    writer.flush();
    writer.close();

    const { events } = await readBundle(bundle);
    expect(events.map(({ kind }) => kind)).toEqual([...Array(11).fill('tls'), 'checkpoint']);
    const [checkpoint] = events.slice(-1);
    const bytes = evidenceBytes(bundle);
    const before = checkpoint?.kind === 'checkpoint' ? checkpoint.bytes : -1;
    expect(checkpoint).toMatchObject({
      frames: 11,
      timeNs: start + 1_000_000_000n,
      sha256: new Uint8Array(createHash('sha256').update(bytes.subarray(0, before)).digest()),
    });
  });

  it('writes a checkpoint each time the given amount of evidence has come', async () => {
    const bundle = temporaryBundle();
    const writer = new EvidenceWriter(bundle, { checkpointBytes: 5000 });
    for (let count = 0; count < 12; count++) writer.append(tlsEvent(0, Buffer.alloc(1000)));
    writer.close();
    const { events } = await readBundle(bundle);
    expect(events.flatMap(({ kind }, index) => (kind === 'checkpoint' ? [index] : []))).toEqual([5, 11]);
  });

  it('takes nothing after the end', async () => {
    const bundle = temporaryBundle();
    const writer = new EvidenceWriter(bundle);
    writer.end(captureEnd);
    expect(() => writer.append(captureStart)).toThrow(expect.objectContaining({ code: 'evidence-closed' }));
    writer.close();
    writer.close();
    expect((await readBundle(bundle)).events).toHaveLength(2);
  });
});
