// What /proc says about a process. Every function copes with a process that ends while it is looked at.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { RunningEvent } from '../evidence/event.js';

function readOrEmpty(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch {
    return Buffer.alloc(0);
  }
}

function linkOrUndefined(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

export function isAlive(pid: number): boolean {
  const state = processState(pid);
  if (state === undefined || state === 'X') return false;
  // The first thread may be gone while others go on.
  return state !== 'Z' || threads(pid).length > 1;
}

/** The state letter of proc(5), or undefined when there is no such process. */
export function processState(pid: number): string | undefined {
  const stat = readOrEmpty(`/proc/${pid}/stat`).toString('latin1');
  // The name in parentheses may itself hold parentheses and spaces.
  return stat === '' ? undefined : stat.charAt(stat.lastIndexOf(')') + 2);
}

/** The path of the program that `pid` runs, with the kernel's " (deleted)" when it was removed or replaced. */
export function executable(pid: number): string | undefined {
  return linkOrUndefined(`/proc/${pid}/exe`);
}

/** The kernel's name of the process: at most 15 bytes, and its own to change. Empty when it has ended. */
export function commandName(pid: number): string {
  return readOrEmpty(`/proc/${pid}/comm`).toString('utf8').replace(/\n$/, '');
}

/** All processes of this host, ascending. */
export function allProcesses(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

export function environment(pid: number): Map<string, string> {
  const variables = new Map<string, string>();
  for (const entry of readOrEmpty(`/proc/${pid}/environ`).toString('utf8').split('\0')) {
    const equals = entry.indexOf('=');
    if (equals > 0) variables.set(entry.slice(0, equals), entry.slice(equals + 1));
  }
  return variables;
}

/** Where the Codex of these variables keeps its sessions, or undefined when they do not tell. */
export function codexHome(variables: ReadonlyMap<string, string>): string | undefined {
  const named = variables.get('CODEX_HOME');
  if (named !== undefined && named !== '') return named;
  const home = variables.get('HOME');
  return home === undefined || home === '' ? undefined : join(home, '.codex');
}

/** What the evidence holds of a process that runs, beside time and root. */
export type ProcessDescription = Omit<RunningEvent, 'kind' | 'timeNs' | 'rootPid'>;

/** What a process runs, and who started it; undefined when it has ended. `environment` holds the CODEX_ variables. */
export function runningProcess(pid: number): ProcessDescription | undefined {
  const execPath = executable(pid);
  const status = readOrEmpty(`/proc/${pid}/status`).toString('latin1');
  const numberOf = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0);
  if (execPath === undefined || status === '') return undefined;
  const argv = readOrEmpty(`/proc/${pid}/cmdline`).toString('utf8').replace(/\0$/, '').split('\0');
  const cwd = linkOrUndefined(`/proc/${pid}/cwd`);
  return {
    pid,
    tid: pid,
    comm: commandName(pid),
    parentPid: numberOf('PPid'),
    uid: numberOf('Uid'),
    gid: numberOf('Gid'),
    ...(cwd === undefined ? {} : { cwd }),
    execPath,
    argv,
    argvMissing: 0,
    environment: Object.fromEntries([...environment(pid)].filter(([name]) => name.startsWith('CODEX_'))),
  };
}

function threads(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

export function children(pid: number): number[] {
  return threads(pid).flatMap((thread) =>
    readOrEmpty(`/proc/${pid}/task/${thread}/children`)
      .toString('latin1')
      .split(' ')
      .filter((text) => text !== '')
      .map(Number),
  );
}

/**
 * The shared objects that `pid` has mapped and whose file name matches: a path to open them by, which is valid
 * whatever has become of the file, and the name that the process knows.
 */
export function mappedFiles(pid: number, pattern: RegExp): { path: string; name: string }[] {
  const files = new Map<string, { path: string; name: string }>();
  for (const line of readOrEmpty(`/proc/${pid}/maps`).toString('utf8').split('\n')) {
    const [, range, inode, name] = /^(\S+) \S+ \S+ (\S+ +\d+) +(\/.*)$/.exec(line) ?? [];
    if (range === undefined || inode === undefined || name === undefined) continue;
    if (pattern.test(name.slice(name.lastIndexOf('/') + 1)) && !files.has(inode)) {
      files.set(inode, { path: `/proc/${pid}/map_files/${range}`, name });
    }
  }
  return [...files.values()];
}
