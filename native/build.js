// Compiles the N-API shim. Plain C against Node's stable ABI: no headers beyond node-api-headers, no download.
import { spawnSync } from 'node:child_process';
import { mkdirSync, renameSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
mkdirSync(`${root}native/build`, { recursive: true });

const sources = [
  'shim',
  'arguments',
  'session',
  'links',
  'elements',
  'ring',
  'trial',
  'crc32c',
  'kernel',
  'kernel-ring',
].map((name) => `native/${name}.c`);
const shim = `${root}native/build/linux-${process.arch}.node`;
const compiler = process.env.CC ?? 'cc';
const { status, error } = spawnSync(
  compiler,
  [
    '-shared',
    '-fPIC',
    '-O2',
    '-Wall',
    '-Wextra',
    '-Werror',
    '-fvisibility=hidden',
    '-Inode_modules/node-api-headers/include',
    '-Isrc/bpf',
    ...sources,
    '-o',
    `${shim}.new`,
  ],
  { cwd: root, stdio: 'inherit' },
);
if (error !== undefined)
  console.error(`${compiler}: ${error.message} (install gcc, or set CC to a C compiler)`);
if (status === 0) renameSync(`${shim}.new`, shim);
else process.exitCode = 1;
