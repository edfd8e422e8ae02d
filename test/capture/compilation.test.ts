import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';

const module = new URL('../../dist/capture/compilation.js', import.meta.url).href;
const script = `
  import { writeSync } from 'node:fs';
  import { deferOptimization } from ${JSON.stringify(module)};
  const work = (add) => { let sum = 0; for (let i = 0; i < 3e6; i++) sum = add(sum, i); return sum; };
  const optimize = deferOptimization();
  const early = (a, b) => (a + b) % 1000;
  for (let i = 0; i < 5; i++) work(early);
  writeSync(1, '\\nallowed\\n');
  optimize();
  for (let i = 0; i < 20; i++) { work(early); await new Promise(setImmediate); }
`;

test('nothing is optimised while that is deferred, and then it is', () => {
  const args = ['--trace-opt', '--input-type=module', '-e', script];
  const text = execFileSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 64 << 20 });
  const [before = '', after = ''] = text.split('\nallowed\n');
  const isOptimized = /completed (optimizing|compiling).*\b(early|work)\b/;
  expect(before).not.toMatch(isOptimized);
  expect(after).toMatch(isOptimized);
});
