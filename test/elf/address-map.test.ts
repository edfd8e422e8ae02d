import { describe, expect, it } from 'vitest';
import { createAddressMap } from '../../src/elf/address-map.js';
import type { Segment } from '../../src/elf/headers.js';

function load(offset: number, vaddr: number, fileSize: number, executable = false): Segment {
  return {
    type: 'load',
    offset,
    vaddr,
    fileSize,
    memorySize: fileSize,
    align: 0x1000,
    executable,
    writable: false,
  };
}

// The layout of Codex 0.169.0 for x86-64: from the second segment on, addresses run ahead of offsets.
const codex = createAddressMap([
  load(0, 0, 0x2ac7f0c),
  load(0x2ac7f40, 0x2ac8f40, 0xe9e8410, true),
  load(0x114b0350, 0x114b2350, 0x3b2858),
  { ...load(0x2000, 0x8000_0000, 0x100), type: 'note' },
]);

describe('address map', () => {
  it('takes each address through the segment that holds it', () => {
    expect(codex.toOffset(0x10)).toBe(0x10);
    expect(codex.toOffset(0x2ac8f40)).toBe(0x2ac7f40);
    expect(codex.toOffset(0x10e65650)).toBe(283_526_736);
    expect(codex.toOffset(0x114b2350)).toBe(0x114b0350);
  });

  it('takes each offset back', () => {
    for (const vaddr of [0, 0x2ac7f0b, 0x2ac8f40, 0x2ac8f40 + 0xe9e840f, 0x114b2350]) {
      expect(codex.toVaddr(codex.toOffset(vaddr) ?? Number.NaN)).toBe(vaddr);
    }
  });

  it('knows nothing of what no loaded segment holds', () => {
    expect(codex.toOffset(0x2ac7f0c)).toBeUndefined();
    expect(codex.toOffset(0x2ac8f3f)).toBeUndefined();
    expect(codex.toOffset(0x8000_0000)).toBeUndefined();
    expect(codex.toOffset(0x114b2350 + 0x3b2858)).toBeUndefined();
    expect(codex.toVaddr(0x2ac7f0c)).toBeUndefined();
    expect(codex.toVaddr(0x7fff_ffff)).toBeUndefined();
  });

  it('calls only executable bytes code', () => {
    expect(codex.isCode(0x2ac7f40)).toBe(true);
    expect(codex.isCode(0x2ac7f40 + 0xe9e840f)).toBe(true);
    expect(codex.isCode(0x2ac7f40 + 0xe9e8410)).toBe(false);
    expect(codex.isCode(0x10)).toBe(false);
  });
});
