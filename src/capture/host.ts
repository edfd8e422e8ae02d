// Whether this host lets us capture at all. Each "no" is an error with its reason and its remedy.

import { existsSync, readFileSync, readlinkSync } from 'node:fs';
import { release } from 'node:os';
import { AgsightError } from '../errors.js';

const oldestKernel = { major: 5, minor: 17 };
const kernelTypes = '/sys/kernel/btf/vmlinux';
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

/** Errors: `unsupported-host`, `old-kernel`, `no-permission`, `no-btf`, `pid-namespace`, the first that applies. */
export function requireCaptureHost(facts: HostFacts = readHostFacts()): void {
  if (facts.platform !== 'linux' || !['x64', 'arm64'].includes(facts.arch)) {
    throw new AgsightError('unsupported-host', `capture does not run on ${facts.platform} ${facts.arch}`, {
      remedy: 'capture on Linux x64 or arm64; all other commands run here on what was captured there',
    });
  }
  const [major = 0, minor = 0] = facts.kernelRelease.split('.').map((part) => Number.parseInt(part, 10));
  if (major < oldestKernel.major || (major === oldestKernel.major && minor < oldestKernel.minor)) {
    throw new AgsightError('old-kernel', `capture does not run on kernel ${facts.kernelRelease}`, {
      remedy: `use Linux ${oldestKernel.major}.${oldestKernel.minor} or newer`,
    });
  }
  const missing = missingCapabilities(facts.capabilities);
  if (missing.length > 0) {
    throw new AgsightError('no-permission', `capture needs ${missing.join(' and ')}`, {
      remedy: 'run it as root: sudo agsight capture …',
    });
  }
  if (!facts.hasKernelTypes) {
    throw new AgsightError('no-btf', 'this kernel does not describe its types', {
      file: kernelTypes,
      remedy: 'use a kernel built with CONFIG_DEBUG_INFO_BTF=y, as all current distributions ship',
    });
  }
  // The kernel names processes by their numbers in the first namespace: here, other numbers would match.
  if (facts.pidNamespace !== initialPidNamespace) {
    throw new AgsightError('pid-namespace', 'capture does not run inside a pid namespace of its own', {
      remedy: 'run it on the host, or in a container with the pid namespace of the host (--pid=host)',
    });
  }
}

function missingCapabilities(mask: bigint): string[] {
  const has = (number: number): boolean => ((mask >> BigInt(number)) & 1n) === 1n;
  if (has(capability.sysAdmin)) return [];
  const missing: string[] = [];
  if (!has(capability.bpf)) missing.push('CAP_BPF');
  if (!has(capability.perfmon)) missing.push('CAP_PERFMON');
  return missing;
}
