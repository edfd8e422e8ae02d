// Notes for the person at the terminal: on stderr, never mixed with data, silenced by --quiet. Errors go the same
// way but are never silenced.

import type { AgsightError } from '../errors.js';
import { Progress, printAboveProgress } from './progress.js';

export type Verbosity = 'quiet' | 'normal' | 'verbose';

let verbosity: Verbosity = 'normal';

/** Set once by the program from -q and -v. */
export function setVerbosity(value: Verbosity): void {
  verbosity = value;
}

/** Something that the person should know. */
export function note(text: string): void {
  if (verbosity !== 'quiet') print(text);
}

/** Something that the person asked for with -v. */
export function detail(text: string): void {
  if (verbosity === 'verbose') print(text);
}

/** Whether `detail` prints anything: what is only shown there need not be worked out. */
export function isVerbose(): boolean {
  return verbosity === 'verbose';
}

/** The line that tells how far a long work is; undefined where nobody would see it. */
export function startProgress(): Progress | undefined {
  const isSeen = process.stderr.isTTY && process.env.TERM !== 'dumb' && verbosity !== 'quiet';
  return isSeen ? new Progress(process.stderr) : undefined;
}

/** The one form of an error on stderr: a line for people, an object for scripts. */
export function printError({ code, message, file, place, remedy }: AgsightError, json: boolean): void {
  print(json ? JSON.stringify({ error: { code, message, file, place, remedy } }) : `agsight: ${message}`);
}

function print(text: string): void {
  printAboveProgress(() => console.error(text));
}
