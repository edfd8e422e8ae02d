// Notes for the person at the terminal: on stderr, never mixed with data, silenced by --quiet. Errors go the same
// way but are never silenced.

import type { AgsightError } from '../errors.js';

export type Verbosity = 'quiet' | 'normal' | 'verbose';

let verbosity: Verbosity = 'normal';

/** Set once by the program from -q and -v. */
export function setVerbosity(value: Verbosity): void {
  verbosity = value;
}

/** Something that the person should know. */
export function note(text: string): void {
  if (verbosity !== 'quiet') console.error(text);
}

/** Something that the person asked for with -v. */
export function detail(text: string): void {
  if (verbosity === 'verbose') console.error(text);
}

/** The one form of an error on stderr: a line for people, an object for scripts. */
export function printError({ code, message, file, place, remedy }: AgsightError, json: boolean): void {
  console.error(
    json ? JSON.stringify({ error: { code, message, file, place, remedy } }) : `agsight: ${message}`,
  );
}
