#!/usr/bin/env node
import { readFileSync, writeSync } from 'node:fs';

// The help is text that the build has written: whoever asks for it waits for nothing else.
const [argument, ...others] = process.argv.slice(2);
if ((argument === '--help' || argument === '-h') && others.length === 0) {
  try {
    writeSync(1, readFileSync(new URL('../dist/help.txt', import.meta.url)));
  } catch (error) {
    if (error.code !== 'EPIPE') throw error;
  }
} else {
  const { main } = await import('../dist/cli.js');
  await main(process.argv);
}
