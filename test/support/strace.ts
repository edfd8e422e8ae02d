// The record of strace, an observer that knows nothing of agsight: which calls of a run changed something, with their
// paths and results. Reads what `strace -f -y -xx` writes.

import { readFileSync } from 'node:fs';
import { constants } from 'node:os';

/** One call; `path` and `target` may be relative where strace does not say to what. */
export interface TracedCall {
  tid: number;
  operation: string;
  path: string;
  target: string | undefined;
  /** Undefined when the thread came to its end inside the call, which may have been carried out. */
  errno: number | undefined;
}

interface TracedExec {
  pid: number;
  path: string;
  argv: string[];
  errno: number;
}

export interface StraceRecord {
  calls: TracedCall[];
  execs: TracedExec[];
  /** How each thread ended: its exit code, or the name of a signal. */
  ends: Map<number, number | string>;
}

const operations: Record<string, string> = {
  open: 'open',
  openat: 'open',
  openat2: 'open',
  creat: 'open',
  mknod: 'create',
  mknodat: 'create',
  unlink: 'delete',
  unlinkat: 'delete',
  rename: 'rename',
  renameat: 'rename',
  renameat2: 'rename',
  mkdir: 'mkdir',
  mkdirat: 'mkdir',
  rmdir: 'rmdir',
  link: 'link',
  linkat: 'link',
  symlink: 'symlink',
  symlinkat: 'symlink',
  truncate: 'truncate',
  ftruncate: 'truncate',
  fallocate: 'allocate',
  chmod: 'chmod',
  fchmod: 'chmod',
  fchmodat: 'chmod',
  fchmodat2: 'chmod',
  chown: 'chown',
  fchown: 'chown',
  lchown: 'chown',
  fchownat: 'chown',
  setuid: 'setuid',
  setgid: 'setgid',
  setreuid: 'setreuid',
  setregid: 'setregid',
  setresuid: 'setresuid',
  setresgid: 'setresgid',
  capset: 'capset',
};

/** Arguments of strace that make it write such a record to `file`; `?` lets it skip what the machine does not have. */
export function straceArguments(file: string): string[] {
  const calls = [...Object.keys(operations), 'execve', 'execveat'].map((name) => `?${name}`);
  return ['-f', '--seccomp-bpf', '-y', '-xx', '-s', '65536', '-o', file, '-e', `trace=${calls.join(',')}`];
}

export function readStrace(file: string): StraceRecord {
  const record: StraceRecord = { calls: [], execs: [], ends: new Map() };
  const unfinished = new Map<number, string>();
  for (const line of readFileSync(file, 'latin1').split('\n')) {
    const [, number, rest = ''] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const tid = Number(number);
    const end = /^\+\+\+ (?:exited with (\d+)|killed by (\w+))/.exec(rest);
    if (end !== null) {
      record.ends.set(tid, end[1] === undefined ? (end[2] ?? '') : Number(end[1]));
      const cut = /^(\w+)\((.*)$/.exec(unfinished.get(tid) ?? '');
      if (cut !== null) addCall(record, tid, cut[1] ?? '', cut[2] ?? '', undefined);
      unfinished.delete(tid);
    }
    const begun = /^(.*) <unfinished \.\.\.>$/.exec(rest);
    if (begun !== null) {
      unfinished.set(tid, begun[1] ?? '');
      continue;
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest);
    const whole = resumed === null ? rest : `${unfinished.get(tid) ?? ''}${resumed[1]}`;
    unfinished.delete(tid);
    const call = /^(\w+)\((.*?)(?: <unfinished \.\.\.>)?\) += (\?|-?\d+)(?:<.*>)?(?: (\w+))?/.exec(whole);
    if (call === null) continue;
    const [, name = '', text = '', result, error] = call;
    const errno = error === undefined ? 0 : errorNumber(error);
    addCall(record, tid, name, text, result === '?' ? undefined : errno);
  }
  return record;
}

function errorNumber(name: string): number {
  return Object.entries(constants.errno).find(([known]) => known === name)?.[1] ?? -1;
}

function addCall(
  record: StraceRecord,
  tid: number,
  name: string,
  text: string,
  errno: number | undefined,
): void {
  if (name === 'execve' || name === 'execveat') {
    if (errno === undefined) return;
    const [, path = '', list = ''] = /"((?:\\x..)*)", \[([^\]]*)\]/.exec(text) ?? [];
    const argv = [...list.matchAll(/"((?:\\x..)*)"/g)].map(([, argument = '']) => unhex(argument));
    record.execs.push({ pid: tid, path: unhex(path), argv, errno });
    return;
  }
  const operation = operations[name];
  if (operation === undefined) return;
  if (operation === 'open' && !/O_WRONLY|O_RDWR|O_CREAT|O_TRUNC/.test(text) && name !== 'creat') return;
  const paths = pathsOf(text);
  const isRemoval = operation === 'delete' && text.includes('AT_REMOVEDIR');
  const [first = '', second] = operation === 'symlink' ? [paths[1], paths[0]] : paths;
  record.calls.push({ tid, operation: isRemoval ? 'rmdir' : operation, path: first, target: second, errno });
}

/** Strings with the directory before them, and the files behind descriptors that stand alone. */
function pathsOf(text: string): string[] {
  const found: string[] = [];
  const argument = /(?:\w+<((?:\\x..)*)>(?:, )?)?(?:"((?:\\x..)*)")?/g;
  for (const [whole, directory, name] of text.matchAll(argument)) {
    if (whole === '') continue;
    const path = name === undefined ? '' : unhex(name);
    if (path.startsWith('/') || directory === undefined) found.push(path);
    else found.push(path === '' ? unhex(directory) : `${unhex(directory)}/${path}`);
  }
  return found;
}

function unhex(text: string): string {
  return Buffer.from(text.replaceAll('\\x', ''), 'hex').toString('utf8');
}
