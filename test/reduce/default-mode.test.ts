// The default mode: what is wrong is named and skipped, and nothing that was good is lost.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BundleRejected, type ReduceResult, reduceBundle } from '../../src/reduce/reduce.js';
import {
  bundleSet,
  latin1,
  type PackedBundle,
  recordedBundle,
  scratch,
  unpackBundle,
} from '../support/bundles.js';

const { dir, remove } = scratch();
afterAll(remove);
let unpacked = 0;

const exec = recordedBundle('exec');
const log = exec.files['trace.jsonl'] ?? '';
const lines = log.split('\n').slice(0, -1);

function withLog(text: string): PackedBundle {
  return { ...exec, files: { ...exec.files, 'trace.jsonl': text } };
}

async function reduce(bundle: PackedBundle): Promise<Omit<ReduceResult, 'state'> & { state: string }> {
  const result = await reduceBundle(unpackBundle(bundle, join(dir, `${unpacked++}`)));
  return { ...result, state: readFileSync(result.statePath, 'latin1') };
}

const codes = ({ anomalies }: Pick<ReduceResult, 'anomalies'>) =>
  anomalies.map(({ line, code }) => [line, code]);
const withoutEnd = exec.state?.replace('"recording_complete": true', '"recording_complete": false');

test('a whole bundle leaves a state and no anomalies', async () => {
  const result = await reduce(exec);
  expect(result.state).toBe(exec.state);
  expect(result).toMatchObject({ complete: true, recordingComplete: true, anomalies: [] });
  expect(result.counts).toMatchObject({
    threads: 1,
    inference_calls: 2,
    tool_calls: 1,
    conversation_items: 7,
  });
  expect(statSync(result.statePath).mode & 0o777).toBe(0o600);
  expect(readdirSync(result.bundle).sort()).toEqual([
    'manifest.json',
    'payloads',
    'state.json',
    'trace.jsonl',
  ]);
});

describe('the end of the log', () => {
  const cut = lines.slice(0, -1).join('\n');

  test('a torn last line is named, the rest is whole', async () => {
    const result = await reduce(withLog(log.slice(0, -40)));
    expect(codes(result)).toEqual([[25, 'line-torn']]);
    expect(result.state).toBe(withoutEnd);
  });

  test('any torn last line: no byte of it does harm', async () => {
    const last = lines.at(-1) ?? '';
    for (let length = 1; length < last.length; length++) {
      const result = await reduce(withLog(`${cut}\n${last.slice(0, length)}`));
      expect(codes(result)).toEqual([[25, 'line-torn']]);
      expect(result.state).toBe(withoutEnd);
    }
  });

  test('NUL bytes after a crash are named', async () => {
    const result = await reduce(withLog(`${cut}\n${'\0'.repeat(512)}`));
    expect(codes(result)).toEqual([[25, 'line-of-nul']]);
    expect(result.state).toBe(withoutEnd);
  });

  test('a log without an end is what a running recording has, and no fault', async () => {
    const result = await reduce(withLog(`${cut}\n`));
    expect(result).toMatchObject({ complete: true, recordingComplete: false });
    expect(result.state).toBe(withoutEnd);
  });

  test('an end without its newline is none yet', async () => {
    const result = await reduce(withLog(log.slice(0, -1)));
    expect(result).toMatchObject({ complete: true, recordingComplete: false });
  });
});

describe('a bad line', () => {
  test('costs that line only, and explains the gap that it leaves', async () => {
    const damaged = lines.with(20, 'garbage');
    const result = await reduce(withLog(`${damaged.join('\n')}\n`));
    expect(codes(result)).toEqual([[21, 'line-invalid']]);
    expect(JSON.parse(result.state).recording_complete).toBe(true);
    expect(result.anomalies[0]).toMatchObject({
      seq: null,
      message: 'parse trace event line 21: expected value at line 1 column 1',
      reference: 'parse trace event line 21\n\nCaused by:\n    expected value at line 1 column 1',
    });
  });

  test('a missing event is named where it is missed', async () => {
    const result = await reduce(withLog(`${lines.toSpliced(20, 1).join('\n')}\n`));
    expect(codes(result)).toEqual([[21, 'event-out-of-order']]);
    expect(result.anomalies[0]).toMatchObject({ seq: 22, message: 'missing or reordered trace event 21' });
  });

  test('events in the wrong order are all reduced', async () => {
    const swapped = lines.with(1, lines[2] ?? '').with(2, lines[1] ?? '');
    const result = await reduce(withLog(`${swapped.join('\n')}\n`));
    expect(codes(result)).toEqual([
      [2, 'event-out-of-order'],
      [3, 'event-out-of-order'],
    ]);
    expect(JSON.parse(result.state)).toEqual(JSON.parse(exec.state ?? ''));
  });

  test('an event that comes twice is reduced once', async () => {
    const result = await reduce(withLog(`${lines.toSpliced(10, 0, lines[5] ?? '').join('\n')}\n`));
    expect(codes(result)).toEqual([[11, 'event-repeated']]);
    expect(result.state).toBe(exec.state);
  });

  test('what follows the end of the recording is reduced, and the end was none', async () => {
    const moved = [...lines.slice(0, -1).toSpliced(5, 0, lines.at(-1) ?? '')];
    const renumbered = moved.map((line, index) => line.replace(/"seq":\d+/, `"seq":${index + 1}`));
    const result = await reduce(withLog(`${renumbered.join('\n')}\n`));
    expect(codes(result)).toEqual([[7, 'after-recording-completed']]);
    expect(JSON.parse(result.state)).toMatchObject({ status: 'completed', recording_complete: false });
  });
});

describe('a bad payload', () => {
  test('of an event that nobody looks into costs nothing but the evidence', async () => {
    const { 'payloads/2.json': _, ...files } = exec.files;
    const result = await reduce({ ...exec, files });
    expect(codes(result)).toEqual([[null, 'payload-unreadable']]);
    expect(result.state).toBe(exec.state);
  });

  test('outside the bundle is not read', async () => {
    writeFileSync(join(dir, 'outside.json'), exec.files['payloads/5.json'] ?? '');
    const result = await reduce(withLog(log.replace('payloads/5.json', '../outside.json')));
    expect(codes(result)).toContainEqual([10, 'payload-outside']);
    const state = JSON.parse(result.state);
    expect(Object.keys(state.inference_calls).length).toBe(2);
    expect(Object.values(state.tool_calls).length).toBe(1);
  });
});

test('anomalies.json says what the result says, and goes when all is well', async () => {
  const path = unpackBundle(withLog(log.slice(0, -40)), join(dir, 'again'));
  const { anomalies } = await reduceBundle(path);
  expect(JSON.parse(readFileSync(join(path, 'anomalies.json'), 'utf8'))).toEqual(anomalies);
  writeFileSync(join(path, 'trace.jsonl'), latin1(log));
  await reduceBundle(path);
  expect(existsSync(join(path, 'anomalies.json'))).toBe(false);
});

test('every damaged bundle gives a state, unless it has no manifest or no log', async () => {
  for (const [name, bundle] of Object.entries(bundleSet('damaged'))) {
    const whole = /^manifest-(missing|empty|bad|no|schema-string|started-at-float|log)|^trace-missing/.test(
      name,
    );
    if (whole) {
      await expect(reduce(bundle), name).rejects.toThrow(BundleRejected);
    } else {
      const result = await reduce(bundle);
      expect([name, result.complete]).toEqual([name, bundle.error === null]);
      if (bundle.error !== null) expect(result.anomalies[0]?.reference).toBe(bundle.error);
    }
  }
});

describe('mutated logs', () => {
  const bytes = latin1(log);
  let path: string;
  beforeAll(() => {
    path = unpackBundle(exec, join(dir, 'mutated'));
  });

  test('never do more than cost what they damage', async () => {
    const edit = fc.record({ at: fc.nat(), remove: fc.nat(40), insert: fc.uint8Array({ maxLength: 4 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 4 }), async (edits) => {
        let mutated = bytes;
        for (const { at, remove, insert } of edits) {
          const place = at % mutated.length;
          mutated = Buffer.concat([mutated.subarray(0, place), insert, mutated.subarray(place + remove)]);
        }
        writeFileSync(join(path, 'trace.jsonl'), mutated);
        const result = await reduceBundle(path);
        JSON.parse(readFileSync(result.statePath, 'utf8'));
        for (const { line, code, message } of result.anomalies) {
          expect(line === null || (line > 0 && line <= 60)).toBe(true);
          expect(code).toMatch(/^[a-z0-9-]+$/);
          expect(message).not.toMatch(/undefined|NaN|\[object/);
        }
      }),
      { numRuns: 300 },
    );
  });
});

test('a manifest of another schema than its events is named, and the events are reduced', async () => {
  for (const name of ['manifest-schema-1', 'manifest-schema-3']) {
    const result = await reduce(bundleSet('damaged')[name] ?? exec);
    expect(codes(result)).toEqual([[null, 'schema-unsupported']]);
    expect(result.state).toBe(exec.state);
  }
});

test('an event log that is a directory is named as the reference does', async () => {
  const path = unpackBundle(exec, join(dir, 'log-is-directory'));
  rmSync(join(path, 'trace.jsonl'));
  mkdirSync(join(path, 'trace.jsonl'));
  for (const strict of [false, true]) {
    await expect(reduceBundle(path, { strict })).rejects.toMatchObject({
      code: 'log-unreadable',
      reference: 'read trace event line 1\n\nCaused by:\n    Is a directory (os error 21)',
    });
  }
});

describe('schema 1', () => {
  const old = bundleSet('schema-1-recorded').exec ?? exec;
  const oldLog = old.files['trace.jsonl'] ?? '';
  const oldLines = oldLog.split('\n').slice(0, -1);
  const withOldLog = (text: string) => ({ ...old, files: { ...old.files, 'trace.jsonl': text } });

  test('a log cut at any line is what a running recording has, and no fault', async () => {
    for (let count = 0; count <= oldLines.length; count++) {
      const text = oldLines.slice(0, count).map((line) => `${line}\n`);
      const result = await reduce(withOldLog(text.join('')));
      expect(result).toMatchObject({ complete: true, recordingComplete: count === oldLines.length });
    }
    const unterminated = await reduce(withOldLog(oldLog.slice(0, -1)));
    expect(unterminated.state).toBe(old.state);
  });

  test('torn, NUL, garbage and later events cost their line only', async () => {
    const later = '{"type":"thread_resumed","thread_id":"x"}';
    const [first = ''] = oldLines;
    const foreign = first.replace(/"payload":.*$/, `"payload":${later}}`);
    for (const [line, code] of [
      [first.slice(0, -5), 'line-torn'],
      ['\0'.repeat(64), 'line-of-nul'],
      ['garbage\n', 'line-invalid'],
      [`${foreign}\n`, 'line-invalid'],
    ] as const) {
      const result = await reduce(withOldLog(`${oldLog}${line}`));
      expect(codes(result)).toEqual([[oldLines.length + 1, code]]);
      expect(result.state).toBe(old.state);
    }
  });
});

describe('directories', () => {
  test('a place that cannot be written is named, and nothing is left behind', async () => {
    const path = unpackBundle(exec, join(dir, 'unwritable'));
    await expect(reduceBundle(path, { output: join(dir, 'none', 'state.json') })).rejects.toThrow(
      /none\/state\.json: cannot write \(ENOENT\)/,
    );
    mkdirSync(join(dir, 'taken', 'state.json'), { recursive: true });
    await expect(reduceBundle(path, { output: join(dir, 'taken', 'state.json') })).rejects.toThrow(
      /cannot write/,
    );
    expect(readdirSync(join(dir, 'taken'))).toEqual(['state.json']);
  });
});
