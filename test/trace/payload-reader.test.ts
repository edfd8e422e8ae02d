// Payloads: they stay inside the bundle, whatever their path says.

import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PayloadReader } from '../../src/trace/payload-reader.js';
import type { RawPayloadRef } from '../../src/trace/raw-event.js';
import { Rejection } from '../../src/trace/rejection.js';
import { scratch } from '../support/bundles.js';

let root: string;
let dir: string;
let remove: () => void;
beforeEach(() => {
  ({ dir: root, remove } = scratch());
  dir = join(root, 'bundle');
  mkdirSync(join(dir, 'payloads'), { recursive: true });
  writeFileSync(join(root, 'outside.json'), '{"secret":1}');
  writeFileSync(join(dir, 'payloads', '1.json'), '{"inside":1}');
});
afterEach(() => remove());

function ref(path: string): RawPayloadRef {
  return { raw_payload_id: 'raw_payload:1', kind: { type: 'protocol_event' }, path };
}

function codeOf(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    if (error instanceof Rejection) return error.code;
    throw error;
  }
  return 'none';
}

describe('a payload', () => {
  const json = (path: string) => codeOf(() => new PayloadReader(dir).json(ref(path)));
  const check = (path: string) => codeOf(() => new PayloadReader(dir).check(ref(path)));

  test('inside the bundle is read, also through a link that stays inside', () => {
    symlinkSync('1.json', join(dir, 'payloads', 'link.json'));
    symlinkSync(dir, join(root, 'linked-bundle'));
    expect(json('payloads/1.json')).toBe('none');
    expect(json('payloads/../payloads/1.json')).toBe('none');
    expect(json('payloads/link.json')).toBe('none');
    expect(codeOf(() => new PayloadReader(join(root, 'linked-bundle')).json(ref('payloads/1.json')))).toBe(
      'none',
    );
  });

  test('outside is refused: by .., by an absolute path, through a link to a file or a directory', () => {
    symlinkSync(join(root, 'outside.json'), join(dir, 'payloads', 'link.json'));
    symlinkSync(root, join(dir, 'up'));
    mkdirSync(join(root, 'bundle-sibling'));
    writeFileSync(join(root, 'bundle-sibling', '1.json'), '{}');
    for (const path of [
      '../outside.json',
      'payloads/../../outside.json',
      join(root, 'outside.json'),
      join(dir, 'payloads', '1.json'),
      'payloads/link.json',
      'up/outside.json',
      '../bundle-sibling/1.json',
      '..',
    ]) {
      expect([path, json(path)]).toEqual([path, 'payload-outside']);
      expect([path, check(path)]).toEqual([path, 'payload-outside']);
    }
  });

  test('outside is refused with a message that says so', () => {
    expect(() => new PayloadReader(dir).json(ref('../outside.json'))).toThrow(
      'payload raw_payload:1 lies outside the bundle: ../outside.json',
    );
  });

  test('that is no file is refused and never waited for', () => {
    execFileSync('mkfifo', [join(dir, 'payloads', 'pipe.json')]);
    expect(json('payloads')).toBe('payload-unreadable');
    expect(json('payloads/none.json')).toBe('payload-unreadable');
    expect(json('payloads/pipe.json')).toBe('payload-invalid');
  });

  test('of any length around the buffer of short ones is read whole', () => {
    const reader = new PayloadReader(dir);
    for (const length of [3, 2 ** 20 - 1, 2 ** 20, 2 ** 20 + 1, 2 ** 21, 3_000_000, 4]) {
      writeFileSync(join(dir, 'payloads', '1.json'), `"${'x'.repeat(length - 2)}"`);
      reader.forget();
      expect(reader.json(ref('payloads/1.json'))).toBe('x'.repeat(length - 2));
    }
  });

  test('is parsed once until the next event', () => {
    const reader = new PayloadReader(dir);
    const first = reader.json(ref('payloads/1.json'));
    writeFileSync(join(dir, 'payloads', '1.json'), '{"changed":1}');
    expect(reader.json(ref('payloads/1.json'))).toBe(first);
    reader.forget();
    expect(reader.json(ref('payloads/1.json'))).not.toBe(first);
    expect(reader.wasRead(ref('payloads/1.json'))).toBe(true);
  });

  test('that nobody looks into may nest deeper and hold lone surrogates, but is JSON in UTF-8', () => {
    const write = (content: string) =>
      writeFileSync(join(dir, 'payloads', '1.json'), Buffer.from(content, 'latin1'));
    for (const [content, code] of [
      ['['.repeat(500) + ']'.repeat(500), 'none'],
      ['{"a":"\\ud800"}', 'none'],
      ['{"a":"\xff"}', 'payload-invalid'],
      ['{"a":1} x', 'payload-invalid'],
      ['', 'payload-invalid'],
    ] as const) {
      write(content);
      expect([content.slice(0, 20), check('payloads/1.json')]).toEqual([content.slice(0, 20), code]);
    }
  });
});
