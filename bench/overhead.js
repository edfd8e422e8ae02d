// What a capture costs: the program that is captured, beside bpftrace and bcc's sslsniff, which record the same bytes, and
// strace; another program on the machine; a real Codex; and itself while nothing happens. All in turn, so that the
// machine's mood hits all alike, and medians. Needs root, gcc, and of what is compared with what is installed (apt-get
// install bpftrace bpfcc-tools linux-headers-amd64 strace; headers of another kernel than the running one will do).
// Usage: node bench/overhead.js [ROUNDS [calls] [others] [codex] [idle]]

import { spawn } from 'node:child_process';
import { constants, copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { KernelProgram } from '../dist/bpf/kernel-program.js';
import { Cookie } from '../dist/bpf/record.js';
import { inspectBinary } from '../dist/elf/binary.js';
import { compareCodex } from './overhead-codex.js';
import { agsight, buildLoad, costOf, isInstalled, median, straceOptions } from './tls-load.js';
import { bpftrace, costUnder, sslsniff } from './tracers.js';

/** @typedef {import('./tls-load.js').Cost} Cost */

const rounds = Number(process.argv[2] ?? 7);
/** More than bpftrace 0.17 copies in one piece it cannot be asked to record. */
const BYTES = 200;
const CALLS = 40_000;
const GOAL_OF_BPFTRACE = 1.2;
/** Long enough for what is done once, as tidying the memory that the start took, not to count for much. */
const IDLE_SECONDS = 30;
/** For the kernel to take probes off. */
const SETTLE_MS = 1500;
const RING_BYTES = 64 << 20;
/** Nothing is recorded: which library it is said to be does not matter. */
const ANY_COOKIE = 1 << Cookie.libraryShift;

const directory = mkdtempSync(join(tmpdir(), 'agsight-bench-'));
const load = buildLoad(directory);
const other = buildLoad(directory, 'other-program');
let bundles = 0;
let copies = 0;

/** @param {string[]} command @param {string[]} options */
const captured = (command, options = ['--no-files']) => {
  bundles += 1;
  const bundle = join(directory, `bundle-${bundles}`);
  return [process.execPath, agsight, 'capture', '--raw', ...options, '-o', bundle, '--', ...command];
};

/** The load as a file of its own: probes of an earlier run, which the kernel takes off in its own time, are not on it. */
function freshLoad() {
  copies += 1;
  const copy = join(directory, `load-${copies}`);
  copyFileSync(load, copy, constants.COPYFILE_FICLONE);
  return copy;
}

/** @param {string} work @param {number} [calls] */
const loadOf = (work, calls = CALLS) => [freshLoad(), work, `${BYTES}`, `${calls}`];

/**
 * @typedef {object} Contestant
 * @property {string} name
 * @property {() => Promise<Cost & { lost?: number }>} once
 * @property {string} [program] what has to be installed
 */

/**
 * @param {string} name
 * @param {import('./tracers.js').Tracer} tracer
 * @returns {Contestant}
 */
function traced(name, tracer) {
  const work = ['write', `${BYTES}`, `${CALLS}`];
  return {
    name,
    program: tracer.program,
    once: () => costUnder(tracer, freshLoad(), work, CALLS, directory),
  };
}

/** @returns {Contestant[]} */
const onCalls = () => [
  { name: 'bare', once: () => costOf(loadOf('write')) },
  { name: 'agsight', once: () => costOf(captured(loadOf('write'))) },
  traced('bpftrace', bpftrace(BYTES)),
  traced('bcc sslsniff', sslsniff(BYTES, directory)),
];

/** @type {Contestant[]} */
const onSockets = [
  { name: 'bare', once: () => costOf(loadOf('talk')) },
  { name: 'agsight --no-files', once: () => costOf(captured(loadOf('talk'))) },
  { name: 'agsight', once: () => costOf(captured(loadOf('talk'), [])) },
  {
    name: 'strace -f -e trace=network',
    program: 'strace',
    once: () => costOf(['strace', ...straceOptions, ...loadOf('talk', CALLS / 10)]),
  },
];

/**
 * @param {readonly Cost[] | undefined} samples
 * @returns {Cost}
 */
function medians(samples = []) {
  return { ns: median(samples.map(({ ns }) => ns)), cpu: median(samples.map(({ cpu }) => cpu)) };
}

/**
 * @param {string} title
 * @param {readonly Contestant[]} contestants the first is what the others are measured by
 * @returns {Promise<Map<string, number>>} what each adds, in nanoseconds of CPU
 */
async function compare(title, contestants) {
  console.log(`${title}, ${CALLS} times, median of ${rounds} rounds`);
  /** @type {Map<string, Cost[]>} */
  const samples = new Map(contestants.map(({ name }) => [name, []]));
  /** @type {Map<string, number>} */
  const lost = new Map();
  const refused = new Map();
  for (let round = 0; round < rounds; round++) {
    for (const { name, once, program } of contestants) {
      if (refused.has(name)) continue;
      if (program !== undefined && !isInstalled(program)) {
        refused.set(name, 'not installed');
        continue;
      }
      try {
        const result = await once();
        samples.get(name)?.push(result);
        lost.set(name, (lost.get(name) ?? 0) + (result.lost ?? 0));
      } catch (error) {
        refused.set(name, error instanceof Error ? error.message : error);
      }
    }
  }
  const bare = medians(samples.get('bare'));
  const added = new Map();
  for (const { name } of contestants) {
    const { ns, cpu } = medians(samples.get(name));
    added.set(name, cpu - bare.cpu);
    const more = `   adds ${(ns - bare.ns).toFixed(0)} ns, ${(cpu - bare.cpu).toFixed(0)} ns of CPU`;
    const gone = lost.get(name) ? `   (it lost ${lost.get(name)} events)` : '';
    const text = `${ns.toFixed(0)} ns, ${cpu.toFixed(0)} ns of CPU${name === 'bare' ? '' : more}${gone}`;
    console.log(`  ${name.padEnd(28)} ${refused.has(name) ? `did not run: ${refused.get(name)}` : text}`);
  }
  return added;
}

async function compareCalls() {
  const added = await compare(`One SSL_write of ${BYTES} bytes`, onCalls());
  const ratio = (added.get('agsight') ?? Number.NaN) / (added.get('bpftrace') ?? Number.NaN);
  console.log(
    `  agsight costs ${ratio.toFixed(2)} of the CPU that bpftrace does   goal: within ${GOAL_OF_BPFTRACE}\n`,
  );
  await compare('The same with a send and a recv', onSockets);
  console.log('');
}

/**
 * Runs `use` while a capture of an idle process goes on.
 *
 * @template T
 * @param {string[]} options
 * @param {(pid: number) => Promise<T>} use
 */
async function whileCapturing(options, use) {
  const idle = spawn(load, ['idle']);
  bundles += 1;
  const bundle = join(directory, `bundle-${bundles}`);
  const args = [agsight, 'capture', '--raw', ...options, '-o', bundle, '--pid', `${idle.pid}`];
  const capture = spawn(process.execPath, args, { stdio: 'ignore' });
  const ended = new Promise((resolve) => capture.once('exit', resolve));
  try {
    while (!readdirSync(directory).includes(`bundle-${bundles}`)) await delay(20);
    await delay(300);
    return await use(capture.pid ?? 0);
  } finally {
    capture.kill('SIGINT');
    await ended;
    idle.kill();
  }
}

/** @param {() => Promise<void>} use */
const withoutCapture = (use) => use();

/**
 * The part of a capture that sees TLS and processes, without what sees sockets and files.
 *
 * @param {() => Promise<void>} use
 */
async function withTlsOnly(use) {
  const program = await KernelProgram.load(RING_BYTES);
  try {
    const functions = inspectBinary(load).tls.flatMap((library) => library.functions);
    program.attach(
      load,
      functions.map(({ offset }) => ({ offset, cookie: ANY_COOKIE, atReturn: true })),
    );
    await use();
  } finally {
    program.close();
  }
}

async function compareOthers() {
  console.log(`Another program of the machine, nanoseconds of CPU each, median of ${rounds} rounds`);
  const works = [
    { name: 'SSL_write with send and recv', command: [other, 'talk', `${BYTES}`, `${CALLS * 5}`] },
    { name: 'fork, exec and exit', command: [other, 'spawn', '200'] },
    { name: 'system call', command: [other, 'system', '1000000'] },
    { name: 'SSL_write of the same program', command: [load, 'talk', `${BYTES}`, `${CALLS}`] },
  ];
  const conditions = [
    { name: 'without', around: withoutCapture },
    { name: 'TLS and processes', around: withTlsOnly },
    { name: 'a whole capture', around: (/** @type {() => Promise<void>} */ use) => whileCapturing([], use) },
  ];
  const samples = new Map();
  for (let round = 0; round < rounds; round++) {
    for (const condition of conditions) {
      const measure = async () => {
        for (const work of works) {
          const key = `${condition.name} ${work.name}`;
          samples.set(key, [...(samples.get(key) ?? []), (await costOf(work.command)).cpu]);
        }
      };
      await condition.around(measure);
      await delay(SETTLE_MS);
    }
  }
  for (const work of works) {
    const values = conditions.map(({ name }) => median(samples.get(`${name} ${work.name}`)));
    const [bare = 1] = values;
    const texts = conditions.map(({ name }, index) => {
      const value = values[index] ?? Number.NaN;
      const change = index === 0 ? '' : ` (${((value / bare - 1) * 100).toFixed(1)} %)`;
      return `${name} ${value.toFixed(0)}${change}`;
    });
    console.log(`  ${work.name.padEnd(30)} ${texts.join('   ')}`);
  }
  console.log(
    '  goal: TLS and processes within the noise, but for the same program, which pays for the probe\n',
  );
}

/**
 * Time on a CPU of all threads of a process, in nanoseconds.
 *
 * @param {number} pid
 */
function cpuTime(pid) {
  return readdirSync(`/proc/${pid}/task`).reduce(
    (sum, thread) =>
      sum + Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]),
    0,
  );
}

async function measureIdle() {
  for (const [name, options] of /** @type {const} */ ([
    ['agsight', []],
    ['agsight --no-files', ['--no-files']],
  ])) {
    const share = await whileCapturing([...options], async (pid) => {
      await delay(1000);
      const before = cpuTime(pid);
      await delay(IDLE_SECONDS * 1000);
      return (cpuTime(pid) - before) / (IDLE_SECONDS * 1e9);
    });
    console.log(`CPU of ${name} while nothing happens: ${(share * 100).toFixed(2)} %`);
  }
}

const parts = {
  calls: compareCalls,
  others: compareOthers,
  codex: () => compareCodex(rounds),
  idle: measureIdle,
};
const wanted = process.argv.slice(3);
try {
  for (const [name, measure] of Object.entries(parts)) {
    if (wanted.length === 0 || wanted.includes(name)) await measure();
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
