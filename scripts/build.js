// Builds what runs: dist/ from src/, and on Linux the N-API shim that `agsight capture` loads. The new dist/ takes
// the place of the old one only when it is whole.
import { spawnSync } from 'node:child_process';
import { cpSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const fresh = `${root}dist.new`;

function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (error !== undefined) console.error(`${command}: ${error.message}`);
  if (status !== 0) process.exit(1);
}

/** What the program says of itself; bin/agsight.js prints it without loading the program. */
function helpText() {
  const program = `import { main } from '${pathToFileURL(`${fresh}/cli.js`)}'; await main(['node', 'agsight', '--help']);`;
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', program]);
  if (status === 0) return stdout;
  console.error(stderr.toString());
  process.exit(1);
}

rmSync(fresh, { recursive: true, force: true });
run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.json', '--outDir', fresh]);

// Schemas and tables are data: they are read at run time from where they stand beside the code.
for (const asset of ['evidence/proc-event.proto', 'elf/offset-table.json', 'bpf/skeleton']) {
  cpSync(`${root}src/${asset}`, `${fresh}/${asset}`, { recursive: true });
}

writeFileSync(`${fresh}/help.txt`, helpText());

if (process.platform === 'linux') run(process.execPath, ['native/build.js']);

rmSync(`${root}dist`, { recursive: true, force: true });
renameSync(fresh, `${root}dist`);
