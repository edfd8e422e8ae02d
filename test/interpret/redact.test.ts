import { expect, test } from 'vitest';
import { Redactor } from '../../src/interpret/redact.js';
import { SECRETS } from './secrets.js';

const salt = new Uint8Array(32).fill(1);
const redact = (text: string, with_ = salt) => new Redactor(with_).text(text);
const mark = /\[redacted:[0-9a-f]{12}\]/g;

const asJson = (text: string): string => JSON.stringify({ text });

test.each(Object.entries(SECRETS))(
  '%s: in text, in JSON, and in JSON within JSON',
  (_, { written, hidden }) => {
    const places: [string, string][] = [
      ['', ''],
      ['line\n', '\nline'],
      ['"', '"'],
      ["curl -H '", "' -v"],
    ];
    for (const [before, after] of places) {
      const text = `${before}${written}${after}`;
      for (const form of [text, asJson(text), asJson(asJson(text))]) {
        const safe = redact(form);
        const inner = (secret: string) => (form === text ? secret : JSON.stringify(secret).slice(1, -1));
        for (const secret of hidden) {
          expect(form === text ? form : JSON.stringify(form)).toContain(secret.slice(0, 4));
          expect(safe).not.toContain(secret);
          expect(safe).not.toContain(inner(secret));
        }
        expect(safe.match(mark)).not.toBeNull();
        if (form !== text) expect(Object.keys(JSON.parse(safe))).toEqual(['text']);
      }
      expect(redact(text).startsWith(before)).toBe(true);
      expect(redact(text).endsWith(after)).toBe(true);
    }
  },
);

test('in a list of arguments or of header fields', () => {
  const secret = 'h0pefully-not-seen';
  for (const list of [
    ['curl', '--api-key', secret],
    ['curl', `--token=${secret}`],
    ['curl', '-H', `Authorization: ${secret}`],
    ['curl', '-H', `X-Vault-Token: ${secret}`],
    ['curl', '-H', `PRIVATE-TOKEN: ${secret}`],
    ['curl', '-H', `x-secret: ${secret}`],
    ['curl', '-s', '-b', `session=${secret}`],
    ['curl', `--cookie=session=${secret}`],
    ['authorization', `Bearer ${secret}`],
    ['x-api-key', secret],
    ['Cookie', `a=${secret}`],
  ]) {
    for (const text of [JSON.stringify(list), asJson(JSON.stringify(list)), list.join(' ')]) {
      if (text === list.join(' ') && list.length === 2 && !text.includes('-')) continue;
      if (/^(?:authorization|x-api-key|Cookie) /.test(text)) continue;
      expect(redact(text)).not.toContain(secret);
    }
  }
});

test('in the path or the query of an address', () => {
  const letters = 'AbCdEfGhIjKlMnOpQrStUvWxYz012345678';
  for (const [address, shown] of [
    [`api.test/bot123456789:${letters}/sendMessage`, 'api.test/…/sendMessage'],
    [`hooks.test/services/T0ABCDEFG/B0ABCDEFG/${letters.slice(0, 24)}`, 'hooks.test/services/…'],
    [`bucket.test/a?X-Amz-Signature=${letters}`, 'bucket.test/a?X-Amz-Signature=…'],
  ] as const) {
    expect(redact(address).replace(mark, '…')).toBe(shown);
  }
  expect(redact('curl -b cookies.txt api.test/robot/12345678')).toBe(
    'curl -b cookies.txt api.test/robot/12345678',
  );
});

test('what tells the kind of a secret stays', () => {
  const shown = (text: string) => redact(text).replace(mark, '…');
  const token = 't0ken.'.repeat(5);
  expect(shown(`-H 'Authorization: Bearer ${token}='`)).toBe("-H 'Authorization: Bearer …'");
  expect(shown('GET /a?api_key=abcdef1&b=2')).toBe('GET /a?api_key=…&b=2');
  expect(shown('A_TOKEN=abcdef1; echo $A_TOKEN')).toBe('A_TOKEN=…; echo $A_TOKEN');
  expect(shown(SECRETS['private key']?.written ?? '')).toBe(
    '-----BEGIN RSA PRIVATE KEY-----…-----END RSA PRIVATE KEY-----',
  );
});

test('equal secrets stay recognisable within a capture, wherever they stand, and not across captures', () => {
  const secret = SECRETS['OpenAI key']?.written ?? '';
  const marks =
    redact(`${secret} Bearer ${secret} x-api-key: ${secret} {"api_key":"${secret}"}`).match(mark) ?? [];
  expect(marks).toHaveLength(4);
  expect(new Set(marks).size).toBe(1);
  expect(redact(secret, new Uint8Array(32))).not.toBe(redact(secret));
});

test('each replacement is counted, and none is made of what was replaced before', () => {
  const redactor = new Redactor(salt);
  const safe = redactor.text(`password: "a1b2c3d4" ${SECRETS['AWS key id']?.written}`);
  expect(redactor.count).toBe(2);
  expect(redactor.text(safe)).toBe(safe);
});

test('secrets are kept on demand', () => {
  const redactor = new Redactor(salt, { keepsSecrets: true });
  for (const { written } of Object.values(SECRETS)) expect(redactor.text(written)).toBe(written);
  expect(redactor.count).toBe(0);
});

test.each([
  'task-force-of-the-year-award-2026',
  'the bearer of bad news',
  'risk-assessment-and-mitigation',
  'AKIAAAAAAAAAAAAAAAAAAAAAAAAA',
  'eyJ.eyJ.x',
  'gAAAA-encrypted-content',
  '{"prompt_cache_key":"01a1f929-0000-7000-8000-000000000001","max_output_tokens":12000}',
  'const password = readPassword(1); const token = next();',
  'export OPENAI_API_KEY="$KEY_FROM_VAULT"',
  'interface A { password: string; apiKey: string }',
  'http://localhost:8080/a@b',
  '-----BEGIN PUBLIC KEY-----\nabcdef\n-----END PUBLIC KEY-----',
  '{"total_token_usage":{"input_tokens":5}}',
])('%s is no secret', (text) => {
  expect(redact(text)).toBe(text);
});

test('hostile repetition is read in one go', () => {
  for (const [piece, count] of [
    ['eyJaaaaaaaa.', 100_000],
    ['sk-', 300_000],
    ['Bearer ', 100_000],
    ['api_key=', 100_000],
    ['api_key="', 100_000],
    ['cookie:', 100_000],
    ['cookie: a', 100_000],
    ['-----BEGIN PRIVATE KEY-----', 40_000],
    ['://a:', 200_000],
    ['\\\\\\\\n', 200_000],
    [`api_key${'\\'.repeat(50)}`, 20_000],
    ['--token ', 100_000],
    ['A_TOKEN=', 100_000],
  ] as const) {
    const text = piece.repeat(count);
    expect(redact(text).length).toBeGreaterThan(0);
  }
});
