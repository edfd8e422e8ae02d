// What a person sees while a capture runs, on a terminal and off it. The terminal is a pseudo-terminal of Python's.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { requireRoot } from '../support/requirements.js';
import { buildTlsGenerator } from '../support/tls-generator.js';

const agsight = new URL('../../bin/agsight.js', import.meta.url).pathname;
const generator = buildTlsGenerator();
const directory = mkdtempSync(join(tmpdir(), 'agsight-display-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
beforeEach((context) => requireRoot(context));

const eraseLine = '\r\u001b[K';
const end = /^agsight: \d+ events in \S+, 0 lost$/;
const progressLine =
  /^\d+:\d\d, \d+ process(es)?, \d+ requests?, [\d.]+k? tokens, \d+ commands?, \d+ files?, \d+\.\d MB, 0 lost$/;

/** The command line of a capture of a program that moves bytes and runs a command, below a shell script. */
function captureUnder(script: string, name: string, ...flags: string[]): string[] {
  const options = ['capture', '--raw', ...flags, '-o', join(directory, name)];
  const target = ['--', generator, 's400,w100000,e,s1200'];
  return ['sh', '-c', script, process.execPath, agsight, ...options, ...target];
}

async function onTerminal(command: string[]): Promise<string> {
  const program = 'import pty, sys; pty.spawn(sys.argv[1:])';
  const env = { TERM: 'xterm' };
  return (await execa('python3', ['-c', program, ...command], { env, stdin: 'ignore' })).stdout;
}

test('on a terminal one line tells of the capture, and is gone when it ends', async () => {
  const shown = await onTerminal(captureUnder('"$0" "$@" > /dev/null', 'terminal'));
  const [before, ...drawn] = shown.split(eraseLine);
  expect(before).toBe('');
  expect(drawn.pop()).toMatch(end);
  expect(drawn.filter((line) => !progressLine.test(line))).toEqual([]);
  expect(drawn.some((line) => / 1 process, .* 1 command, .* 0\.1 MB/.test(line))).toBe(true);
});

test('a command that writes to the same terminal has it to itself', async () => {
  expect(await onTerminal(captureUnder('"$0" "$@"', 'shared'))).toMatch(end);
});

test('off a terminal, and with -q, there is no such line', async () => {
  const { stderr } = await execa('env', captureUnder('"$0" "$@"', 'piped'));
  expect(stderr).toMatch(end);
  expect(await onTerminal(captureUnder('"$0" "$@" > /dev/null', 'quiet', '-q'))).toBe('');
});
