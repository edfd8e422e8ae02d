import { expect, test } from 'vitest';
import { type HostFacts, requireCaptureHost } from '../../src/capture/host.js';

const able: HostFacts = {
  platform: 'linux',
  arch: 'x64',
  kernelRelease: '6.1.0-28-amd64',
  hasKernelTypes: true,
  capabilities: (1n << 41n) - 1n,
  pidNamespace: 'pid:[4026531836]',
};

function refusal(facts: Partial<HostFacts>): string {
  try {
    requireCaptureHost({ ...able, ...facts });
  } catch (error) {
    return error instanceof Error ? error.message : '';
  }
  return '';
}

test('a host with all that is needed is accepted', () => {
  expect(refusal({})).toBe('');
  expect(refusal({ kernelRelease: '5.17.0' })).toBe('');
  expect(refusal({ kernelRelease: '10.0' })).toBe('');
});

test('CAP_BPF and CAP_PERFMON are enough, CAP_SYS_ADMIN alone is too', () => {
  expect(refusal({ capabilities: (1n << 38n) | (1n << 39n) })).toBe('');
  expect(refusal({ capabilities: 1n << 21n })).toBe('');
});

test('each refusal names the reason and the remedy', () => {
  expect(refusal({ platform: 'darwin', arch: 'arm64' })).toMatch(/darwin arm64 \(capture on Linux/);
  expect(refusal({ arch: 'ia32' })).toMatch(/linux ia32/);
  expect(refusal({ kernelRelease: '5.16.20-generic' })).toMatch(/kernel 5\.16\.20-generic \(use Linux 5\.17/);
  expect(refusal({ kernelRelease: '4.18.0' })).toMatch(/use Linux 5\.17/);
  expect(refusal({ capabilities: 0n })).toMatch(/CAP_BPF and CAP_PERFMON \(run it as root/);
  expect(refusal({ capabilities: 1n << 39n })).toBe(
    'capture needs CAP_PERFMON (run it as root: sudo agsight capture …)',
  );
  expect(refusal({ pidNamespace: 'pid:[4026532201]' })).toMatch(
    /pid namespace of its own \(run it on the host/,
  );
  expect(refusal({ hasKernelTypes: false })).toMatch(
    /vmlinux: this kernel does not describe its types \(use/,
  );
});
