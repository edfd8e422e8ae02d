// Headers of a kernel for bcc, which compiles its programs where it runs. A program that reads no structure of the kernel
// does with those of any other version.

import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';

const MODULES = '/lib/modules';
const CONFIGURATION = 'include/generated/autoconf.h';

/** @param {string} version */
const isComplete = (version) => existsSync(join(MODULES, version, 'build', CONFIGURATION));

/** Of the running kernel or, where these are not installed, the newest. */
function installedVersion() {
  if (isComplete(release())) return release();
  const versions = existsSync(MODULES) ? readdirSync(MODULES).filter(isComplete) : [];
  return versions.sort((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1);
}

/**
 * Where the distribution has two trees, what was generated and what was not, bcc takes them as one only from the
 * running kernel's: they are put together as links.
 *
 * @param {string} directory
 * @returns {string | undefined} for BCC_KERNEL_SOURCE; undefined when no headers are installed
 */
export function linkKernelHeaders(directory) {
  const version = installedVersion();
  if (version === undefined) return undefined;
  const headers = mkdtempSync(join(directory, 'headers-'));
  const places = ['source', 'build'].map((name) => join(MODULES, version, name)).filter(existsSync);
  const trees = new Set(places.map((place) => realpathSync(place)));
  for (const tree of trees) {
    execFileSync('cp', ['-rs', join(tree, 'include'), join(tree, 'arch'), headers]);
  }
  const configuration = join(headers, CONFIGURATION);
  const text = readFileSync(configuration, 'utf8');
  rmSync(configuration);
  // Where a compiler optimizes, min() of newer kernels holds a call that bcc before 0.34 refuses (its issue 5241).
  writeFileSync(configuration, `${text}#undef __OPTIMIZE__\n`);
  return headers;
}
