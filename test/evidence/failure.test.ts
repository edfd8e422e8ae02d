import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { verifyEvidence } from '../../src/evidence/verify.js';
import { EvidenceWriter } from '../../src/evidence/writer.js';
import { requireRoot } from '../support/requirements.js';
import {
  captureEnd,
  captureStart,
  evidenceBytes,
  readBundle,
  segments,
  temporaryBundle,
  tlsEvent,
} from './bundle.js';

const APPEND_FOREVER = fileURLToPath(new URL('./append-forever.mjs', import.meta.url));

/** Bytes of evidence that the child has written so far. */
function progress(bundle: string): number {
  if (!existsSync(join(bundle, 'evidence'))) return 0;
  return segments(bundle).reduce((sum, path) => sum + statSync(path).size, 0);
}

async function killAfter(child: ChildProcess, bundle: string, bytes: number): Promise<void> {
  while (progress(bundle) < bytes && child.exitCode === null) await delay(1);
  child.kill('SIGKILL');
  if (child.signalCode === null && child.exitCode === null) await once(child, 'exit');
  expect(child.exitCode, 'the writing process ended by itself').toBeNull();
}

describe('evidence after its writer was killed', () => {
  it.each([
    [1, 100],
    [100_000, 5000],
    [3_000_000, 16_384],
    [4_150_000, 1024],
    [9_000_000, 777],
  ])('with %i bytes on disk, in events of %i, is a valid prefix', async (bytes, eventBytes) => {
    const bundle = temporaryBundle();
    const child = spawn(process.execPath, [APPEND_FOREVER, bundle, String(eventBytes)], { stdio: 'inherit' });
    await killAfter(child, bundle, bytes);

    const { events, anomalies } = await readBundle(bundle);
    const offsets = events.flatMap((event) => (event.kind === 'tls' ? [event.offset] : []));
    expect(offsets).toEqual(offsets.map((_, index) => index * eventBytes));
    expect(anomalies.map(({ kind }) => kind).filter((kind) => kind !== 'torn-frame')).toEqual(['no-end']);

    const report = await verifyEvidence(bundle);
    expect(report.verdict).toBe('incomplete');
    expect(report.end).toBeNull();
    expect(report.checkpoints.mismatching).toBe(0);
    expect(report.frames).toBe(events.length);
  });
});

describe('a disk that is full', () => {
  it('stops the writer and leaves only whole frames', async (context) => {
    requireRoot(context);
    const bundle = join(temporaryBundle(), 'small');
    mkdirSync(bundle);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', bundle]);
    onTestFinished(() => void execFileSync('umount', [bundle]));

    const writer = new EvidenceWriter(bundle, { checkpointBytes: 100_000 });
    writer.append(captureStart);
    let offset = 0;
    const fill = () => {
      for (; ; offset += 1000) {
        writer.append(tlsEvent(offset, Buffer.alloc(1000)));
        if (offset % 50_000 === 0) writer.flush();
      }
    };
    const full = expect.objectContaining({
      code: 'disk-full',
      exitCode: 3,
      message: expect.stringMatching(
        /000001\.pb: the disk is full; the \d+ frames before are kept \(free space/,
      ),
    });
    expect(fill).toThrow(full);
    expect(() => writer.append(captureStart)).toThrow(full);
    expect(() => writer.flush()).toThrow(full);
    expect(() => writer.end(captureEnd)).toThrow(full);
    writer.close();

    const { events, anomalies } = await readBundle(bundle);
    expect(anomalies.map(({ kind }) => kind)).toEqual(['no-end']);
    expect(events).toHaveLength(writer.frames);
    expect(evidenceBytes(bundle)).toHaveLength(writer.bytes);
    // All that fits is kept: less than one frame and one page are given up.
    expect(writer.bytes).toBeGreaterThan(1024 * 1024 - 1100 - 4096 - 8192);
    const report = await verifyEvidence(bundle);
    expect(report.findings.map(({ kind }) => kind)).toEqual(['no-end']);
    expect(report.checkpoints.matching).toBeGreaterThan(5);
  });
});
