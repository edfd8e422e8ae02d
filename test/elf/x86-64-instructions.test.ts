import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { instructionLength, x8664Returns } from '../../src/elf/x86-64-instructions.js';
import { requireThat } from '../support/requirements.js';
import { openWorkshop } from './build.js';

const workshop = openWorkshop();
afterAll(workshop.close);

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');

describe('the length of an instruction', () => {
  it.each([
    ['ret', 'c3'],
    ['an immediate of 8 bytes', '48 b9 c3 c3 c3 c3 c3 c3 c3 c3'],
    ['an immediate of 2 bytes', '66 b8 c3 c3'],
    ['a displacement and an immediate', '48 81 84 24 80 00 00 00 c3 00 00 00'],
    ['SIB without a base', '8b 04 25 c3 00 00 00'],
    ['relative to the instruction', '48 8d 05 c3 00 00 00'],
    ['TEST, which has an operand that NOT has not', 'f7 c0 c3 00 00 00'],
    ['NOT', 'f7 d0'],
    ['a near jump on a condition', '0f 84 c3 00 00 00'],
    ['endbr64', 'f3 0f 1e fa'],
    ['three-byte opcode with an immediate', '66 0f 3a 0f c1 c3'],
    ['VEX of two bytes', 'c5 fe 6f 44 24 c3'],
    ['VEX of three bytes with an immediate', 'c4 e3 7d 39 c1 c3'],
    ['EVEX', '62 f1 fe 48 6f 44 24 c3'],
  ])('%s', (_, text) => {
    const bytes = hex(text);
    expect(instructionLength(Buffer.concat([bytes, Buffer.alloc(16, 0xc3)]), 0)).toBe(bytes.length);
    for (let cut = 0; cut < bytes.length; cut++) {
      expect(instructionLength(bytes.subarray(0, cut), 0)).toBeUndefined();
    }
  });

  it('is undefined for what is none', () => {
    for (const text of ['06', 'd6', 'ea', '66'.repeat(15), `${'66'.repeat(14)}8b04`]) {
      expect(instructionLength(Buffer.concat([hex(text), Buffer.alloc(16)]), 0)).toBeUndefined();
    }
  });

  it('never goes beyond the code, whatever it is', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 24 }), fc.nat(24), (bytes, at) => {
        const length = instructionLength(Buffer.from(bytes), at) ?? 1;
        expect(length).toBeGreaterThan(0);
        expect(length).toBeLessThanOrEqual(Math.max(1, bytes.length - at));
      }),
      { numRuns: 5000 },
    );
  });

  it('is that of binutils in the C library', (context) => {
    requireThat(process.arch === 'x64', 'needs x86-64', context);
    const program = workshop.compile(
      'library',
      '#include <stdio.h>\nint main(void) { return puts("") < 0; }',
      ['-static'],
    );
    const { stdout } = spawnSync('objdump', ['-d', '-w', '--insn-width=16', program], {
      encoding: 'utf8',
      maxBuffer: 1 << 30,
    });
    let compared = 0;
    for (const [, bytes = '', name = ''] of stdout.matchAll(
      /^\s*[0-9a-f]+:\t((?:[0-9a-f]{2} )+)\s*(\S*)/gm,
    )) {
      // The wait before instructions of the coprocessor is one of its own.
      if (bytes.startsWith('9b ') || name === '(bad)') continue;
      const code = hex(bytes);
      if (instructionLength(code, 0) !== code.length) expect(`${bytes}${name}`).toBe(code.length);
      compared++;
    }
    expect(compared).toBeGreaterThan(50_000);
  });
});

it('a return is where an instruction begins, and nowhere in code that is not known to its end', () => {
  expect(x8664Returns(hex('3c c3 c3 48 b9 c3 c3 c3 c3 c3 c3 c3 c3 c3 cc'))).toEqual([2, 13]);
  expect(x8664Returns(hex('c3 06'))).toBeUndefined();
  expect(x8664Returns(hex('c3 48 b9 c3'))).toBeUndefined();
});
