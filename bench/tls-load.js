// Compiles tls-load.c and runs it under something. Used by the other benchmarks.

import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const agsight = fileURLToPath(new URL('../bin/agsight.js', import.meta.url));

/** Of strace, for what it tells of the network. */
export const straceOptions = ['-f', '-qq', '-e', 'trace=network', '-o', '/dev/null'];

/**
 * @param {string} directory where it is put
 * @returns {string} path of the program
 */
export function buildLoad(directory, name = 'tls-load') {
  const path = join(directory, name);
  const source = fileURLToPath(new URL('tls-load.c', import.meta.url));
  execFileSync('cc', ['-O1', '-fno-omit-frame-pointer', '-fcf-protection=none', '-o', path, source]);
  return path;
}

/**
 * @typedef {object} Run
 * @property {number | null} status
 * @property {string} stdout
 * @property {string} stderr
 *
 * @param {string[]} command
 * @param {NodeJS.ProcessEnv} [env]
 * @param {(pid: number) => void} [started]
 * @returns {Promise<Run>}
 */
export function run([file = '', ...args], env = process.env, started = () => {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr += text;
    });
    child.once('error', reject);
    child.once('spawn', () => started(child.pid ?? 0));
    child.once('close', (status) => resolve({ status, stdout, stderr }));
  });
}

/**
 * Nanoseconds for each of what the load did, by the clock and on a CPU.
 *
 * @typedef {{ ns: number, cpu: number }} Cost
 *
 * @param {string} stdout what the load printed last
 * @returns {Cost | undefined}
 */
export function readCost(stdout) {
  const [count, ns, cpu] = (stdout.trim().split('\n').at(-1) ?? '').split(' ').map(Number);
  if (count === undefined || ns === undefined || cpu === undefined || Number.isNaN(cpu)) return undefined;
  return { ns: ns / count, cpu: cpu / count };
}

/**
 * @param {string[]} command the load, and what it runs under
 * @param {NodeJS.ProcessEnv} [env]
 */
export async function costOf(command, env) {
  const { status, stdout, stderr } = await run(command, env);
  const cost = readCost(stdout);
  if (cost === undefined || status !== 0) {
    throw new Error(`${command.slice(0, 2).join(' ')}: ${stderr.trim().slice(-300)}`);
  }
  return cost;
}

/** @param {string} program */
export const isInstalled = (program) => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;

/** @param {number[]} values */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low = Number.NaN, high = Number.NaN] =
    sorted.length % 2 === 1 ? [sorted[middle], sorted[middle]] : sorted.slice(middle - 1, middle + 1);
  return (low + high) / 2;
}
