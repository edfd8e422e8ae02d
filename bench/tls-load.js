// Compiles tls-load.c and runs it under something. Used by the other benchmarks.

import { execFileSync, spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const agsight = fileURLToPath(new URL('../bin/agsight.js', import.meta.url));

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

/** @param {number[]} values */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low = Number.NaN, high = Number.NaN] =
    sorted.length % 2 === 1 ? [sorted[middle], sorted[middle]] : sorted.slice(middle - 1, middle + 1);
  return (low + high) / 2;
}
