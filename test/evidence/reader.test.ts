import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeFrame } from '../../src/evidence/frame.js';
import { captureStart, readBundle, segments, temporaryBundle, tlsEvent, writeCapture } from './bundle.js';

const hello = tlsEvent(0, Buffer.from('hello'));
const world = tlsEvent(5, Buffer.from('world'));

describe('readEvidence', () => {
  it('gives the same events whatever the read size', async () => {
    const bundle = temporaryBundle();
    writeCapture(bundle, [hello, world], { segmentBytes: 200 });
    const whole = await readBundle(bundle);
    expect(whole.events).toHaveLength(5);
    for (let size = 1; size < 60; size++) expect(await readBundle(bundle, size)).toEqual(whole);
  });

  it('says where there is no evidence, and what to do', async () => {
    const bundle = temporaryBundle();
    const none = expect.objectContaining({ code: 'no-evidence', file: bundle, remedy: expect.any(String) });
    await expect(readBundle(bundle)).rejects.toThrow(none);
    mkdirSync(join(bundle, 'evidence'));
    writeFileSync(join(bundle, 'evidence', 'notes.txt'), '');
    writeFileSync(join(bundle, 'evidence', '1.pb'), '');
    await expect(readBundle(bundle)).rejects.toThrow(none);
  });

  it('tells a directory without evidence from one that is not there, and from a file', async () => {
    const bundle = temporaryBundle();
    const file = join(bundle, 'file');
    writeFileSync(file, '');
    const remedy = '(name a directory that agsight capture wrote)';
    for (const [path, fault] of [
      [bundle, 'no evidence in this directory (evidence/000001.pb is not there)'],
      [join(bundle, 'nowhere'), 'there is no such directory'],
      [join(file, 'below'), 'there is no such directory'],
      [file, 'is a file, not a directory'],
    ] as const) {
      const message = `${path}: ${fault} ${remedy}`;
      await expect(readBundle(path)).rejects.toMatchObject({ code: 'no-evidence', message });
    }
  });

  it('reads past a damaged frame and names its place', async () => {
    const bundle = temporaryBundle();
    writeCapture(bundle, [hello, world]);
    const [path = ''] = segments(bundle);
    const bytes = readFileSync(path);
    const place = bytes.indexOf('hello');
    bytes.write('HELLO', place);
    writeFileSync(path, bytes);
    const { events, anomalies } = await readBundle(bundle);
    expect(events.map(({ kind }) => kind)).toEqual(['capture-start', 'tls', 'checkpoint', 'capture-end']);
    expect(events[1]).toEqual({ ...world, data: new Uint8Array(world.data) });
    expect(anomalies).toMatchObject([{ kind: 'bad-checksum', segment: '000001.pb' }]);
    expect(anomalies[0]?.place).toBeLessThan(place);
    expect(anomalies[0]?.place).toBeGreaterThan(place - 100);
  });

  it('goes on with the next segment where one is given up', async () => {
    const bundle = temporaryBundle();
    writeCapture(bundle, [hello, world], { segmentBytes: 120 });
    const [path = ''] = segments(bundle);
    writeFileSync(path, Buffer.alloc(50));
    const { events, anomalies } = await readBundle(bundle);
    expect(anomalies).toMatchObject([{ kind: 'bad-length', segment: '000001.pb', place: 0 }]);
    expect(events.at(-1)?.kind).toBe('capture-end');
  });

  it('tells of segments that are missing or cannot be read', async () => {
    const bundle = temporaryBundle();
    writeCapture(bundle, [hello, world], { segmentBytes: 100 });
    const [first = '', second = '', third = ''] = segments(bundle);
    rmSync(second);
    rmSync(third);
    mkdirSync(third);
    renameSync(first, `${first}.bak`);
    const { anomalies } = await readBundle(bundle);
    expect(anomalies).toMatchObject([
      { kind: 'missing-segment', segment: '000001.pb', detail: '2 missing from here on' },
      { kind: 'unreadable-segment', segment: '000003.pb', detail: 'EISDIR' },
      { kind: 'no-end' },
    ]);
  });

  it('is not misled by a segment number that is far away', async () => {
    const bundle = temporaryBundle();
    writeCapture(bundle, [hello]);
    writeFileSync(join(bundle, 'evidence', '9007199254740991.pb'), '');
    const { events, anomalies } = await readBundle(bundle);
    expect(events).toHaveLength(4);
    expect(anomalies).toMatchObject([{ kind: 'missing-segment', segment: '000002.pb' }]);
  });

  it('reports an event that it does not know and goes on', async () => {
    const bundle = temporaryBundle();
    writeCapture(bundle, [hello]);
    const [path = ''] = segments(bundle);
    writeFileSync(path, Buffer.concat([encodeFrame(Buffer.from([0x08, 0x01])), readFileSync(path)]));
    const { events, anomalies } = await readBundle(bundle);
    expect(anomalies).toEqual([
      { kind: 'unknown-event', segment: '000001.pb', place: 0, detail: 'event type 0' },
    ]);
    expect(events[0]).toEqual(captureStart);
  });

  it('misses the end of a capture that has none', async () => {
    const bundle = temporaryBundle();
    writeCapture(bundle, [hello]);
    const [path = ''] = segments(bundle);
    const bytes = readFileSync(path);
    writeFileSync(path, bytes.subarray(0, bytes.length - 3));
    const { events, anomalies } = await readBundle(bundle);
    expect(events.at(-1)?.kind).toBe('checkpoint');
    expect(anomalies.map(({ kind }) => kind)).toEqual(['torn-frame', 'no-end']);
  });

  it('survives any mutation of any segment', async () => {
    const bundle = temporaryBundle();
    writeCapture(bundle, [hello, world, hello], { segmentBytes: 220 });
    const originals = segments(bundle).map((path) => ({ path, bytes: readFileSync(path) }));
    const mutation = fc.record({
      at: fc.nat(),
      remove: fc.nat({ max: 30 }),
      insert: fc.uint8Array({ maxLength: 30 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.array(mutation, { minLength: 1, maxLength: 3 }),
        async (which, mutations) => {
          const original = originals[which % originals.length] ?? originals[0];
          let bytes = original?.bytes ?? Buffer.alloc(0);
          for (const { at, remove, insert } of mutations) {
            const start = at % (bytes.length + 1);
            bytes = Buffer.concat([bytes.subarray(0, start), insert, bytes.subarray(start + remove)]);
          }
          for (const { path, bytes } of originals) writeFileSync(path, bytes);
          writeFileSync(original?.path ?? '', bytes);
          const { events, anomalies } = await readBundle(bundle, 64);
          // Two frames per segment: the other segments are not affected.
          expect(events.length).toBeGreaterThanOrEqual(2);
          if (!bytes.equals(original?.bytes ?? bytes) && bytes.length > 0) {
            expect(events.length < 6 || anomalies.length > 0).toBe(true);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});
