// Starts the command of `agsight capture -- CMD`: found first, then stopped before its first instruction, so
// that everything can be in place when it runs.

import { spawn } from 'node:child_process';
import { accessSync, constants, existsSync, realpathSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { AgsightError } from '../errors.js';
import { processState } from './process.js';

const stopTimeoutMs = 10_000;

function isExecutableFile(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** The file that `name` would run, symbolic links resolved. Errors: `no-command`. */
export function findCommand(name: string, searchPath = process.env.PATH ?? ''): string {
  const candidates = name.includes('/') ? [name] : searchPath.split(delimiter).map((dir) => join(dir, name));
  const found = candidates.find(isExecutableFile);
  if (found === undefined) {
    throw new AgsightError('no-command', 'there is no such command, or it may not be executed', {
      file: name,
      remedy: 'check the name and PATH',
    });
  }
  return realpathSync(found);
}

/** The program that a person names: a file, or else a command. Errors: `no-command`. */
export function findProgram(name: string): string {
  if (name.includes('/') || existsSync(name)) return name;
  try {
    return findCommand(name);
  } catch (cause) {
    throw new AgsightError('no-command', 'there is no such command, nor such a file here', {
      file: name,
      remedy: 'check the path, or the name and PATH',
      cause,
    });
  }
}

export interface StoppedCommand {
  pid: number;
  /** The file that it runs. */
  path: string;
  /** Lets it run. */
  resume(): void;
  /** Passes on a signal that asked us to stop, unless the terminal has sent it to the command as well. */
  forward(signal: unknown): void;
  /** Ends it if it was never let run. */
  end(): void;
  /** Lets us exit although it may still run. */
  leave(): void;
  /** Settles when it has ended. */
  ended: Promise<void>;
}

/**
 * Starts `command` stopped, with our standard input and output. The process that is stopped is a shell that
 * becomes the command by exec, so its pid is the command's.
 *
 * @param path what `findCommand` has found for it
 *
 * Errors: `start-failed`.
 */
export async function startStopped(command: readonly string[], path: string): Promise<StoppedCommand> {
  const child = spawn('/bin/sh', ['-c', 'kill -STOP $$; exec "$@"', 'sh', ...command], { stdio: 'inherit' });
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  const pid = await new Promise<number>((resolve, reject) => {
    child.once('spawn', () => resolve(child.pid ?? 0));
    child.once('error', (cause) =>
      reject(
        new AgsightError('start-failed', `cannot be started: ${cause.message}`, { file: command[0], cause }),
      ),
    );
  });
  const deadline = Date.now() + stopTimeoutMs;
  while (processState(pid) !== 'T') {
    if (child.exitCode !== null || Date.now() > deadline) {
      child.kill('SIGKILL');
      throw new AgsightError('start-failed', 'did not stop before its start', { file: command[0] });
    }
    await delay(1);
  }
  let isHeld = true;
  return {
    pid,
    path,
    ended,
    resume() {
      isHeld = false;
      child.kill('SIGCONT');
    },
    end() {
      if (isHeld) child.kill('SIGKILL');
    },
    forward(signal) {
      if (signal === 'SIGINT' && process.stdin.isTTY) return;
      child.kill(signal === 'SIGINT' ? 'SIGINT' : 'SIGTERM');
    },
    leave: () => child.unref(),
  };
}
