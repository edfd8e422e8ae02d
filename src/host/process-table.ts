// The processes that run now, as /proc tells: what each runs, who started it, when, and where it listens. Owns the
// reading; which of them matter is its users' business. A process that ends meanwhile is left out.

import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { executable } from '../capture/process.js';

export interface RunningProcess {
  pid: number;
  parent: RunningProcess | undefined;
  parentPid: number;
  uid: number;
  /** Nanoseconds since the Unix epoch, exact to a hundredth of a second. */
  startedNs: bigint;
  /** Its path is only what it calls itself where we may not look; undefined for a thread of the kernel. */
  exec: { path: string; argv: readonly string[] } | undefined;
  /** TCP ports that it listens on; undefined where we may not look. */
  ports: readonly number[] | undefined;
  /** Regular files that it has open; empty where we may not look. */
  files: readonly OpenFile[];
}

export interface OpenFile {
  /** To open it by, whatever namespace its name belongs to. */
  handle: string;
  /** As the process knows it. */
  path: string;
  isWritable: boolean;
}

/** The unit of times in /proc/PID/stat, the same on every Linux (USER_HZ). */
const ticksPerSecond = 100n;
const nsPerSecond = 1_000_000_000n;
/** The state of a socket that listens, in /proc/net/tcp. */
const listening = '0A';

/** All processes by pid, those of `/proc` at one moment as nearly as can be. */
export function readProcessTable(): Map<number, RunningProcess> {
  const bootNs = BigInt(/^btime (\d+)$/m.exec(readText('/proc/stat') ?? '')?.[1] ?? 0) * nsPerSecond;
  const sockets = new ListeningSockets();
  const table = new Map<number, RunningProcess>();
  for (const name of readdirSync('/proc')) {
    const process = /^\d+$/.test(name) ? readProcess(Number(name), bootNs, sockets) : undefined;
    if (process !== undefined) table.set(process.pid, process);
  }
  for (const process of table.values()) process.parent = table.get(process.parentPid);
  return table;
}

function readProcess(pid: number, bootNs: bigint, sockets: ListeningSockets): RunningProcess | undefined {
  const stat = readText(`/proc/${pid}/stat`);
  const status = readText(`/proc/${pid}/status`);
  if (stat === undefined || status === undefined) return undefined;
  // The name in parentheses may itself hold parentheses and spaces.
  const [state, parentPid, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (state === 'Z' || state === 'X') return undefined;
  const path = executable(pid);
  const argv = readArguments(pid);
  const descriptors = path === undefined ? undefined : readDescriptors(pid);
  const inodes = descriptors?.flatMap(({ target }) => /^socket:\[(\d+)\]$/.exec(target)?.[1] ?? []);
  return {
    pid,
    parent: undefined,
    parentPid: Number(parentPid),
    uid: Number(/^Uid:\s+(\d+)/m.exec(status)?.[1]),
    startedNs: bootNs + (BigInt(fields[17] ?? 0) * nsPerSecond) / ticksPerSecond,
    exec: path === undefined && argv.length === 0 ? undefined : { path: path ?? argv[0] ?? '', argv },
    ports: inodes && sockets.portsOf(pid, inodes),
    files: (descriptors ?? []).flatMap(({ handle, target }) =>
      target.startsWith('/') ? [{ handle, path: target, isWritable: isWritable(handle) }] : [],
    ),
  };
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function readArguments(pid: number): string[] {
  const text = readText(`/proc/${pid}/cmdline`) ?? '';
  return text === '' ? [] : text.replace(/\0$/, '').split('\0');
}

function readDescriptors(pid: number): { handle: string; target: string }[] | undefined {
  let names: string[];
  try {
    names = readdirSync(`/proc/${pid}/fd`);
  } catch {
    return undefined;
  }
  return names.flatMap((name) => {
    const handle = `/proc/${pid}/fd/${name}`;
    try {
      return [{ handle, target: readlinkSync(handle) }];
    } catch {
      return [];
    }
  });
}

/** The mode of the link says how the file was opened. */
function isWritable(handle: string): boolean {
  try {
    return (lstatSync(handle).mode & 0o200) !== 0;
  } catch {
    return false;
  }
}

/** Which socket listens on which port; each network namespace is read once. */
class ListeningSockets {
  readonly #byNamespace = new Map<string, Map<string, number>>();

  portsOf(pid: number, inodes: readonly string[]): number[] | undefined {
    if (inodes.length === 0) return [];
    const ports = this.#namespaceOf(pid);
    return ports && [...new Set(inodes.flatMap((inode) => ports.get(inode) ?? []))].sort((a, b) => a - b);
  }

  #namespaceOf(pid: number): Map<string, number> | undefined {
    let namespace: string;
    try {
      namespace = readlinkSync(`/proc/${pid}/ns/net`);
    } catch {
      return undefined;
    }
    const known = this.#byNamespace.get(namespace);
    if (known !== undefined) return known;
    const ports = new Map<string, number>();
    for (const file of ['tcp', 'tcp6']) {
      for (const line of (readText(`/proc/${pid}/net/${file}`) ?? '').split('\n').slice(1)) {
        const [, local, , state, , , , , , inode] = line.trim().split(/\s+/);
        if (state !== listening || local === undefined || inode === undefined) continue;
        ports.set(inode, Number.parseInt(local.slice(local.lastIndexOf(':') + 1), 16));
      }
    }
    this.#byNamespace.set(namespace, ports);
    return ports;
  }
}
