// `codex` as npm installs it is a script that starts the native program of another package. Finds that program as
// the script does: in the platform's package, or in the script's own package, where older releases had it.

import { closeSync, existsSync, openSync, readFileSync, readSync, realpathSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { AgsightError } from '../errors.js';

const packageName = '@openai/codex';
const platforms = [
  { arch: 'x64', triple: 'x86_64-unknown-linux-musl', package: '@openai/codex-linux-x64' },
  { arch: 'arm64', triple: 'aarch64-unknown-linux-musl', package: '@openai/codex-linux-arm64' },
];
const maxDepth = 16;

/**
 * The native program behind `path`: `path` itself unless it is Codex's launcher script. Of several programs, the
 * one for this machine.
 *
 * @throws AgsightError `no-native-program` when it is the launcher and there is no program for Linux beside it
 */
export function nativeProgramOf(path: string): string {
  if (!isScript(path)) return path;
  const script = realpathSync(path);
  const packageRoot = dirname(dirname(script));
  if (!isCodexPackage(packageRoot)) return path;
  const native = [...candidates(packageRoot)].find((candidate) => existsSync(candidate));
  if (native !== undefined) return native;
  throw new AgsightError('no-native-program', "Codex's launcher, without a program for Linux beside it", {
    file: path,
    remedy: 'install Codex anew, with its optional dependencies',
  });
}

function* candidates(packageRoot: string): Generator<string> {
  const own = platforms.filter(({ arch }) => arch === process.arch);
  const others = platforms.filter(({ arch }) => arch !== process.arch);
  for (const platform of [...own, ...others]) {
    for (const root of [...installedPackages(packageRoot, platform.package), packageRoot]) {
      for (const folder of ['bin', 'codex']) yield join(root, 'vendor', platform.triple, folder, 'codex');
    }
  }
}

/** Where Node would look for the package from inside `from`. */
function* installedPackages(from: string, name: string): Generator<string> {
  let directory = from;
  for (let depth = 0; depth < maxDepth; depth++) {
    yield join(directory, 'node_modules', name);
    if (dirname(directory) === directory) return;
    directory = dirname(directory);
  }
}

function isCodexPackage(root: string): boolean {
  try {
    const content: unknown = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    return (
      typeof content === 'object' && content !== null && 'name' in content && content.name === packageName
    );
  } catch {
    return false;
  }
}

/** False also when the file cannot be read: whoever reads it next says why. */
function isScript(path: string): boolean {
  try {
    if (!statSync(path).isFile()) return false;
    const descriptor = openSync(path, 'r');
    try {
      const start = Buffer.alloc(2);
      readSync(descriptor, start, 0, 2, 0);
      return start.toString('latin1') === '#!';
    } finally {
      closeSync(descriptor);
    }
  } catch {
    return false;
  }
}
