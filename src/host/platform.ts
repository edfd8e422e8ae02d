// What runs on Linux only says so in the same words.

import { AgsightError } from '../errors.js';

/** Errors: `unsupported-host`. */
export function requireLinux(command: string): void {
  if (process.platform === 'linux') return;
  throw new AgsightError('unsupported-host', `${command} does not run on ${process.platform}`, {
    remedy: 'run it on Linux, where captures are made',
  });
}
