// Tracers that attach to tls-load.c from outside and write down what its SSL_write is given: bpftrace and bcc's sslsniff.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { linkKernelHeaders } from './kernel-headers.js';
import { readCost, run } from './tls-load.js';

/** A tracer that has written nothing for so long has nothing left to write. */
const QUIET_MS = 1000;
/** Of 4 KiB, in a ring of bpftrace: 64 MiB, as agsight has. Its own 64 pages lose most calls, and to lose one is cheaper. */
export const RING_PAGES = 16_384;

/**
 * @typedef {object} Tracer
 * @property {string} program
 * @property {(pid: number, path: string) => string[]} args
 * @property {NodeJS.ProcessEnv} env
 * @property {RegExp} recorded what it prints of each call of which it has all bytes
 */

/** @param {string} path */
const onWrite = (path) => `uprobe:${path}:SSL_write { @bytes[tid] = arg1; }
uretprobe:${path}:SSL_write /@bytes[tid]/ { printf("%d %r\\n", pid, buf(@bytes[tid], retval)); delete(@bytes[tid]); }`;

/**
 * @param {number} bytes in each call
 * @returns {Tracer}
 */
export const bpftrace = (bytes) => ({
  program: 'bpftrace',
  args: (pid, path) => ['-q', '-p', `${pid}`, '-e', onWrite(path)],
  env: { BPFTRACE_STRLEN: `${bytes}`, BPFTRACE_PERF_RB_PAGES: `${RING_PAGES}` },
  recorded: new RegExp(`^\\d+ (\\\\x01){${bytes}}$`, 'gm'),
});

/**
 * @param {number} bytes in each call
 * @param {string} directory for headers
 * @returns {Tracer}
 */
export const sslsniff = (bytes, directory) => ({
  program: 'sslsniff-bpfcc',
  args: (pid, path) => ['-p', `${pid}`, '--extra-lib', `openssl:${path}`, '--max-buffer-size', `${bytes}`],
  env: { BCC_KERNEL_SOURCE: linkKernelHeaders(directory) },
  recorded: new RegExp(`^\\x01{${bytes}}\\n-+ END DATA -+$`, 'gm'),
});

/** @param {string} path a file that is written to */
async function quiet(path) {
  for (let before = -1, size = 0; before !== size; ) {
    before = size;
    await delay(QUIET_MS);
    size = statSync(path).size;
  }
}

/** @param {string} printed by a tracer that recorded nothing */
function reasonIn(printed) {
  if (printed.includes('Unable to find kernel headers'))
    return 'it needs the headers of a kernel (apt-get install linux-headers-amd64 or -arm64)';
  const lines = printed.trim().split('\n');
  return lines.find((line) => /error:|ERROR:/.test(line)) ?? lines.at(-1);
}

/**
 * @param {Tracer} tracer
 * @param {string} load
 * @param {string[]} work that the load does once it is probed
 * @param {number} calls in it
 * @param {string} directory for what the tracer writes
 */
export async function costUnder({ program, args, env, recorded }, load, work, calls, directory) {
  const place = mkdtempSync(join(directory, 'traced-'));
  const output = join(place, 'output');
  const file = openSync(output, 'w');
  /** @type {import('node:child_process').ChildProcess | undefined} */
  let tracer;
  /** @type {Promise<unknown> | undefined} */
  let ended;
  let complaint = '';
  try {
    const { stdout } = await run([load, 'wait', ...work], process.env, (pid) => {
      tracer = spawn(program, args(pid, load), {
        env: { ...process.env, ...env },
        stdio: ['ignore', file, 'pipe'],
      });
      tracer.stderr?.setEncoding('utf8').on('data', (text) => {
        complaint += text;
      });
      ended = once(tracer, 'close');
      // The load waits for a probe; without a tracer none comes.
      tracer.once('exit', () => spawnSync('kill', [`${pid}`]));
    });
    await quiet(output);
    tracer?.kill('SIGINT');
    await ended;
    const cost = readCost(stdout);
    const printed = readFileSync(output, 'latin1');
    const count = printed.match(recorded)?.length ?? 0;
    if (cost === undefined || count === 0)
      throw new Error(reasonIn(printed + complaint) || 'it recorded nothing');
    return { ...cost, lost: calls - count };
  } finally {
    closeSync(file);
    rmSync(place, { recursive: true });
  }
}
