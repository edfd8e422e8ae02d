// Compiles the kernel side and generates its light skeletons, which are committed: only who changes
// src/bpf/*.c or *.h needs clang, llvm-strip and libbpf's headers (Debian: clang llvm libbpf-dev).
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const source = join(root, 'src/bpf');
const work = mkdtempSync(join(tmpdir(), 'agsight-bpf-'));

function run(command, args) {
  const { status, error, stdout } = spawnSync(command, args, {
    cwd: source,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (error !== undefined)
    throw new Error(`${command}: ${error.message} (install clang, llvm and libbpf-dev)`);
  if (status !== 0) throw new Error(`${command} failed`);
  return stdout;
}

try {
  run('cc', ['-O2', '-Wall', '-o', join(work, 'generate'), 'generate.c', '-lbpf']);
  mkdirSync(join(source, 'skeleton'), { recursive: true });
  const multiarch = run('cc', ['-print-multiarch']).toString().trim();
  for (const [arch, target] of [
    ['x64', 'x86'],
    ['arm64', 'arm64'],
  ]) {
    for (const name of ['agsight', 'agsight-files']) {
      const object = join(work, `${name}-${arch}.o`);
      run('clang', [
        '-O2',
        '-g',
        '-Wall',
        '-Werror',
        '-target',
        'bpf',
        `-D__TARGET_ARCH_${target}`,
        `-I/usr/include/${multiarch}`,
        `-fdebug-prefix-map=${source}=.`,
        '-c',
        `${name}.bpf.c`,
        '-o',
        object,
      ]);
      run('llvm-strip', ['-g', object]);
      run(join(work, 'generate'), [object, join(source, 'skeleton', `${name}-${arch}`)]);
    }
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
