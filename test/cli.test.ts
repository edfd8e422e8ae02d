// The program as a person and a script meet it: help, exit codes, the one form of an error.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, expect, test } from 'vitest';

const program = new URL('../bin/agsight.js', import.meta.url).pathname;
const directory = mkdtempSync(join(tmpdir(), 'agsight-cli-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function agsight(...args: string[]) {
  const { exitCode, stdout, stderr } = await execa(process.execPath, [program, ...args], { reject: false });
  return { exitCode, stdout, stderr };
}

test('--help lists every command and the exit codes', async () => {
  const { exitCode, stdout, stderr } = await agsight('--help');
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  const commands = stdout
    .slice(stdout.indexOf('Commands:'))
    .match(/^ {2}[a-z-]+/gm)
    ?.map((name) => name.trim());
  const all = [
    'capture',
    'doctor',
    'events',
    'offsets',
    'ps',
    'reduce',
    'session-map',
    'show',
    'verify',
    'help',
  ];
  expect(commands).toEqual(all);
  expect(stdout).toMatch(
    /Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done but incomplete, 130 interrupted\./,
  );
});

test('the help that is ready to print is the help of the program', async () => {
  const { stdout } = await agsight('help');
  expect((await agsight('--help')).stdout).toBe(stdout);
  expect((await agsight('-h')).stdout).toBe(stdout);
});

test.for([
  'capture',
  'doctor',
  'events',
  'offsets',
  'ps',
  'reduce',
  'trace-reduce',
  'session-map',
  'show',
  'verify',
])('%s has a help of its own', async (command) => {
  const { exitCode, stdout } = await agsight(command, '--help');
  expect(exitCode).toBe(0);
  expect(stdout).toMatch(/^Usage: agsight /);
});

test('--version is the version of the package', async () => {
  expect((await agsight('--version')).stdout).toMatch(/^\d+\.\d+\.\d+$/);
});

test.for([
  [['no-such-command'], "agsight: unknown command 'no-such-command'"],
  [['verify', '--no-such-option', 'x'], "agsight: unknown option '--no-such-option'"],
  [['reduce'], "agsight: missing required argument 'bundle'"],
  [['capture'], 'agsight: name either processes with --pid or --name, or --all, or a command after --'],
  [
    ['capture', '--pid', '1', '--', 'true'],
    'agsight: name either processes with --pid or --name, or --all, or a command after --',
  ],
  [
    ['capture', '--pid', 'x'],
    "agsight: option '--pid <pid...>' argument 'x' is invalid. A process id is a positive number.",
  ],
  [
    ['capture', '--duration', '0', '--', 'true'],
    "agsight: option '--duration <seconds>' argument '0' is invalid. Seconds are a number above 0.",
  ],
  [
    ['capture', '--ring-mib', '3', '--', 'true'],
    "agsight: option '--ring-mib <n>' argument '3' is invalid. The ring is a power of two from 1 to 1024.",
  ],
] as const)('a wrong command line is told in one line, exit code 2: %s', async ([args, line]) => {
  const { exitCode, stdout, stderr } = await agsight(...args);
  expect({ exitCode, stdout, line: stderr.split('\n')[0] }).toEqual({ exitCode: 2, stdout: '', line });
});

test('an error is one line with file and remedy, as JSON for scripts, with its stack for us', async () => {
  const file = join(directory, 'text');
  writeFileSync(file, 'no program');
  const { exitCode, stdout, stderr } = await agsight('offsets', file);
  expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
  expect(stderr).toMatch(/^agsight: .*\/text: [^\n]+ \([^\n]+\)$/);

  const forScripts = await agsight('--json', 'verify', join(directory, 'nothing'));
  expect(forScripts.exitCode).toBe(1);
  expect(JSON.parse(forScripts.stderr)).toMatchObject({
    error: { code: expect.any(String), remedy: expect.any(String) },
  });

  expect((await agsight('--debug', 'verify', join(directory, 'nothing'))).stderr).toMatch(/\n {4}at /);
});

test('output that cannot be written is an error of one line', async () => {
  const { exitCode, stderr } = await execa(
    'sh',
    ['-c', '"$0" "$1" help > /dev/full', process.execPath, program],
    {
      reject: false,
    },
  );
  expect({ exitCode, stderr }).toEqual({
    exitCode: 1,
    stderr: 'agsight: the output cannot be written: ENOSPC',
  });
});

test('a reader that closes the pipe ends the program quietly', async () => {
  const { stdout, stderr } = await execa('sh', [
    '-c',
    '"$0" "$1" --help | head -1',
    process.execPath,
    program,
  ]);
  expect({ stdout, stderr }).toEqual({ stdout: 'Usage: agsight [options] [command]', stderr: '' });
});
