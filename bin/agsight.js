#!/usr/bin/env node
import { existsSync, readFileSync, writeSync } from 'node:fs';

const help = new URL('../dist/help.txt', import.meta.url);
const args = process.argv.slice(2);
const [argument, ...others] = args;
if (!existsSync(help)) {
  console.error('agsight: it is not built yet (run `npm ci && npm run build` in its directory)');
  process.exitCode = 1;
} else if ((argument === '--help' || argument === '-h') && others.length === 0) {
  // The help is text that the build has written: whoever asks for it waits for nothing else.
  try {
    writeSync(1, readFileSync(help));
  } catch (error) {
    if (error.code !== 'EPIPE') {
      console.error(`agsight: the output cannot be written: ${error.code}`);
      process.exitCode = 1;
    }
  }
} else {
  if (args.includes('capture')) (await import('../dist/capture/head-start.js')).beginLoading(args);
  const { main } = await import('../dist/cli.js');
  await main(process.argv);
}
