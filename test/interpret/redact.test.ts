import { expect, test } from 'vitest';
import { Redactor } from '../../src/interpret/redact.js';

const salt = new Uint8Array(32).fill(1);
const redact = (text: string, with_ = salt) => new Redactor(with_).text(text);
const mark = /\[redacted:[0-9a-f]{12}\]/g;

// Assembled here, so that no scanner takes this file for a leak.
const secrets = {
  'API key': `sk-${'a1B2'.repeat(6)}`,
  'project API key': `sk-proj-${'x_Y-9'.repeat(8)}`,
  'JSON web token': ['eyJhbGciOiJIUzI1NiJ9', 'eyJzdWIiOiIxMjM0NTY3ODkwIn0', 'dBjftJeZ4CVP_mB92K27uhbU'].join(
    '.',
  ),
  'AWS key id': `AKIA${'IOSFODNN7EXAMPLE'}`,
};

test.each(Object.entries(secrets))('%s: wherever it stands, and nothing around it', (_, secret) => {
  for (const [before, after] of [
    ['', ''],
    ['key=', ' next'],
    ['"', '"'],
    ['line\\n', '\\nline'],
    ['{\\"k\\":\\"', '\\"}'],
    ['\\\\n', ','],
  ]) {
    const safe = redact(`${before}${secret}${after}`);
    expect(safe).not.toContain(secret);
    expect(safe.replace(mark, '')).toBe(`${before}${after}`);
  }
});

test('a bearer token loses the token and keeps the scheme', () => {
  expect(redact(`-H 'Authorization: Bearer ${'t0ken.'.repeat(5)}='`).replace(mark, '…')).toBe(
    "-H 'Authorization: Bearer …'",
  );
});

test('equal secrets stay recognisable within a capture, not across captures', () => {
  const text = `${secrets['API key']} ${secrets['API key']}`;
  const [first, second] = redact(text).match(mark) ?? [];
  expect(first).toBe(second);
  expect(redact(text, new Uint8Array(32))).not.toBe(redact(text));
});

test('each replacement is counted', () => {
  const redactor = new Redactor(salt);
  redactor.text(Object.values(secrets).join(' '));
  expect(redactor.count).toBe(Object.keys(secrets).length);
});

test.each([
  'task-force-of-the-year-award-2026',
  'the bearer of bad news',
  'risk-assessment-and-mitigation',
  'AKIAAAAAAAAAAAAAAAAAAAAAAAAA',
  'eyJ.eyJ.x',
  'gAAAA-encrypted-content',
])('%s is no secret', (text) => {
  expect(redact(text)).toBe(text);
});

test('hostile repetition is read in one go', () => {
  const text = `${'eyJaaaaaaaa.'.repeat(100_000)} ${'sk-'.repeat(300_000)} ${'Bearer '.repeat(100_000)}`;
  expect(new Redactor(salt).text(text).length).toBeLessThan(text.length);
});
