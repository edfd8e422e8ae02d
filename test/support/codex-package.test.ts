// The fetcher against a registry on loopback that serves a tiny package.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { fetchCodex } from './codex-package.js';

const version = '1.2.3';
const packageVersion = `${version}-linux-x64`;

let directory: string;
let cache: string;
let registry: Server;
let integrity: string;

function registryUrl(): string {
  const address = registry.address();
  if (address === null || typeof address === 'string') throw new Error('the registry is not listening');
  return `http://127.0.0.1:${address.port}/`;
}

function makeTarball(): Buffer {
  const binaries = join(directory, 'source', 'package', 'vendor', 'any', 'bin');
  mkdirSync(binaries, { recursive: true });
  writeFileSync(join(binaries, 'codex'), 'the binary', { mode: 0o755 });
  const manifest = JSON.stringify({ name: '@openai/codex', version: packageVersion });
  writeFileSync(join(directory, 'source', 'package', 'package.json'), manifest);
  execFileSync('tar', ['-czf', join(directory, 'source.tgz'), '-C', join(directory, 'source'), 'package']);
  return readFileSync(join(directory, 'source.tgz'));
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'agsight-fetch-'));
  cache = join(directory, 'cache');
  const tarball = makeTarball();
  integrity = `sha512-${createHash('sha512').update(tarball).digest('base64')}`;
  registry = createServer((request, response) => {
    if (request.url?.endsWith('.tgz') === true) {
      response.end(tarball);
      return;
    }
    const dist = { tarball: `${registryUrl()}codex.tgz`, integrity };
    const manifest = { name: '@openai/codex', version: packageVersion, dist };
    response.end(
      JSON.stringify({ name: '@openai/codex', 'dist-tags': {}, versions: { [packageVersion]: manifest } }),
    );
  });
  await new Promise<void>((resolve) => registry.listen(0, '127.0.0.1', resolve));
  vi.stubEnv('npm_config_registry', registryUrl());
  vi.stubEnv('npm_config_cache', join(directory, 'npm'));
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await new Promise((resolve) => registry.close(resolve));
  rmSync(directory, { recursive: true });
});

const fetchIt = (): Promise<string> => fetchCodex(version, { arch: 'x64', cache });

test('is fetched once and then taken from the cache, without a registry', async () => {
  const path = await fetchIt();
  expect(readFileSync(path, 'utf8')).toBe('the binary');
  vi.stubEnv('npm_config_registry', 'http://127.0.0.1:9/');
  expect(await fetchIt()).toBe(path);
  expect(readdirSync(cache)).toEqual([`${version}-linux-x64`]);
});

test('a binary that changed in the cache is fetched anew', async () => {
  writeFileSync(await fetchIt(), 'another one');
  expect(readFileSync(await fetchIt(), 'utf8')).toBe('the binary');
});

test('two at once end with one entry', async () => {
  const paths = await Promise.all([fetchIt(), fetchIt()]);
  expect(paths[0]).toBe(paths[1]);
  expect(readFileSync(paths[0], 'utf8')).toBe('the binary');
  expect(readdirSync(cache)).toEqual([`${version}-linux-x64`]);
});

test('a package that is not what the registry lists is refused', async () => {
  integrity = `sha512-${createHash('sha512').update('something else').digest('base64')}`;
  await expect(fetchIt()).rejects.toThrow(
    /^@openai\/codex@1\.2\.3-linux-x64: npm pack failed: EINTEGRITY, .*$/,
  );
  expect(readdirSync(cache)).toEqual([]);
});

test('an unreachable registry is one line that says what to check', async () => {
  vi.stubEnv('npm_config_registry', 'http://127.0.0.1:9/');
  await expect(fetchIt()).rejects.toThrow(
    /^@openai\/codex@1\.2\.3-linux-x64: npm view failed: ECONNREFUSED, .* \(check the network .*\)$/,
  );
});
