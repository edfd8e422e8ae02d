// What `agsight session-map` takes for a tree of rollout files, beside ccusage on the same tree, and the memory
// that it takes for one large file.
// Usage: node bench/sessions.js [FILES [MEGABYTES [MEGABYTES_OF_THE_LARGE_FILE]]] [--old]
// With --old the first ccusage runs too, which takes minutes and gigabytes for the whole tree.

import { spawnSync } from 'node:child_process';
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { generateRollouts } from '../test/support/rollout-generator.js';

const RUNS = 3;
const MEMORY_GOAL_MIB = 64;
const NEWLINE = 10;
const root = fileURLToPath(new URL('..', import.meta.url));
const agsight = join(root, 'bin/agsight.js');
const numbers = process.argv.slice(2).filter((argument) => /^\d+$/.test(argument));
const [files = 10_000, megabytes = 2000, largeMegabytes = 1000] = numbers.map(Number);
const isOldAsked = process.argv.includes('--old');
const directory = mkdtempSync(join(tmpdir(), 'agsight-bench-'));

// Each process reports its own peak as it ends. getrusage would tell that of its parent, when that is higher.
const preload = join(directory, 'report-peak.cjs');
writeFileSync(
  preload,
  `process.on('exit', () => process.stderr.write(require('fs').readFileSync('/proc/self/status', 'utf8')));`,
);

/**
 * Runs a Node program on a CODEX_HOME.
 *
 * @param {string[]} args
 */
function run(args, home = directory) {
  const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env;
  const output = join(directory, 'output');
  const descriptor = openSync(output, 'w');
  const begin = process.hrtime.bigint();
  const { status, stderr } = spawnSync(process.execPath, ['--require', preload, ...args], {
    env: { ...env, CODEX_HOME: home, HOME: home },
    stdio: ['ignore', descriptor, 'pipe'],
    encoding: 'utf8',
  });
  const seconds = Number(process.hrtime.bigint() - begin) / 1e9;
  closeSync(descriptor);
  if (status !== 0) throw new Error(`${args.join(' ')}: exit status ${status}\n${stderr}`);
  const mebibytes = Number(/VmHWM:\s+(\d+) kB/.exec(stderr)?.[1]) / 1024;
  return { seconds, mebibytes, text: () => readFileSync(output, 'utf8') };
}

/** @param {string} text what `session-map --ndjson` prints */
function ourTotal(text) {
  const entries = text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  return entries.reduce((sum, { usage }) => sum + (usage?.total_tokens ?? 0), 0);
}

/** @param {string} text what ccusage prints */
function theirTotal(text) {
  return JSON.parse(text).totals.totalTokens;
}

function compareTrees() {
  const home = join(directory, 'tree');
  const made = generateRollouts(home, { files, bytes: megabytes * 1e6 });
  const spent = [...made.tokens.values()].reduce((sum, tokens) => sum + tokens, 0);
  console.log(
    `${made.files} files, ${(made.bytes / 1e6).toFixed(0)} MB, ${spent} tokens spent; best of ${RUNS}\n`,
  );
  const ccusage = fileURLToPath(import.meta.resolve('ccusage/src/cli.js'));
  const old = fileURLToPath(import.meta.resolve('@ccusage/codex'));
  const tools = [
    {
      name: 'agsight session-map',
      args: [agsight, 'session-map', '--ndjson', home],
      totalOf: ourTotal,
      runs: RUNS,
    },
    {
      name: 'ccusage 20 (Rust)',
      args: [ccusage, 'codex', 'session', '--json', '--offline', '--no-cost'],
      totalOf: theirTotal,
      runs: RUNS,
    },
    ...(isOldAsked
      ? [
          {
            name: '@ccusage/codex 18',
            args: [old, 'session', '--json', '--offline'],
            totalOf: theirTotal,
            runs: 1,
          },
        ]
      : []),
  ];
  // In turn, so that the machine's mood hits all alike.
  const seconds = new Map(tools.map(({ name }) => [name, Number.POSITIVE_INFINITY]));
  const totals = new Map();
  for (let round = 0; round < RUNS; round++) {
    for (const { name, args, totalOf, runs } of tools) {
      if (round >= runs) continue;
      const result = run(args, home);
      seconds.set(name, Math.min(seconds.get(name) ?? Number.POSITIVE_INFINITY, result.seconds));
      totals.set(name, totalOf(result.text()));
    }
  }
  const ours = seconds.get('agsight session-map') ?? Number.NaN;
  for (const [name, taken] of seconds) {
    const speed = `${(made.files / taken).toFixed(0)} files/s  ${(made.bytes / 1e6 / taken).toFixed(0)} MB/s`;
    const error = (((totals.get(name) - spent) / spent) * 100).toFixed(3);
    const ratio = `${(ours / taken).toFixed(2)} of agsight's speed`;
    console.log(`${name.padEnd(20)} ${taken.toFixed(2)} s  ${speed}  ${ratio}  tokens ${error} % off`);
  }
  rmSync(home, { recursive: true });
}

/** One file that repeats the lines of a smaller one. */
function makeLargeFile() {
  const seedHome = join(directory, 'seed');
  generateRollouts(seedHome, { files: 1, bytes: 20e6 });
  const names = readdirSync(seedHome, { recursive: true, encoding: 'utf8' });
  const name = names.find((path) => path.endsWith('.jsonl')) ?? '';
  const content = readFileSync(join(seedHome, name));
  const path = join(directory, basename(name));
  const descriptor = openSync(path, 'w');
  const body = content.subarray(content.indexOf(NEWLINE) + 1);
  let bytes = writeSync(descriptor, content.subarray(0, content.length - body.length));
  while (bytes < largeMegabytes * 1e6) bytes += writeSync(descriptor, body);
  closeSync(descriptor);
  return { path, bytes };
}

function measureLargeFile() {
  const { path, bytes } = makeLargeFile();
  measure('one file', path, bytes);
  const { error } = spawnSync('zstd', ['-q', '--rm', path]);
  if (error === undefined) measure('compressed', `${path}.zst`, bytes);
  else console.log('compressed: not measured, zstd is not installed');
}

/**
 * @param {string} what
 * @param {string} path
 * @param {number} bytes what the file holds
 */
function measure(what, path, bytes) {
  const bare = run(['-e', '0']);
  const runs = Array.from({ length: RUNS }, () => run([agsight, 'session-map', '--ndjson', path]));
  const seconds = Math.min(...runs.map((result) => result.seconds));
  const above = Math.max(...runs.map(({ mebibytes }) => mebibytes)) - bare.mebibytes;
  console.log(
    `\n${what}, ${(bytes / 1e6).toFixed(0)} MB: ${seconds.toFixed(2)} s, ${(bytes / 1e6 / seconds).toFixed(0)} MB/s`,
  );
  console.log(
    `memory above bare node: ${above.toFixed(0)} MiB at most   goal: within ${MEMORY_GOAL_MIB} MiB`,
  );
}

try {
  compareTrees();
  measureLargeFile();
} finally {
  rmSync(directory, { recursive: true });
}
