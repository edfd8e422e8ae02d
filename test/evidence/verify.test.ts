import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { verifyCommand } from '../../src/commands/verify.js';
import type { LossEvent } from '../../src/evidence/event.js';
import { decodeEvent } from '../../src/evidence/event-decoder.js';
import { encodeEvent } from '../../src/evidence/event-encoder.js';
import { encodeFrame, FrameScanner } from '../../src/evidence/frame.js';
import { verifyBundle, verifyEvidence } from '../../src/evidence/verify.js';
import type { RecordedEvent } from '../../src/evidence/writer.js';
import { evidenceBytes, segments, temporaryBundle, tlsEvent, writeCapture } from './bundle.js';

const text = (value: string) => Buffer.from(value);
const hello = tlsEvent(0, text('hello'));

function captured(events: readonly RecordedEvent[], segmentBytes?: number): string {
  const bundle = temporaryBundle();
  writeCapture(bundle, events, segmentBytes === undefined ? {} : { segmentBytes });
  return bundle;
}

function loss(counters: Record<string, number>): LossEvent {
  return { kind: 'loss', pid: 0, tid: 0, comm: '', timeNs: 3_000n, rootPid: 0, counters, processes: [] };
}

/** Rewrites the first segment frame by frame; the edited frames get right checksums. */
function rewrite(bundle: string, edit: (payloads: Uint8Array[]) => Uint8Array[]): void {
  const [path = ''] = segments(bundle);
  const payloads = new FrameScanner()
    .push(readFileSync(path))
    .flatMap((item) => (item.kind === 'frame' ? [item.payload] : []));
  writeFileSync(path, Buffer.concat(edit(payloads).map(encodeFrame)));
}

async function kindsFound(bundle: string): Promise<string[]> {
  const { verdict, findings } = await verifyEvidence(bundle);
  return [verdict, ...findings.map(({ kind }) => kind)];
}

describe('verifyEvidence', () => {
  it('finds nothing wrong with evidence that is whole', async () => {
    const bundle = captured([hello, tlsEvent(5, text('world')), loss({ ring_full: 0 })], 125);
    const bytes = evidenceBytes(bundle);
    expect(await verifyEvidence(bundle)).toEqual({
      verdict: 'ok',
      segments: 3,
      bytes: bytes.length,
      frames: 6,
      sha256: createHash('sha256').update(bytes).digest('hex'),
      checkpoints: { matching: 1, mismatching: 0 },
      events: { 'capture-start': 1, tls: 2, loss: 1, checkpoint: 1, 'capture-end': 1 },
      tls: { connections: 1, bytes: 10, notRecorded: 0, gaps: [] },
      loss: { ring_full: 0 },
      end: 'target-exit',
      findings: [],
      findingsOmitted: 0,
    });
  });

  it('notices a changed byte by its checksum and by the checkpoint', async () => {
    const bundle = captured([hello]);
    const [path = ''] = segments(bundle);
    const bytes = readFileSync(path);
    bytes.write('HELLO', bytes.indexOf('hello'));
    writeFileSync(path, bytes);
    expect(await kindsFound(bundle)).toEqual(['altered', 'bad-checksum', 'checkpoint-mismatch']);
  });

  it('notices a changed frame whose checksum was made right again', async () => {
    const bundle = captured([hello]);
    rewrite(bundle, (payloads) =>
      payloads.map((payload) => {
        const event = decodeEvent(payload);
        return event.kind === 'tls' ? encodeEvent({ ...event, data: text('HELLO') }) : payload;
      }),
    );
    expect(await kindsFound(bundle)).toEqual(['altered', 'checkpoint-mismatch']);
  });

  it.each([
    ['at the front', (all: Uint8Array[]) => all.slice(1), ['no-start', 'checkpoint-mismatch']],
    ['in the middle', (all: Uint8Array[]) => all.toSpliced(1, 1), ['checkpoint-mismatch']],
    ['which is the checkpoint', (all: Uint8Array[]) => all.toSpliced(2, 1), ['no-checkpoint']],
    ['which is the end', (all: Uint8Array[]) => all.slice(0, -1), ['no-end']],
  ])('notices a frame removed %s', async (_, edit, kinds) => {
    const bundle = captured([hello]);
    rewrite(bundle, edit);
    expect((await kindsFound(bundle)).slice(1)).toEqual(kinds);
  });

  it('notices frames behind the end', async () => {
    const bundle = captured([hello]);
    rewrite(bundle, (all) => [...all, encodeEvent(tlsEvent(5, text('more')))]);
    expect(await kindsFound(bundle)).toEqual(['altered', 'after-end']);
  });

  it('calls a torn frame incomplete at the very end and altered anywhere else', async () => {
    const bundle = captured([hello, tlsEvent(5, text('world'))], 125);
    const [first = '', second = ''] = segments(bundle);
    truncateSync(second, 70);
    expect(await kindsFound(bundle)).toEqual(['altered', 'torn-frame', 'checkpoint-mismatch']);
    rmSync(segments(bundle)[2] ?? '');
    expect(await kindsFound(bundle)).toEqual(['incomplete', 'torn-frame', 'no-end']);
    rmSync(first);
    expect(await kindsFound(bundle)).toEqual([
      'altered',
      'missing-segment',
      'no-start',
      'torn-frame',
      'no-end',
    ]);
    expect(await verifyEvidence(bundle)).toMatchObject({ sha256: null });
  });

  it('finds the gaps of every direction of every connection', async () => {
    const other = { connection: 2n ** 63n, direction: 'receive' } as const;
    const bundle = captured([
      tlsEvent(0, text('abc')),
      tlsEvent(10, text('abc')),
      tlsEvent(4, text('late')),
      tlsEvent(1, text('x'), other),
    ]);
    const { verdict, tls } = await verifyEvidence(bundle);
    expect(verdict).toBe('incomplete');
    expect(tls).toMatchObject({ connections: 2, bytes: 11 });
    expect(tls.gaps).toEqual([
      { connection: '1', direction: 'send', offset: 3, bytes: 1 },
      { connection: '1', direction: 'send', offset: 8, bytes: 2 },
      { connection: '9223372036854775808', direction: 'receive', offset: 0, bytes: 1 },
    ]);
  });

  it('accepts pieces that arrive out of order and reports bytes that come twice', async () => {
    const pieces = [tlsEvent(6, text('ghi')), tlsEvent(3, text('def')), tlsEvent(0, text('abc'))];
    expect(await kindsFound(captured(pieces))).toEqual(['ok']);
    const twice = await verifyEvidence(captured([...pieces, tlsEvent(2, text('cd'))]));
    expect(twice.findings).toEqual([
      { verdict: 'incomplete', kind: 'stream-overlap', detail: '2 bytes of TLS streams are there twice' },
    ]);
  });

  it('counts what the capture itself says is missing', async () => {
    const bundle = captured([
      hello,
      tlsEvent(5, new Uint8Array(), { missing: 9000, missingReason: 'over-limit' }),
      loss({ ring_full: 2, unreadable: 0 }),
      loss({ ring_full: 7, unreadable: 0 }),
    ]);
    const { verdict, tls, findings } = await verifyEvidence(bundle);
    expect(verdict).toBe('incomplete');
    expect(tls).toMatchObject({ notRecorded: 9000, gaps: [] });
    expect(findings.map(({ kind, detail }) => [kind, detail])).toEqual([
      ['not-recorded', '9000 bytes of TLS streams were seen but not recorded'],
      ['lost-events', '7 events: ring_full'],
    ]);
  });
});

describe('verifyBundle', () => {
  const json = (bundle: string, text: string) => writeFileSync(join(bundle, 'capture.json'), text);
  const summaryOf = (bundle: string, fields: object = {}) =>
    JSON.stringify({
      ended_at: '2026-11-20T14:18:45.000Z',
      lost_events: 2,
      evidence: { bytes: evidenceBytes(bundle).length, frames: 5 },
      ...fields,
    });
  const lossy = () => captured([hello, loss({ ring_full: 2 })]);
  const findingsOf = async (bundle: string) =>
    (await verifyBundle(bundle)).findings.filter(({ kind }) => kind.includes('capture-json'));

  it('does without a capture.json, and takes one that agrees or was never filled in', async () => {
    const bundle = lossy();
    const report = await verifyEvidence(bundle);
    expect(await verifyBundle(bundle)).toEqual(report);
    for (const text of [
      summaryOf(bundle),
      summaryOf(bundle, { lost_events: 3 }),
      summaryOf(bundle, { ended_at: null, evidence: { bytes: 1, frames: 1 }, lost_events: 0 }),
      '{"codex_homes":[]}',
    ]) {
      json(bundle, text);
      expect(await verifyBundle(bundle)).toEqual(report);
    }
  });

  it.each(['', '{"ended_at":', '[]', 'null'])('notices one that is no JSON object: %j', async (text) => {
    const bundle = captured([hello]);
    json(bundle, text);
    expect(await verifyEvidence(bundle)).toMatchObject({ verdict: 'ok' });
    expect(await verifyBundle(bundle)).toMatchObject({
      verdict: 'altered',
      findings: [{ kind: 'unreadable-capture-json', detail: 'capture.json is no JSON object' }],
    });
  });

  it('notices one that cannot be read', async () => {
    const bundle = captured([hello]);
    mkdirSync(join(bundle, 'capture.json'));
    expect(await findingsOf(bundle)).toMatchObject([{ detail: 'capture.json cannot be read: EISDIR' }]);
  });

  it('notices one whose counters are not those of the evidence', async () => {
    const bundle = lossy();
    const { length } = evidenceBytes(bundle);
    json(bundle, summaryOf(bundle, { lost_events: 0, evidence: { bytes: length + 1, frames: 6 } }));
    expect(await findingsOf(bundle)).toEqual(
      [
        `capture.json tells of ${length + 1} bytes of evidence, the evidence of ${length}`,
        'capture.json tells of 6 events, the evidence of 5',
        'capture.json tells of 0 lost events, the evidence of 2',
      ].map((detail) => ({ verdict: 'altered', kind: 'capture-json-mismatch', detail })),
    );
  });

  it('notices by it that evidence was cut between two frames after its capture had ended', async () => {
    const bundle = captured([hello]);
    json(bundle, summaryOf(bundle, { lost_events: 0, evidence: { bytes: evidenceBytes(bundle).length } }));
    rewrite(bundle, (all) => all.slice(0, -1));
    expect(await verifyEvidence(bundle)).toMatchObject({ verdict: 'incomplete' });
    expect(await verifyBundle(bundle)).toMatchObject({ verdict: 'altered' });
  });
});

describe('agsight verify', () => {
  afterEach(() => {
    process.exitCode = undefined;
  });

  async function run(...args: string[]): Promise<{ output: string; exitCode: unknown }> {
    const log = vi.spyOn(console, 'log').mockImplementation(() => {});
    await new Command('agsight')
      .option('--json')
      .addCommand(verifyCommand())
      .parseAsync(['verify', ...args], {
        from: 'user',
      });
    const { exitCode } = process;
    process.exitCode = undefined;
    const output = log.mock.calls.flat().join('\n');
    log.mockRestore();
    return { output, exitCode };
  }

  it('exits 0, 3 or 1 and names the verdict', async () => {
    const whole = captured([hello]);
    const killed = captured([hello]);
    rewrite(killed, (all) => all.slice(0, -1));
    const edited = captured([hello]);
    rewrite(edited, (all) => all.slice(1));
    expect(await run(whole)).toMatchObject({ exitCode: 0, output: expect.stringMatching(/^ok: /) });
    expect(await run(killed)).toMatchObject({
      exitCode: 3,
      output: expect.stringMatching(/^incomplete: .*no-end/s),
    });
    expect(await run(edited)).toMatchObject({
      exitCode: 1,
      output: expect.stringMatching(/^altered: .*no-start/s),
    });
    writeFileSync(join(whole, 'capture.json'), '{');
    expect(await run(whole)).toMatchObject({
      exitCode: 1,
      output: expect.stringMatching(/^altered: .*unreadable-capture-json/s),
    });
  });

  it('prints the report as JSON', async () => {
    const bundle = captured([tlsEvent(3, text('x'))]);
    const { output, exitCode } = await run(bundle, '--json');
    expect(exitCode).toBe(3);
    expect(JSON.parse(output)).toEqual(await verifyEvidence(bundle));
  });
});
