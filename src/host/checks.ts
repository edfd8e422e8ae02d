// What this host allows a capture: each check with what was found and, for a "no", what can be done about it. Owns the
// list; what a capture cannot do without is src/capture/host.ts, and the trial of it trial.ts.

import { accessSync, constants, existsSync, readFileSync, readlinkSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { captureRequirements } from '../capture/host.js';
import { inspectionCachePath } from '../capture/inspection-cache.js';
import { defaultRingMib } from '../capture/ring.js';
import { AgsightError, messageOf } from '../errors.js';
import { type Trial, tryCapture, tryFentry } from './trial.js';

export interface HostCheck {
  name: string;
  /** `unknown`: it could not be checked, and why is what was found. */
  verdict: 'yes' | 'no' | 'unknown';
  /** Whether capture cannot do without. */
  is_needed: boolean;
  found: string;
  /** What to do about a "no" or an "unknown"; null when there is nothing to do. */
  remedy: string | null;
}

/** The inode number that the kernel gives the first user namespace (PROC_USER_INIT_INO). */
const initialUserNamespace = 'user:[4026531837]';
const asRoot = 'run agsight doctor as root';
const notNeeded = 'nothing: agsight does without it';
/** Memory that a ring takes, mapped twice, with room for the rest. */
const memoryPerRing = 4;

/** Looks at the host, and tries a capture of this process itself where that is allowed. */
export async function examineHost(): Promise<HostCheck[]> {
  const requirements = captureRequirements();
  const [platform, ...others] = requirements.map(({ name, isMet, found, remedy }) =>
    check(name, isMet, found, remedy),
  );
  if (platform === undefined || platform.verdict === 'no') return platform === undefined ? [] : [platform];
  const mayTry = requirements.every(({ isMet }) => isMet);
  return [
    platform,
    ...others,
    userNamespace(),
    lockdown(),
    ...(mayTry ? await trials() : [unknown('trial', 'not tried: something above is missing', asRoot)]),
    memory(),
    outputDirectory(),
    cacheDirectory(),
    optional('kprobes', existsSync('/sys/bus/event_source/devices/kprobe'), 'the kernel has none'),
    mayTry ? fentry() : { ...unknown('fentry', 'not tried', asRoot), is_needed: false },
    setting('perf_event_paranoid', '/proc/sys/kernel/perf_event_paranoid'),
    setting('unprivileged_bpf_disabled', '/proc/sys/kernel/unprivileged_bpf_disabled'),
  ];
}

/** Whether nothing was found that keeps a capture from working here. */
export function canCapture(checks: readonly HostCheck[]): boolean {
  return checks.every(({ verdict, is_needed }) => !is_needed || verdict !== 'no');
}

function check(name: string, isMet: boolean, found: string, remedy: string): HostCheck {
  return { name, verdict: isMet ? 'yes' : 'no', is_needed: true, found, remedy: isMet ? null : remedy };
}

function unknown(name: string, found: string, remedy: string): HostCheck {
  return { name, verdict: 'unknown', is_needed: true, found, remedy };
}

function optional(name: string, isThere: boolean, why: string): HostCheck {
  const found = isThere ? 'available, not used' : why;
  return { ...check(name, isThere, found, notNeeded), is_needed: false };
}

function userNamespace(): HostCheck {
  const isInitial = readlinkSync('/proc/self/ns/user') === initialUserNamespace;
  const found = isInitial ? 'that of the host' : 'one of its own, where capabilities do not count for eBPF';
  return check('user namespace', isInitial, found, 'run it as root of the host, not of a user namespace');
}

function lockdown(): HostCheck {
  const modes = readOrUndefined('/sys/kernel/security/lockdown');
  if (modes === undefined) {
    const remedy = 'mount it: mount -t securityfs securityfs /sys/kernel/security';
    return unknown('lockdown', 'not known: securityfs is not mounted', remedy);
  }
  const mode = /\[(\w+)\]/.exec(modes)?.[1] ?? modes;
  const remedy = 'boot with lockdown=integrity or none: eBPF may not read kernel memory in this mode';
  return check('lockdown', mode !== 'confidentiality', mode, remedy);
}

async function trials(): Promise<HostCheck[]> {
  const name = 'eBPF programs, tracepoints';
  let trial: Trial;
  try {
    trial = await tryCapture(defaultRingMib * 2 ** 20);
  } catch (error) {
    const remedy = error instanceof AgsightError ? error.remedy : undefined;
    const found = error instanceof AgsightError ? error.reason : String(error);
    return [check(name, false, found, remedy ?? 'look at dmesg for what the kernel says of it')];
  }
  const { loadMs, attachKind, operationsRefused, isRecorded } = trial;
  return [
    check(name, true, `loaded and attached in ${loadMs.toFixed(0)} ms`, ''),
    {
      ...check('uprobe_multi', attachKind === 'uprobe_multi', `probes by ${attachKind}`, ''),
      is_needed: false,
      remedy:
        attachKind === 'perf' ? 'nothing, or Linux 6.6: ending a capture takes seconds without it' : null,
    },
    {
      ...check(
        'file operations',
        operationsRefused === undefined,
        operationsRefused ?? 'recorded, by the tracepoints of system calls',
        'nothing, or a newer kernel: TLS and processes are recorded all the same',
      ),
      is_needed: false,
    },
    check(
      'recording',
      isRecorded,
      isRecorded ? 'a call of agsight itself was recorded' : 'a call of agsight itself was not recorded',
      'report it with the output of agsight doctor --json',
    ),
  ];
}

function fentry(): HostCheck {
  try {
    tryFentry();
    return optional('fentry', true, '');
  } catch (error) {
    return optional('fentry', false, messageOf(error));
  }
}

function memory(): HostCheck {
  const available = Number(/^MemAvailable:\s+(\d+) kB/m.exec(readOrUndefined('/proc/meminfo') ?? '')?.[1]);
  if (Number.isNaN(available)) return unknown('ring', 'free memory is not known', 'mount /proc');
  const isEnough = available * 1024 >= memoryPerRing * defaultRingMib * 2 ** 20;
  const found = `${defaultRingMib} MiB, with ${(available / 2 ** 20).toFixed(1)} GiB of memory available`;
  return { ...check('ring', isEnough, found, 'use a smaller one: --ring-mib 8'), is_needed: false };
}

function outputDirectory(): HostCheck {
  const directory = process.cwd();
  const { bavail, bsize } = statfsSync(directory);
  const isUsable = isWritable(directory);
  const found = isUsable
    ? `${directory}, ${((bavail * bsize) / 1e9).toFixed(1)} GB free`
    : `${directory} is not writable`;
  return { ...check('output', isUsable, found, 'name another directory with -o'), is_needed: false };
}

/** Where what was found in large programs is kept. */
function cacheDirectory(): HostCheck {
  const directory = inspectionCachePath();
  const existing = nearestExisting(directory);
  const isUsable = isWritable(existing);
  const found = isUsable ? directory : `${existing} is not writable`;
  const remedy =
    'set XDG_CACHE_HOME to a directory that is; without it large programs are searched each time';
  return { ...check('cache', isUsable, found, remedy), is_needed: false };
}

function nearestExisting(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : nearestExisting(dirname(path));
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** Settings that matter to those without the capabilities only: shown, not judged. */
function setting(name: string, file: string): HostCheck {
  const value = readOrUndefined(file)?.trim();
  if (value === undefined) return { ...unknown(name, `${file} cannot be read`, notNeeded), is_needed: false };
  return {
    ...check(name, true, `${value}, which does not matter with the capabilities above`, ''),
    is_needed: false,
  };
}

function readOrUndefined(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
