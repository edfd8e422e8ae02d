// The bundle reader: the manifest and the event log.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { isBlankLine, readEventLog, readManifest, readSchema } from '../../src/trace/bundle-reader.js';
import { scratch } from '../support/bundles.js';

let dir: string;
let remove: () => void;
beforeEach(() => {
  ({ dir, remove } = scratch());
});
afterEach(() => remove());

describe('the manifest', () => {
  const manifest = {
    schema_version: 2,
    trace_id: 't',
    rollout_id: 'r',
    root_thread_id: 'r',
    started_at_unix_ms: 1,
    raw_event_log: 'trace.jsonl',
    payloads_dir: 'payloads',
  };

  test('is read, unknown members ignored', async () => {
    writeFileSync(join(dir, 'manifest.json'), JSON.stringify({ ...manifest, extra: [1] }));
    expect(await readManifest(dir)).toEqual(manifest);
  });

  test('does not decide the schema: the first event does, if there is one', async () => {
    const event = (version: number) => `\n{"schema_version":${version},"seq":1}\n{"schema_version":3}`;
    expect(await readSchema(dir, { ...manifest, schema_version: 1 })).toBe(1);
    expect(await readSchema(dir, { ...manifest, schema_version: 3 })).toBe(2);
    for (const [named, log, schema] of [
      [1, event(2), 2],
      [2, event(1), 1],
      [1, event(12), 1],
      [1, 'torn', 1],
      [2, '', 2],
    ] as const) {
      writeFileSync(join(dir, 'trace.jsonl'), log);
      expect(await readSchema(dir, { ...manifest, schema_version: named })).toBe(schema);
    }
  });

  test('that is missing or no manifest is refused', async () => {
    await expect(readManifest(dir)).rejects.toMatchObject({ code: 'manifest-unreadable' });
    for (const text of ['', '[]', '{}', '{"schema_version":"2"}', ' '.repeat(2 ** 20 + 1)]) {
      writeFileSync(join(dir, 'manifest.json'), text);
      await expect(readManifest(dir)).rejects.toMatchObject({ code: 'manifest-invalid' });
    }
  });
});

test('an event log that is no file is refused', async () => {
  await expect(readEventLog(dir, () => {})).rejects.toMatchObject({
    code: 'log-unreadable',
    reference: expect.stringContaining('No such file or directory (os error 2)'),
  });
  mkdirSync(join(dir, 'trace.jsonl'));
  await expect(readEventLog(dir, () => {})).rejects.toMatchObject({
    reference: 'read trace event line 1\n\nCaused by:\n    Is a directory (os error 21)',
  });
});

test('blank is what Unicode calls white space', () => {
  const blank = (text: string) => isBlankLine(Buffer.from(text));
  for (const text of ['\n', '  \t\r\n', '\u00a0\u2003\u0085\u000b\u000c\n']) expect(blank(text)).toBe(true);
  for (const text of ['{', ' {\n', '\ufeff\n', '\0\n']) expect(blank(text)).toBe(false);
});
