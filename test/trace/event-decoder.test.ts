// The event decoder: nothing that Codex writes is lost, and what is no event is refused in the words of the
// reference.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { decodeEvent } from '../../src/trace/event-decoder.js';
import { JsonTextError } from '../../src/trace/json-text.js';
import { compactJson, JsonNumber } from '../../src/trace/json-value.js';
import { latin1, recordedBundle, recordedBundles } from '../support/bundles.js';

/** A decoded value as JSON.parse would give it. */
function plain(value: unknown): unknown {
  if (value instanceof Map || value instanceof JsonNumber) {
    return JSON.parse(compactJson(value));
  }
  if (Array.isArray(value)) {
    return value.map(plain);
  }
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, plain(field)]));
  }
  return value;
}

function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map(withoutNulls);
  }
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value)
        .filter(([, field]) => field !== null && field !== undefined)
        .map(([key, field]) => [key, withoutNulls(field)]),
    );
  }
  return value;
}

const line = (fields: object, payload: unknown = { type: 'rollout_ended', status: 'completed' }) =>
  Buffer.from(
    JSON.stringify({
      schema_version: 2,
      seq: 1,
      wall_time_unix_ms: 5,
      rollout_id: 'r',
      thread_id: null,
      codex_turn_id: null,
      payload,
      ...fields,
    }),
  );

test.each(recordedBundles)('every line of the recording %s is decoded whole', (name) => {
  const log = latin1(recordedBundle(name).files['trace.jsonl'] as string).toString('utf8');
  for (const text of log.split('\n').filter((each) => each.trim() !== '' && !each.includes('\0'))) {
    expect(withoutNulls(plain(decodeEvent(Buffer.from(text), 2)))).toEqual(withoutNulls(JSON.parse(text)));
  }
});

describe('numbers', () => {
  test('keep their value beyond 2^53', () => {
    const event = decodeEvent(
      Buffer.from(line({}).toString().replace('"seq":1', '"seq":9007199254740993')),
      2,
    );
    expect(event.seq).toBe(9007199254740993n);
  });

  test('of the wrong sort are refused', () => {
    expect(() => decodeEvent(line({ seq: -1 }), 2)).toThrow('invalid value: integer `-1`, expected u64');
    expect(() => decodeEvent(line({ seq: '1' }), 2)).toThrow('invalid type: string "1", expected u64');
  });
});

describe('what is no event', () => {
  test.each([
    ['a missing field', { payload: undefined }, /missing field `payload`/],
    ['an unknown event', { payload: { type: 'rollout_paused' } }, /unknown variant `rollout_paused`/],
    [
      'an unknown status',
      { payload: { type: 'rollout_ended', status: 'idle' } },
      /unknown variant `idle`, expected one of `running`, `completed`, `failed`, `aborted`/,
    ],
  ])('%s', (_, fields, message) => {
    expect(() => decodeEvent(line(fields), 2)).toThrow(message);
  });

  test('cut short', () => {
    expect(() => decodeEvent(line({}).subarray(0, 20), 2)).toThrow(/EOF while parsing/);
  });

  test('followed by more', () => {
    expect(() => decodeEvent(Buffer.concat([line({}), Buffer.from(' x')]), 2)).toThrow(/trailing characters/);
  });
});

test('unknown fields are passed over', () => {
  expect(decodeEvent(line({ later: [1, { deep: 'value' }] }), 2).payload).toEqual({
    type: 'rollout_ended',
    status: 'completed',
  });
});

test('lines with every wrong type in every place are refused in the words of the reference', () => {
  const file = join(import.meta.dirname, '..', 'fixtures', 'trace', 'event-lines.json.gz');
  const lines: [string, string | null][] = JSON.parse(gunzipSync(readFileSync(file)).toString('utf8'));
  expect(lines.length).toBeGreaterThan(1000);
  for (const [text, refusal] of lines) {
    let said: string | null = null;
    try {
      decodeEvent(Buffer.from(`${text}\n`), 2);
    } catch (error) {
      said = error instanceof JsonTextError ? error.message : String(error);
    }
    expect([text, said]).toEqual([text, refusal]);
  }
});
