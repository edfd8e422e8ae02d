// Compiles tls-generator.c and says what a capture of one of its scripts has to hold.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

/** Path of the compiled generator; removed when the test file is done. */
export function buildTlsGenerator({ isStatic = false } = {}): string {
  const directory = mkdtempSync(join(tmpdir(), 'agsight-generator-'));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  const source = new URL('tls-generator.c', import.meta.url).pathname;
  const path = join(directory, 'tls-generator');
  const linking = isStatic ? ['-static'] : [];
  execFileSync('cc', ['-O1', '-fcf-protection=full', ...linking, '-o', path, source]);
  return path;
}

/** The bytes `[from, from + length)` of a direction of any of the generator's connections. */
export function generatedBytes(direction: 'send' | 'receive', from: number, length: number): Buffer {
  const seed = direction === 'send' ? 1 : 2;
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = ((from + i) * 7 + seed) & 0xff;
  return bytes;
}
