// Evidence events of one process, with what a test does not care about filled in.

import type { ExecEvent, ExitEvent, FileIoEvent, FileOpEvent, ForkEvent } from '../../src/evidence/event.js';

const base = { tid: 10, comm: 'sh', rootPid: 10 };
const file = { pathInferred: false, inode: 1, device: 1, fileType: 'regular' as const };

/** Times are in microseconds here. */
type At<T> = Partial<Omit<T, 'timeNs' | 'endNs'>> & { at: number; end?: number };

const span = (at: number, end = at) => ({ timeNs: BigInt(at) * 1000n, endNs: BigInt(end) * 1000n });

export function fileIo({ at, end, ...more }: At<FileIoEvent>): FileIoEvent {
  return {
    kind: 'file-io',
    operation: 'write',
    pid: 10,
    ...base,
    ...file,
    path: '/work/a.txt',
    ...span(at, end),
    errno: 0,
    bytes: 10,
    count: 1,
    durationNs: 1000n,
    offset: 0,
    mode: 0o644,
    ...more,
  };
}

export function fileOp({ at, end, ...more }: At<FileOpEvent>): FileOpEvent {
  return {
    kind: 'file-op',
    operation: 'create',
    pid: 10,
    ...base,
    ...file,
    path: '/work/a.txt',
    ...span(at, end),
    errno: 0,
    uid: 0,
    gid: 0,
    ...more,
  };
}

const owner = { uid: 0, gid: 0 };

export function fork(pid: number, parentPid: number, at = 0): ForkEvent {
  return { kind: 'fork', ...base, pid, parentPid, timeNs: BigInt(at) * 1000n, ...owner };
}

export function exec(
  pid: number,
  argv: string[],
  environment: Record<string, string> = {},
  at = 0,
): ExecEvent {
  return {
    kind: 'exec',
    ...base,
    pid,
    parentPid: 1,
    timeNs: BigInt(at) * 1000n,
    ...owner,
    execPath: argv[0] ?? '',
    argv,
    argvMissing: 0,
    environment,
  };
}

export function exit(pid: number, exitCode = 0): ExitEvent {
  return { kind: 'exit', ...base, pid, parentPid: 1, timeNs: 0n, ...owner, exitCode };
}
