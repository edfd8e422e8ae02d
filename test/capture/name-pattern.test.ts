import fc from 'fast-check';
import { expect, test } from 'vitest';
import { namePattern } from '../../src/capture/name-pattern.js';

test.each([
  ['codex', ['codex'], ['codex-0.1', 'my-codex', 'Codex', '']],
  ['codex*', ['codex', 'codex-x86_64-unknown-linux-musl'], ['acodex']],
  ['c?dex', ['codex', 'cidex'], ['cdex', 'coodex']],
  ['*dex', ['dex', 'codex'], ['dexter']],
  ['a.b[c](d)+$', ['a.b[c](d)+$'], ['axb[c](d)+$']],
])('%s', (text, those, others) => {
  const pattern = namePattern(text);
  expect(those.filter((name) => !pattern.matches(name))).toEqual([]);
  expect(others.filter((name) => pattern.matches(name))).toEqual([]);
});

test('what matches begins with what the kernel compares', () => {
  const characters = fc.constantFrom('a', 'b', '*', '?', '.', 'é');
  const name = fc.string({ unit: fc.constantFrom('a', 'b', '.', 'é'), minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(fc.string({ unit: characters, minLength: 1, maxLength: 20 }), name, (text, candidate) => {
      const { head, matches } = namePattern(text);
      expect(head.length).toBeLessThanOrEqual(15);
      if (matches(candidate)) expect(Buffer.from(candidate).subarray(0, head.length)).toEqual(head);
    }),
  );
});

test.each(['', '/usr/bin/codex', 'bin/'])('"%s" is no name', (text) => {
  expect(() => namePattern(text)).toThrow(/is not the name of a program \(give a file name without its path/);
});
