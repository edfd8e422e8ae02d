// What agsight doctor says of this host, as root and without, and of programs.

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { inspectForProbes } from '../../src/capture/probed-binaries.js';
import { inspectBinary } from '../../src/elf/binary.js';
import { canCapture, examineHost, type HostCheck } from '../../src/host/checks.js';
import { examinePrograms } from '../../src/host/examine-program.js';
import { ProgramVerdicts } from '../../src/host/program-verdict.js';
import { programRows } from '../../src/render/doctor-rows.js';
import { requireRoot, requireThat } from '../support/requirements.js';
import { buildTlsGenerator } from '../support/tls-generator.js';

const agsight = new URL('../../bin/agsight.js', import.meta.url).pathname;
const directory = mkdtempSync(join(tmpdir(), 'agsight-doctor-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

beforeEach((context) => requireThat(process.platform === 'linux', 'needs Linux', context));

async function doctor(...args: string[]) {
  const { exitCode, stdout } = await execa(process.execPath, [agsight, 'doctor', '--json', ...args], {
    reject: false,
  });
  return { exitCode, ...JSON.parse(stdout) };
}

const verdictOf = (checks: HostCheck[], name: string) => checks.find((check) => check.name === name)?.verdict;

test('as root the real thing is tried, and a host that can capture says so', async (context) => {
  requireRoot(context);
  const { exitCode, capture, checks } = await doctor();
  expect({ exitCode, capture }).toEqual({ exitCode: 0, capture: true });
  expect(verdictOf(checks, 'eBPF programs, tracepoints')).toBe('yes');
  expect(verdictOf(checks, 'recording')).toBe('yes');
  for (const { verdict, found, remedy } of checks) {
    expect(found).not.toBe('');
    expect(remedy === null).toBe(verdict === 'yes');
  }
});

test('without root it says what is missing, and what it could not check', async (context) => {
  requireRoot(context);
  // The program itself may stand where others may not read: its checks are run in a process that gives root away.
  const script = `
    import { canCapture, examineHost } from ${JSON.stringify(new URL('../../dist/host/checks.js', import.meta.url).href)};
    process.setgroups([]);
    process.setgid(65534);
    process.setuid(65534);
    const checks = await examineHost();
    console.log(JSON.stringify({ checks, capture: canCapture(checks) }));`;
  const { stdout } = await execa(process.execPath, ['--input-type=module', '-e', script], { cwd: '/' });
  const { checks, capture } = JSON.parse(stdout);
  expect(capture).toBe(false);
  expect(checks).toContainEqual({
    name: 'capabilities',
    verdict: 'no',
    is_needed: true,
    found: 'without CAP_BPF and CAP_PERFMON',
    remedy: 'run it as root: sudo agsight capture …',
  });
  expect(verdictOf(checks, 'trial')).toBe('unknown');
  expect(verdictOf(checks, 'output')).toBe('no');
});

test('a pid namespace of its own is found out', (context) => {
  requireRoot(context);
  const command = ['--pid', '--fork', '--mount-proc', process.execPath, agsight, 'doctor', '--json'];
  let output = '';
  try {
    output = execFileSync('unshare', command, { encoding: 'utf8' });
  } catch (error) {
    if (error instanceof Error && 'stdout' in error) output = String(error.stdout);
  }
  const { checks, capture } = JSON.parse(output);
  expect(capture).toBe(false);
  expect(verdictOf(checks, 'pid namespace')).toBe('no');
  expect(checks.find(({ name }: HostCheck) => name === 'pid namespace').remedy).toMatch(/--pid=host/);
});

test('what is not needed does not keep a capture from running', async () => {
  const check: HostCheck = { name: 'fentry', verdict: 'no', is_needed: false, found: '', remedy: '' };
  expect(canCapture([check])).toBe(true);
  expect(canCapture([{ ...check, is_needed: true }])).toBe(false);
  expect(canCapture([{ ...check, is_needed: true, verdict: 'unknown' }])).toBe(true);
  expect(canCapture((await examineHost()).filter(({ is_needed }) => !is_needed))).toBe(true);
});

describe('of a program', () => {
  const generator = buildTlsGenerator();
  const script = join(directory, 'script');
  writeFileSync(script, '#!/bin/sh\n');

  test('it says which functions would be probed', () => {
    expect(examinePrograms([generator])).toMatchObject([
      {
        pid: null,
        program: generator,
        verdict: 'yes',
        tls: [
          {
            library: 'openssl',
            is_captured: true,
            tier: 'symbol',
            confidence: 'high',
            functions: expect.arrayContaining(['SSL_write_ex']),
          },
        ],
      },
    ]);
  });

  test('it names the tier that a capture and agsight ps name, and shows how sure it is', () => {
    const { arch, fingerprint, tls } = inspectBinary(generator);
    const row = { codex_version: '1.2.3', arch, fingerprint, offsets: tls[0]?.offsets };
    mkdirSync(join(directory, 'agsight'));
    writeFileSync(join(directory, 'agsight', 'offsets.json'), JSON.stringify(row));
    vi.stubEnv('XDG_CONFIG_HOME', directory);
    vi.stubEnv('XDG_CACHE_HOME', directory);
    onTestFinished(() => void vi.unstubAllEnvs());
    const [program] = examinePrograms([generator]);
    expect(program?.tls).toMatchObject([{ tier: 'table', confidence: 'high' }]);
    expect(program?.tls).toEqual(new ProgramVerdicts(inspectForProbes).ofProgram(generator).tls);
    expect(program && programRows(program)[0]?.[3]).toMatch(/ \(by table, confidence high\)$/);
  });

  test('a process is looked at as it runs', () => {
    const [own] = examinePrograms([`${process.pid}`]);
    expect(own).toMatchObject({ pid: process.pid, program: process.execPath });
  });

  test.for([
    [script, /not an ELF|ELF/],
    ['/bin/true', /holds no TLS library/],
    [join(directory, 'nothing'), /cannot be read: ENOENT/],
    ['no-such-command-here', /no such command/],
    ['4194305', /there is no process 4194305/],
  ] as const)('%s: no, with reason and remedy', ([name, reason]) => {
    const [program] = examinePrograms([name]);
    expect(program).toMatchObject({ verdict: 'no', tls: [] });
    expect(program?.reason).toMatch(reason);
    expect(program?.remedy).toMatch(/\w/);
  });

  test('one without TLS that is seen makes the exit code 1', async (context) => {
    requireRoot(context);
    expect(await doctor(generator)).toMatchObject({ exitCode: 0 });
    expect(await doctor(generator, '/bin/true')).toMatchObject({ exitCode: 1, capture: true });
  });
});
