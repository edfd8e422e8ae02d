// The writer: the bytes Codex writes, the order of payload and event, and what it refuses.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { TraceBundleWriter } from '../../src/trace/bundle-writer.js';
import type { Manifest } from '../../src/trace/raw-event.js';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'agsight-writer-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const manifest: Manifest = {
  schema_version: 2,
  trace_id: 'trace-1',
  rollout_id: 'thread-1',
  root_thread_id: 'thread-1',
  started_at_unix_ms: 1795177095571,
  raw_event_log: 'trace.jsonl',
  payloads_dir: 'payloads',
};
const context = { wallTimeUnixMs: 1795177095572, threadId: null, codexTurnId: null };

test('writes manifest, log and payloads in the form of Codex', () => {
  const bundle = join(dir, 'new', 'bundle');
  const writer = new TraceBundleWriter(bundle, manifest);
  expect(
    writer.event({ type: 'rollout_started', trace_id: 'trace-1', root_thread_id: 'thread-1' }, context),
  ).toBe(1);
  const ref = writer.payload('protocol_event', { type: 'shutdown_complete', empty: [], none: {} });
  expect(ref).toEqual({
    raw_payload_id: 'raw_payload:1',
    kind: { type: 'protocol_event' },
    path: 'payloads/1.json',
  });
  expect(readFileSync(join(bundle, ref.path), 'utf8')).toBe(
    '{\n  "type": "shutdown_complete",\n  "empty": [],\n  "none": {}\n}',
  );
  expect(
    writer.event(
      { type: 'protocol_event_observed', event_type: 'shutdown_complete', event_payload: ref },
      { wallTimeUnixMs: 5, threadId: 'thread-1', codexTurnId: 'turn-1' },
    ),
  ).toBe(2);
  writer.finish();
  writer.finish();

  expect(readFileSync(join(bundle, 'manifest.json'), 'utf8')).toBe(
    '{\n  "schema_version": 2,\n  "trace_id": "trace-1",\n  "rollout_id": "thread-1",\n  "root_thread_id": "thread-1",\n' +
      '  "started_at_unix_ms": 1795177095571,\n  "raw_event_log": "trace.jsonl",\n  "payloads_dir": "payloads"\n}',
  );
  expect(readFileSync(join(bundle, 'trace.jsonl'), 'utf8')).toBe(
    '{"schema_version":2,"seq":1,"wall_time_unix_ms":1795177095572,"rollout_id":"thread-1","thread_id":null,"codex_turn_id":null,' +
      '"payload":{"type":"rollout_started","trace_id":"trace-1","root_thread_id":"thread-1"}}\n' +
      '{"schema_version":2,"seq":2,"wall_time_unix_ms":5,"rollout_id":"thread-1","thread_id":"thread-1","codex_turn_id":"turn-1",' +
      '"payload":{"type":"protocol_event_observed","event_type":"shutdown_complete",' +
      '"event_payload":{"raw_payload_id":"raw_payload:1","kind":{"type":"protocol_event"},"path":"payloads/1.json"}}}\n',
  );
  for (const [path, mode] of [
    ['.', 0o700],
    ['payloads', 0o700],
    ['manifest.json', 0o600],
    ['trace.jsonl', 0o600],
    ['payloads/1.json', 0o600],
  ] as const) {
    expect(statSync(join(bundle, path)).mode & 0o777).toBe(mode);
  }
});

test('keeps raw JSON text byte for byte', () => {
  const writer = new TraceBundleWriter(join(dir, 'b'), manifest);
  const raw = Buffer.from('{"n": 1e3, "big":9007199254740993 }');
  const ref = writer.payload('inference_request', raw);
  writer.finish();
  expect(readFileSync(join(dir, 'b', ref.path))).toEqual(raw);
});

test('writes more events than one buffer holds', () => {
  const writer = new TraceBundleWriter(join(dir, 'b'), manifest);
  for (let i = 0; i < 5000; i++) writer.event({ type: 'recording_completed' }, context);
  writer.finish();
  const lines = readFileSync(join(dir, 'b', 'trace.jsonl'), 'utf8').split('\n');
  expect(lines.length).toBe(5001);
  expect(lines.slice(0, -1).map((line) => JSON.parse(line).seq)).toEqual(
    Array.from({ length: 5000 }, (_, i) => i + 1),
  );
});

test('goes into an existing directory but overwrites nothing', () => {
  mkdirSync(join(dir, 'b'));
  writeFileSync(join(dir, 'b', 'capture.json'), '{}');
  new TraceBundleWriter(join(dir, 'b'), manifest).finish();
  expect(() => new TraceBundleWriter(join(dir, 'b'), manifest)).toThrow(
    /manifest\.json: already there \(write the bundle into a new directory\)/,
  );
});

test('names outside the directory are refused', () => {
  for (const name of ['../log', '/log', '..', '', 'a/b']) {
    expect(() => new TraceBundleWriter(join(dir, 'b'), { ...manifest, raw_event_log: name })).toThrow(
      /plain file name/,
    );
  }
});
