// Whether this host lets us capture at all. Each "no" is an error with its reason and its remedy.

import { existsSync, readFileSync, readlinkSync } from 'node:fs';
import { release } from 'node:os';
import { AgsightError } from '../errors.js';

const oldestKernel = { major: 5, minor: 17 };
export const kernelTypes = '/sys/kernel/btf/vmlinux';
/** Capability numbers of capabilities(7). */
const capability = { sysAdmin: 21, perfmon: 38, bpf: 39 };

/** The inode number that the kernel gives the first pid namespace (PROC_PID_INIT_INO). */
const initialPidNamespace = 'pid:[4026531836]';

/** What the checks look at; the default is this process on this host. */
export interface HostFacts {
  platform: string;
  arch: string;
  kernelRelease: string;
  hasKernelTypes: boolean;
  /** The effective capabilities as a bit mask. */
  capabilities: bigint;
  pidNamespace: string;
}

function effectiveCapabilities(): bigint {
  const mask = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1];
  return BigInt(`0x${mask ?? '0'}`);
}

function readHostFacts(): HostFacts {
  const { platform, arch } = process;
  const isLinux = platform === 'linux';
  return {
    platform,
    arch,
    kernelRelease: release(),
    hasKernelTypes: isLinux && existsSync(kernelTypes),
    capabilities: isLinux ? effectiveCapabilities() : 0n,
    pidNamespace: isLinux ? readlinkSync('/proc/self/ns/pid') : '',
  };
}

/** Something that a capture needs of its host. */
export interface Requirement {
  /** The code of the error when it is missing. */
  code: string;
  name: string;
  isMet: boolean;
  /** What was found. */
  found: string;
  /** What the error says when it is missing. */
  refusal: string;
  remedy: string;
  file?: string;
}

/** What a capture needs of a host, in the order in which it makes sense to look. */
export function captureRequirements(facts: HostFacts = readHostFacts()): Requirement[] {
  const { platform, arch, kernelRelease } = facts;
  const [major = 0, minor = 0] = kernelRelease.split('.').map((part) => Number.parseInt(part, 10));
  const missing = missingCapabilities(facts.capabilities);
  return [
    {
      code: 'unsupported-host',
      name: 'platform',
      isMet: platform === 'linux' && ['x64', 'arm64'].includes(arch),
      found: `${platform} ${arch}`,
      refusal: `capture does not run on ${platform} ${arch}`,
      remedy: 'capture on Linux x64 or arm64; all other commands run here on what was captured there',
    },
    {
      code: 'old-kernel',
      name: 'kernel',
      isMet: major > oldestKernel.major || (major === oldestKernel.major && minor >= oldestKernel.minor),
      found: kernelRelease,
      refusal: `capture does not run on kernel ${kernelRelease}`,
      remedy: `use Linux ${oldestKernel.major}.${oldestKernel.minor} or newer`,
    },
    {
      code: 'no-permission',
      name: 'capabilities',
      isMet: missing.length === 0,
      found: missing.length === 0 ? 'all that are needed' : `without ${missing.join(' and ')}`,
      refusal: `capture needs ${missing.join(' and ')}`,
      remedy: 'run it as root: sudo agsight capture …',
    },
    {
      code: 'no-btf',
      name: 'kernel types (BTF)',
      isMet: facts.hasKernelTypes,
      found: facts.hasKernelTypes ? kernelTypes : 'none',
      refusal: 'this kernel does not describe its types',
      remedy: 'use a kernel built with CONFIG_DEBUG_INFO_BTF=y, as all current distributions ship',
      file: kernelTypes,
    },
    {
      // The kernel names processes by their numbers in the first namespace: here, other numbers would match.
      code: 'pid-namespace',
      name: 'pid namespace',
      isMet: facts.pidNamespace === initialPidNamespace,
      found: facts.pidNamespace === initialPidNamespace ? 'that of the host' : 'one of its own',
      refusal: 'capture does not run inside a pid namespace of its own',
      remedy: 'run it on the host, or in a container with the pid namespace of the host (--pid=host)',
    },
  ];
}

/** Errors: `unsupported-host`, `old-kernel`, `no-permission`, `no-btf`, `pid-namespace`, the first that applies. */
export function requireCaptureHost(facts: HostFacts = readHostFacts()): void {
  const unmet = captureRequirements(facts).find(({ isMet }) => !isMet);
  if (unmet === undefined) return;
  throw new AgsightError(unmet.code, unmet.refusal, { file: unmet.file, remedy: unmet.remedy });
}

function missingCapabilities(mask: bigint): string[] {
  const has = (number: number): boolean => ((mask >> BigInt(number)) & 1n) === 1n;
  if (has(capability.sysAdmin)) return [];
  const missing: string[] = [];
  if (!has(capability.bpf)) missing.push('CAP_BPF');
  if (!has(capability.perfmon)) missing.push('CAP_PERFMON');
  return missing;
}
