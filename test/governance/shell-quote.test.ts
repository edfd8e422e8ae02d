import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { shellQuote } from '../../src/governance/shell-quote.js';

test('a shell makes the same arguments of it', () => {
  const argument = fc.string({ unit: 'binary', maxLength: 20 }).filter((text) => !text.includes('\0'));
  const vectors = fc.sample(fc.array(argument, { minLength: 1, maxLength: 5 }), 100);
  const script = vectors.map((argv) => `printf '%s\\0' ${shellQuote(argv)}`).join('\n');
  const seen = execFileSync('/bin/sh', { input: script, encoding: 'utf8' });
  expect(seen.split('\0').slice(0, -1)).toEqual(vectors.flat());
  expect(shellQuote(['git', 'commit', '-m', "it's", ''])).toBe("git commit -m 'it'\\''s' ''");
});
