// What a file operation costs when it is recorded, and what it costs a process that has nothing to do with it, beside
// strace and bpftrace on the same calls. Needs root, gcc, and strace and bpftrace where they shall be compared.
// Usage: node bench/files.js [BATCHES]

import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { RING_PAGES } from './tracers.js';

const RUNS = 3;
const batches = Number(process.argv[2] ?? 500);
/** strace is a hundred times slower; the cost of one call is the same. */
const straceBatches = Math.ceil(batches / 10);
const root = fileURLToPath(new URL('..', import.meta.url));
const agsight = join(root, 'bin/agsight.js');
// A disk would take longer, and not always as long.
const directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'agsight-bench-files-'));
const work = join(directory, 'work');
const load = join(directory, 'file-load');

/** @typedef {{ change: number, read: number, other: number }} Costs nanoseconds per call */

/** @param {string} output @returns {Costs} */
function parse(output) {
  const numbers = /^(\d+) (\d+) (\d+)$/m.exec(output);
  if (numbers === null) throw new Error(`the load has not run: ${output}`);
  const [, change, read, other] = numbers.map(Number);
  return { change, read, other };
}

/** @param {string[]} command @param {number} [count] @returns {Costs} */
function run(command, count = batches) {
  const [file = load, ...args] = [...command, load, work, String(count)];
  const { stdout, stderr, status } = spawnSync(file, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (status !== 0) throw new Error(`${file}: exit status ${status}\n${stderr.slice(-500)}`);
  return parse(stdout);
}

let bundles = 0;
const capture = (/** @type {string[]} */ ...more) => [
  process.execPath,
  agsight,
  'capture',
  '--raw',
  '--quiet',
  ...more,
  '-o',
  join(directory, `bundle-${bundles++}`),
  '--',
];

/** The same calls, with the same things told of them. */
const names = {
  openat: 'args->filename',
  renameat: 'args->oldname',
  unlinkat: 'args->pathname',
  write: undefined,
  pread64: undefined,
  close: undefined,
};
const script = `BEGIN { printf("ready\\n"); }${Object.entries(names)
  .map(
    ([name, path]) => `
tracepoint:syscalls:sys_enter_${name} { if (pid == (uint64)cpid) { @start[tid] = nsecs; ${path === undefined ? '' : `@path[tid] = str(${path});`} } }
tracepoint:syscalls:sys_exit_${name} /@start[tid]/ {
  printf("%d ${name} %s %d %d\\n", pid, @path[tid], args->ret, nsecs - @start[tid]); delete(@start[tid]); delete(@path[tid]);
}`,
  )
  .join('')}`;

/** bpftrace wants the tracing file system, which need not be mounted for anybody else. */
const bpftrace = (/** @type {string} */ command) => [
  'unshare',
  '-m',
  'sh',
  '-c',
  `mountpoint -q /sys/kernel/tracing || mount -t tracefs nodev /sys/kernel/tracing; exec env BPFTRACE_PERF_RB_PAGES=${RING_PAGES} bpftrace -B line -o ${directory}/bpftrace.out -c "${command}" ${directory}/script.bt`,
];

/** Runs the load on its own while `watcher` watches somebody else. @param {string[]} watcher @param {() => boolean} isReady */
async function beside(watcher, isReady) {
  const [file = '', ...args] = watcher;
  const child = spawn(file, args, { stdio: 'ignore' });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  while (!isReady()) {
    if (child.exitCode !== null) throw new Error(`${file}: exit status ${child.exitCode}`);
    await delay(50);
  }
  await delay(500);
  const costs = run([]);
  child.kill('SIGINT');
  await Promise.race([ended, delay(8000)]);
  return costs;
}

/** @param {() => Costs | Promise<Costs>} measure */
async function median(measure) {
  /** @type {Costs[]} */
  const all = [];
  for (let i = 0; i < RUNS; i++) all.push(await measure());
  const middle = (/** @type {keyof Costs} */ name) =>
    all.map((costs) => costs[name]).toSorted((a, b) => a - b)[RUNS >> 1] ?? 0;
  return { change: middle('change'), read: middle('read'), other: middle('other') };
}

const has = (/** @type {string} */ name) => spawnSync('sh', ['-c', `command -v ${name}`]).status === 0;

/** @param {string} name @param {Costs} costs @param {Costs} bare */
function report(name, costs, bare) {
  const cell = (/** @type {keyof Costs} */ key) =>
    `${String(costs[key]).padStart(7)} ns ${(costs[key] - bare[key] >= 0 ? '+' : '') + (costs[key] - bare[key])}`.padEnd(
      22,
    );
  console.log(`${name.padEnd(34)}${cell('change')}${cell('read')}${cell('other')}`);
}

try {
  mkdirSync(work);
  execFileSync('cc', ['-O2', '-o', load, join(root, 'bench/file-load.c')]);
  writeFileSync(join(directory, 'script.bt'), script);
  console.log(`${''.padEnd(34)}${'change'.padEnd(22)}${'read 4 KiB'.padEnd(22)}getppid`);
  const bare = await median(() => run([]));
  report('nobody watches', bare, bare);
  report('agsight, this process', await median(() => run(capture())), bare);
  report('agsight --no-files, this process', await median(() => run(capture('--no-files'))), bare);
  if (has('strace')) {
    const strace = [
      'strace',
      '-f',
      '-o',
      join(directory, 'strace.out'),
      '-e',
      'trace=file,write,pread64,close',
    ];
    report('strace -f, this process', await median(() => run(strace, straceBatches)), bare);
    report(
      'strace -f --seccomp-bpf',
      await median(() => run([...strace, '--seccomp-bpf'], straceBatches)),
      bare,
    );
  }
  if (has('bpftrace')) {
    const [file = '', ...args] = bpftrace(`${load} ${work} ${batches}`);
    report(
      'bpftrace, this process',
      await median(() => {
        const { stdout, stderr } = spawnSync(file, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
        const lost = [...stderr.matchAll(/Lost (\d+) events/g)].reduce(
          (sum, [, count]) => sum + Number(count),
          0,
        );
        if (lost > 0) console.log(`bpftrace has lost ${lost} calls, which is cheaper than to tell them`);
        return parse(`${stdout}\n${stderr}`);
      }),
      bare,
    );
  }
  report(
    'agsight, somebody else',
    await median(() => {
      const watcher = [...capture(), 'sleep', '60'];
      const bundle = watcher[watcher.indexOf('-o') + 1] ?? '';
      return beside(watcher, () => existsSync(join(bundle, 'capture.json')));
    }),
    bare,
  );
  if (has('bpftrace')) {
    report(
      'bpftrace, somebody else',
      await median(() => {
        rmSync(join(directory, 'bpftrace.out'), { force: true });
        const output = join(directory, 'bpftrace.out');
        return beside(
          bpftrace('/bin/sleep 60'),
          () => existsSync(output) && readFileSync(output, 'utf8').includes('ready'),
        );
      }),
      bare,
    );
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
