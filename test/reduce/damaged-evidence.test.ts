// `agsight reduce` of a capture whose evidence is damaged or has no end: the trace made of it shows nothing of that,
// so it is told each time.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { EvidenceWriter } from '../../src/evidence/writer.js';
import { evidenceOf, wireRecording } from '../support/wire.js';

const agsight = fileURLToPath(new URL('../../bin/agsight.js', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'agsight-damaged-'));
afterAll(() => rmSync(scratch, { recursive: true }));

function captured(recording = 'exec'): { bundle: string; segment: string; state: string } {
  const bundle = mkdtempSync(join(scratch, 'capture-'));
  const writer = new EvidenceWriter(bundle);
  for (const event of evidenceOf(wireRecording(recording))) {
    if (event.kind === 'capture-end') writer.end(event);
    else if (event.kind !== 'checkpoint') writer.append(event);
  }
  writer.close();
  return { bundle, segment: join(bundle, 'evidence', '000001.pb'), state: join(bundle, 'state.json') };
}

function reduce(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [agsight, 'reduce', ...args], {
    encoding: 'utf8',
  });
  return { status, stdout, lines: stderr.split('\n').filter((line) => line !== '') };
}

function flipBit(segment: string): void {
  const bytes = readFileSync(segment);
  const middle = Math.floor(bytes.length * 0.8);
  bytes[middle] = (bytes[middle] ?? 0) ^ 1;
  writeFileSync(segment, bytes);
}

const damages: [string, (segment: string) => void][] = [
  ['a bit flipped', flipBit],
  ['cut off', (segment) => truncateSync(segment, Math.floor(readFileSync(segment).length * 0.8))],
  ['the end missing', (segment) => truncateSync(segment, readFileSync(segment).length - 3)],
];

test.each(damages)('%s: exit 3 and one note, the first time and later', (_, damage) => {
  const { bundle, segment, state } = captured();
  damage(segment);
  for (const _time of ['first', 'later']) {
    const { status, lines } = reduce(bundle);
    const listed: unknown[] = JSON.parse(readFileSync(join(bundle, 'anomalies.json'), 'utf8'));
    expect(listed.length).toBeGreaterThan(0);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(`: ${listed.length} fault`);
    expect(lines[0]).toContain(join(bundle, 'anomalies.json'));
    expect(status).toBe(3);
    expect(existsSync(state)).toBe(true);
  }
  const { stdout } = reduce('--json', bundle);
  expect(JSON.parse(stdout)).toMatchObject({ complete: false, evidence_anomalies: expect.any(Number) });
});

test.each(damages)('%s, --strict: exit 1 and no state, the first time and later', (_, damage) => {
  const { bundle, segment, state } = captured();
  damage(segment);
  for (const _time of ['first', 'later']) {
    const { status, stdout, lines } = reduce('--strict', bundle);
    expect([status, stdout, lines.length]).toEqual([1, '', 1]);
    expect(lines[0]).toContain('anomalies.json');
    expect(existsSync(state)).toBe(false);
    writeFileSync(state, 'of an earlier run');
  }
  expect(existsSync(join(bundle, 'anomalies.json'))).toBe(true);
});

test.each(damages)('%s after it was interpreted: told each time, and refused by --strict', (_, damage) => {
  const { bundle, segment, state } = captured();
  expect(reduce(bundle)).toMatchObject({ status: 0, lines: [] });
  damage(segment);
  for (const _time of ['first', 'later']) {
    const { status, lines } = reduce(bundle);
    expect([status, lines.length]).toEqual([3, 1]);
    expect(lines[0]).toContain(`(see agsight verify ${bundle})`);
  }
  const { status, lines } = reduce('--strict', bundle);
  expect([status, lines.length]).toEqual([1, 1]);
  expect(lines[0]).toContain(`see agsight verify ${bundle}`);
  expect(existsSync(state)).toBe(false);
});

test('segments that are gone are told; of a bundle that was given on without its evidence only what needs it is', () => {
  const { bundle, segment } = captured();
  expect(reduce(bundle).status).toBe(0);
  rmSync(segment);
  expect(reduce(bundle)).toMatchObject({ status: 3, lines: [expect.stringContaining('no-evidence')] });
  rmSync(join(bundle, 'evidence'), { recursive: true });
  expect(reduce(bundle)).toMatchObject({ status: 0, lines: [] });

  const show = () => spawnSync(process.execPath, [agsight, 'show', bundle], { encoding: 'utf8' });
  expect(show()).toMatchObject({ status: 0, stderr: '' });
  writeFileSync(join(bundle, 'capture.json'), '{}');
  expect(show()).toMatchObject({ status: 3, stderr: expect.stringContaining('gone') });
});

test('of several root threads, each is incomplete and one note tells it', () => {
  const { bundle, segment } = captured('fork');
  truncateSync(segment, readFileSync(segment).length - 3);
  expect(reduce(bundle)).toMatchObject({
    status: 3,
    lines: [expect.stringContaining('2 faults, first torn-frame')],
  });
  const { status, stdout, lines } = reduce('--json', bundle);
  expect([status, lines.length]).toEqual([3, 1]);
  const complete = JSON.parse(stdout).map((report: { complete?: boolean }) => report.complete);
  expect(complete.length).toBeGreaterThan(1);
  expect(new Set(complete)).toEqual(new Set([false]));
});

test('whole evidence: nothing to tell', () => {
  const { bundle } = captured();
  expect(reduce(bundle)).toMatchObject({ status: 0, lines: [] });
  expect(reduce('--strict', bundle)).toMatchObject({ status: 0, lines: [] });
});
