// Ctrl-C for commands that write files: what they have begun is taken back before they end.

import { AgsightError, ExitCode } from '../errors.js';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Does `work` with a signal that the first SIGINT, SIGTERM or SIGHUP aborts, for AgsightError `interrupted`. The second
 * one ends the program at once.
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  const restore = () => {
    for (const name of SIGNALS) process.off(name, interrupt);
  };
  const interrupt = () => {
    restore();
    stop.abort(new AgsightError('interrupted', 'interrupted', { exitCode: ExitCode.interrupted }));
  };
  for (const name of SIGNALS) process.on(name, interrupt);
  return work(stop.signal).finally(restore);
}
