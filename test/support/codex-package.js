// The official Codex binary, from the npm registry.

import { join } from 'node:path';
import { fetchProgram, programCache } from './npm-program.js';

/**
 * The path of the native Codex binary, kept in `codex/VERSION-linux-ARCH` of the cache. Errors: those of `fetchProgram`.
 *
 * @param {string} version for example `0.169.0`
 * @param {{ arch?: string, cache?: string, report?: (message: string) => void }} [options] `report` is told when a
 *   download begins
 * @returns {Promise<string>}
 */
export function fetchCodex(
  version,
  { arch = process.arch, cache = join(programCache(), 'codex'), report } = {},
) {
  return fetchProgram(packageSpec(version, arch), {
    entry: join(cache, `${version}-linux-${arch}`),
    program: 'codex',
    target: `${arch === 'arm64' ? 'aarch64' : 'x86_64'}-unknown-linux-musl`,
    ...(report && { report }),
  });
}

/**
 * Up to 0.98, one package held the programs of all platforms.
 *
 * @param {string} version
 * @param {string} arch
 */
function packageSpec(version, arch) {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const hasAll = major === 0 && minor <= 98;
  return hasAll ? `@openai/codex@${version}` : `@openai/codex@${version}-linux-${arch}`;
}
