// What a capture costs a real Codex: how long the same run takes bare, under agsight and under strace, in turn.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readEvidence } from '../dist/evidence/reader.js';
import { fetchCodex } from '../test/support/codex-package.js';
import { prepareCodexRun } from '../test/support/codex-run.js';
import { demoPrompt, demoSteps, demoWorkspace } from '../test/support/demo-script.js';
import { startMockResponses } from '../test/support/mock-responses.js';
import { agsight, buildLoad, costOf, isInstalled, median, run, straceOptions } from './tls-load.js';

const GOAL = 0.02;
const MANY = 40;

const [callTool, answer] = demoSteps;

/** @param {number} nth */
function toolCall(nth) {
  const output = callTool?.output.map((item) => ({
    ...item,
    id: `${item.id}_${nth}`,
    ...(item.type === 'function_call' ? { call_id: `call_${nth}` } : {}),
  }));
  return { ...callTool, output: output ?? [] };
}

/** `runs` in each round: short ones vary more. */
const scenarios = [
  { name: 'a tool call', runs: 3, steps: demoSteps },
  {
    name: `${MANY} tool calls`,
    runs: 1,
    steps: [...Array.from({ length: MANY }, (_, nth) => toolCall(nth)), ...(answer ? [answer] : [])],
  },
];

/**
 * @typedef {object} Place
 * @property {string} directory for what is recorded
 * @property {string} load
 * @property {string[]} command
 * @property {NodeJS.ProcessEnv} env
 */

/**
 * How long the command of a capture ran, in milliseconds: from its exec to its exit, by the kernel's own records of them.
 *
 * @param {Place} place
 * @param {string[]} options
 */
async function capturedMs({ directory, command, env }, options) {
  const bundle = mkdtempSync(join(directory, 'bundle-'));
  const line = [process.execPath, agsight, 'capture', '--raw', ...options, '-o', bundle, '--', ...command];
  const { stderr } = await run(line, env);
  let pid = 0;
  let execNs = 0n;
  for await (const event of readEvidence(bundle)) {
    if (event.kind === 'exec' && pid === 0) {
      pid = event.pid;
      execNs = event.timeNs;
    } else if (event.kind === 'exit' && event.pid === pid) {
      if (event.exitCode !== 0) throw new Error(`the command failed under agsight: ${stderr}`);
      return Number(event.timeNs - execNs) / 1e6;
    }
  }
  throw new Error(`no exit of the command in the evidence: ${stderr}`);
}

/** @param {Place} place @param {string[]} [under] */
const ranMs = async ({ load, command, env }, under = []) =>
  (await costOf([...under, load, 'run', ...command], env)).ns / 1e6;

/** @type {{ name: string, once: (place: Place) => Promise<number>, program?: string }[]} */
const contestants = [
  { name: 'bare', once: (place) => ranMs(place) },
  { name: 'agsight', once: (place) => capturedMs(place, []) },
  { name: 'agsight --no-files', once: (place) => capturedMs(place, ['--no-files']) },
  {
    name: 'strace -f -e trace=network',
    program: 'strace',
    once: (place) => ranMs(place, ['strace', ...straceOptions]),
  },
];

/**
 * The standard error of the median of values that scatter as a normal distribution does, from the middle half of them:
 * a run that something else has disturbed counts no more than another.
 *
 * @param {readonly number[]} values
 */
function errorOfMedian(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const quarter = Math.floor(sorted.length / 4);
  const middleHalf = (sorted.at(-1 - quarter) ?? Number.NaN) - (sorted[quarter] ?? Number.NaN);
  return ((middleHalf / 1.349) * 1.253) / Math.sqrt(sorted.length);
}

/** @param {number} rounds */
export async function compareCodex(rounds) {
  for (const scenario of scenarios) await compareScenario(rounds, scenario);
  console.log(`  goal: agsight within ${GOAL * 100} %\n`);
}

/**
 * @param {number} rounds
 * @param {typeof scenarios[number]} scenario
 */
async function compareScenario(rounds, { name: title, runs, steps }) {
  const codex = await fetchCodex('0.169.0', { report: console.error });
  const directory = mkdtempSync(join(tmpdir(), 'agsight-bench-'));
  const samples = new Map();
  try {
    const load = buildLoad(directory);
    const able = contestants.filter(({ program }) => program === undefined || isInstalled(program));
    for (let round = 0; round < rounds * runs; round++) {
      for (const { name, once } of able) {
        const server = await startMockResponses(steps);
        const home = join(directory, 'home');
        const run = { codex, directory: home, server, prompt: demoPrompt, workspace: demoWorkspace };
        const { command, env: own } = prepareCodexRun(run);
        // Programs that agsight has met before are known to it, as on any machine but for the first time.
        const env = { ...own, XDG_CACHE_HOME: join(directory, 'cache') };
        samples.set(name, [...(samples.get(name) ?? []), await once({ directory, load, command, env })]);
        await server.close();
        rmSync(home, { recursive: true });
      }
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  console.log(
    `codex exec with ${title}, median of ${rounds * runs} rounds, and of the ratios within each round`,
  );
  for (const [name, values] of samples) {
    // Of pairs from one round: what the machine does meanwhile hits both.
    const ratios = values.map(
      (/** @type {number} */ value, /** @type {number} */ round) =>
        value / (samples.get('bare')?.[round] ?? Number.NaN),
    );
    const change = `${((median(ratios) - 1) * 100).toFixed(1)} % ± ${(errorOfMedian(ratios) * 100).toFixed(1)}`;
    console.log(
      `  ${name.padEnd(28)} ${median(values).toFixed(0)} ms${name === 'bare' ? '' : `   ${change}`}`,
    );
  }
}
