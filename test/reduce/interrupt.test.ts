// A reduction that is interrupted, and one that somebody watches on a terminal.

import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { type ReduceProgress, reduceBundle } from '../../src/reduce/reduce.js';
import { recordedBundle, scratch, unpackBundle } from '../support/bundles.js';

const agsight = fileURLToPath(new URL('../../bin/agsight.js', import.meta.url));
const { dir, remove } = scratch();
afterAll(remove);

const exec = recordedBundle('exec');

/** A bundle that was reduced before. */
function reducedBundle(name: string): string {
  const bundle = unpackBundle(exec, join(dir, name));
  writeFileSync(join(bundle, 'state.json'), 'an older state');
  return bundle;
}

function expectUntouched(bundle: string): void {
  expect(readdirSync(bundle).sort()).toEqual(['manifest.json', 'payloads', 'state.json', 'trace.jsonl']);
  expect(readFileSync(join(bundle, 'state.json'), 'utf8')).toBe('an older state');
}

/** A module that Node loads before the program. */
function preload(name: string, source: string): string {
  const path = join(dir, `${name}.mjs`);
  writeFileSync(path, source);
  return path;
}

describe('interrupted', () => {
  test.each(['replaying', 'checking', 'writing'] as const)(
    'while %s it leaves the older state',
    async (doing) => {
      const bundle = reducedBundle(`while-${doing}`);
      const stop = new AbortController();
      const seen: string[] = [];
      const onProgress = (progress: ReduceProgress) => {
        seen.push(progress.doing);
        if (progress.doing === doing) stop.abort(new Error('enough'));
      };
      await expect(reduceBundle(bundle, { signal: stop.signal, onProgress })).rejects.toThrow('enough');
      expect(seen).toContain(doing);
      expectUntouched(bundle);
    },
  );

  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'])(
    'by %s the program leaves the older state and ends with 130',
    (signal) => {
      const bundle = reducedBundle(`by-${signal}`);
      // The signal comes when the new state has begun to be written.
      const atWriting = preload(
        `at-writing-${signal}`,
        `import fs from 'node:fs/promises';
       import { syncBuiltinESMExports } from 'node:module';
       const { open } = fs;
       fs.open = async (path, ...how) => {
         const file = await open(path, ...how);
         if (String(path).includes('.tmp-')) {
           const handled = new Promise((resolve) => process.once('${signal}', resolve));
           process.kill(process.pid, '${signal}');
           const awake = setInterval(() => {}, 1000);
           await handled;
           clearInterval(awake);
         }
         return file;
       };
       syncBuiltinESMExports();`,
      );
      const { status, stdout, stderr } = spawnSync(
        process.execPath,
        ['--import', atWriting, agsight, 'reduce', bundle],
        { encoding: 'utf8' },
      );
      expect({ status, stdout, stderr }).toEqual({
        status: 130,
        stdout: '',
        stderr: 'agsight: interrupted\n',
      });
      expectUntouched(bundle);
    },
  );
});

describe('on a terminal', () => {
  // Every look at the clock finds it a second later.
  const slow = preload('slow', 'let ms = 0; performance.now = () => (ms += 1000);');
  const bundle = unpackBundle(exec, join(dir, 'watched'));
  const eraseLine = '\r\u001b[K';

  function screen(clock: string[], ...options: string[]): string {
    const command = [process.execPath, ...clock, agsight, ...options, 'reduce', bundle];
    return execFileSync('script', ['-qec', command.join(' '), '/dev/null'], { encoding: 'utf8' });
  }

  test('a long one says how far it is, and takes that away', () => {
    const output = screen(['--import', slow]);
    expect(output).toMatch(/reducing: \d+ % of the log, \d+ events/);
    expect(output).toMatch(/writing: \d+ MB/);
    expect(output.split(eraseLine).at(-1)).toBe(`${join(bundle, 'state.json')}\r\n`);
  });

  test('a short one says nothing, nor does a long one with -q', () => {
    const path = `${join(bundle, 'state.json')}\r\n`;
    expect(screen([])).toBe(path);
    expect(screen(['--import', slow], '-q')).toBe(path);
  });

  test('no progress goes into a pipe', () => {
    const { stderr } = spawnSync(process.execPath, ['--import', slow, agsight, 'reduce', bundle], {
      encoding: 'utf8',
    });
    expect(stderr).toBe('');
  });
});
