// Builds what runs: dist/ from src/, and on Linux the N-API shim that `agsight capture` loads. The new dist/ takes
// the place of the old one only when it is whole.
import { spawnSync } from 'node:child_process';
import { cpSync, renameSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const fresh = `${root}dist.new`;

function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (error !== undefined) console.error(`${command}: ${error.message}`);
  if (status !== 0) process.exit(1);
}

rmSync(fresh, { recursive: true, force: true });
run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.json', '--outDir', fresh]);

// Schemas and tables are data: they are read at run time from where they stand beside the code.
for (const asset of ['evidence/proc-event.proto', 'elf/offset-table.json', 'bpf/skeleton']) {
  cpSync(`${root}src/${asset}`, `${fresh}/${asset}`, { recursive: true });
}

if (process.platform === 'linux') run(process.execPath, ['native/build.js']);

rmSync(`${root}dist`, { recursive: true, force: true });
renameSync(fresh, `${root}dist`);
