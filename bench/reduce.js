// What `agsight reduce` takes beside `codex debug trace-reduce` on the same bundles, which must give the same bytes;
// how its time grows with the input, and the most memory that each needs.
// Usage: node bench/reduce.js [CASE...] [--long]
// Cases: recorded, rounds, threads, socket, http; all of them by default. The reference takes minutes for `socket`
// and a quarter of an hour for `http`: without --long only agsight runs there.

import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { fetchCodex } from '../test/support/codex-package.js';
import { generateTrace } from '../test/support/trace-generator.js';

const VERSION = '0.169.0';
const GROWTH_GOAL = 1.15;
const root = fileURLToPath(new URL('..', import.meta.url));
const fixtures = join(root, 'test/fixtures/bundles');
const isLong = process.argv.includes('--long');
const asked = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
const isAsked = (name) => asked.length === 0 || asked.includes(name);

const directory = mkdtempSync(join(tmpdir(), 'agsight-bench-'));
const bundle = join(directory, 'bundle');
const home = join(directory, 'home');
mkdirSync(home);
const codex = await fetchCodex(VERSION);

/** @param {string[]} args the program and its arguments */
async function measure(...args) {
  const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env;
  const child = spawn('bash', ['-c', 'TIMEFORMAT=%U; time "$@" >/dev/null 2>&1', 'bash', ...args], {
    env: { ...env, HOME: home, CODEX_HOME: home },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let seconds = '';
  child.stderr.on('data', (text) => {
    seconds += text;
  });
  let mebibytes = 0;
  const timer = setInterval(() => {
    mebibytes = Math.max(mebibytes, peakOfChild(child.pid));
  }, 10);
  const status = await new Promise((resolve) => child.on('close', resolve));
  clearInterval(timer);
  if (status !== 0) throw new Error(`${args.join(' ')}: exit status ${status}`);
  return { seconds: Number(seconds), mebibytes };
}

function peakOfChild(pid) {
  try {
    const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ');
    return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${child}/status`, 'utf8'))?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}

const states = { ours: join(directory, 'ours.json'), theirs: join(directory, 'theirs.json') };
const ours = (path = bundle) =>
  measure(process.execPath, join(root, 'bin/agsight.js'), 'reduce', path, '-o', states.ours);
const theirs = (path = bundle) => measure(codex, 'debug', 'trace-reduce', path, '-o', states.theirs);

async function expectSameBytes() {
  await measure('cmp', states.ours, states.theirs);
}

const inSeconds = ({ seconds }) => `${seconds.toFixed(2)} s`;
const inMebibytes = ({ mebibytes }) => `${Math.round(mebibytes)} MiB`;

/** The recorded bundles one after the other, each with a start of Node that is taken off. */
async function recorded() {
  let [own, reference, count] = [0, 0, 0];
  const start = await medianStart();
  for (const file of readdirSync(fixtures).filter((name) => name.startsWith('recorded-'))) {
    const { files, state } = JSON.parse(gunzipSync(readFileSync(join(fixtures, file))).toString('utf8'));
    if (state === null) continue;
    rmSync(bundle, { recursive: true, force: true });
    for (const [path, content] of Object.entries(files)) {
      mkdirSync(dirname(join(bundle, path)), { recursive: true });
      writeFileSync(join(bundle, path), content, 'latin1');
    }
    own += (await ours()).seconds - start;
    reference += (await theirs()).seconds;
    await expectSameBytes();
    count++;
  }
  const each = (seconds) => `${((1000 * seconds) / count).toFixed(0)} ms`;
  console.log(
    `recorded   ${count} bundles: ${each(own)} each beyond Node's start of ${(1000 * start).toFixed(0)} ms, Codex ${VERSION} ${each(reference)}; same bytes`,
  );
}

async function medianStart() {
  const seconds = [];
  for (let run = 0; run < 9; run++) seconds.push((await measure(process.execPath, '-e', '0')).seconds);
  return seconds.toSorted((a, b) => a - b)[4];
}

function make(size) {
  rmSync(bundle, { recursive: true, force: true });
  return generateTrace(bundle, size);
}

/** One size, beside the reference where that does not take too long. */
async function compared(name, size, goal, isPatient = true) {
  const { events, bytes } = make(size);
  const own = await ours();
  const what = `${name.padEnd(10)} ${events} events, ${Math.round(bytes / 1e6)} MB: ${inSeconds(own)}, ${inMebibytes(own)}`;
  if (!isPatient) {
    console.log(`${what}; Codex only with --long`);
    return;
  }
  const reference = await theirs();
  await expectSameBytes();
  const ratio = (reference.seconds / own.seconds).toFixed(1);
  console.log(
    `${what}; Codex ${inSeconds(reference)}, ${inMebibytes(reference)}; ${ratio} times as fast, goal ${goal}; same bytes`,
  );
}

/** Ten times as many threads of the same length take how much longer. */
async function growth() {
  const times = [];
  for (const threads of [4, 40]) {
    const { events } = make({ threads, rounds: 310, incremental: true });
    times.push({ events, ...(await ours()) });
  }
  const [small, large] = times;
  const exponent = Math.log(large.seconds / small.seconds) / Math.log(large.events / small.events);
  console.log(
    `growth     ${small.events} events ${inSeconds(small)}, ${large.events} events ${inSeconds(large)}: exponent ${exponent.toFixed(2)}, goal ${GROWTH_GOAL}`,
  );
}

try {
  if (isAsked('recorded')) await recorded();
  if (isAsked('rounds')) await compared('rounds', { threads: 1, rounds: 1120, incremental: true }, 5);
  if (isAsked('threads')) await growth();
  if (isAsked('socket')) {
    await compared('socket', { threads: 43, rounds: 290, incremental: true }, 50, isLong);
  }
  if (isAsked('http')) {
    await compared('http', { threads: 25, rounds: 290, incremental: false }, 50, isLong);
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
