// x86-64 for finding functions by content. Instructions have any length here, so every byte could start one.
// Encodings: Intel 64 Software Developer's Manual, volume 2. Arguments: System V ABI, rdi rsi rdx rcx r8 r9.

import { type AddressSet, type Branch, isAmong, type MachineCode, type Reference } from './machine-code.js';

const leaOpcode = 0x8d;
const leaBytes = 7;
const callOpcode = 0xe8;
const jumpOpcode = 0xe9;
const shortJumpOpcode = 0xeb;
const movEdxOpcode = 0xba;
/** The largest address that fits into an instruction as a number, whether or not its sign is extended. */
const maxPlainAddress = 0x7fff_ffff;
/** mov r8, rcx; in both encodings of it. */
const moveFourthToFifth = [Buffer.from([0x49, 0x89, 0xc8]), Buffer.from([0x4c, 0x8b, 0xc1])];

/**
 * Calls `use` for every `lea r64, [rip + disp32]` whose opcode, its second byte, stands between `from` and `to`.
 *
 * @returns how often the opcode was met
 */
function eachLea(
  code: Buffer,
  from: number,
  to: number,
  vaddr: number,
  use: (lea: Reference) => void,
): number {
  const end = Math.min(to, code.length - leaBytes + 2);
  let met = 0;
  // The opcode is rare: jumping from one to the next is many times faster than looking at each byte.
  for (let at = code.indexOf(leaOpcode, from); at !== -1 && at < end; at = code.indexOf(leaOpcode, at + 1)) {
    met++;
    const rex = code[at - 1];
    if ((rex !== 0x48 && rex !== 0x4c) || ((code[at + 1] ?? 0) & 0xc7) !== 0x05) continue;
    const start = vaddr + at - 1;
    use({ at: start, target: start + leaBytes + code.readInt32LE(at + 2) });
  }
  return met;
}

/** The instructions that hold an address of `texts` as a 32-bit number. */
function eachNumber(code: Buffer, texts: AddressSet, use: (at: number, target: number) => void): void {
  const numbers = new Set(texts.ranges.flatMap(({ first, last }) => [first, last]));
  const needle = Buffer.alloc(4);
  for (const number of numbers) {
    if (number < 0 || number > maxPlainAddress) continue;
    needle.writeUInt32LE(number);
    for (let at = code.indexOf(needle); at !== -1; at = code.indexOf(needle, at + 1)) use(at, number);
  }
}

/** `isFixed`: as of the program's headers. */
export const x8664Code = (isFixed: boolean): MachineCode => ({
  maxSequenceBytes: leaBytes,
  maxWrapperBytes: 0x24,

  findUsers(code, from, to, vaddr, texts, report) {
    if (isFixed) {
      eachNumber(code, texts, (at) => {
        if (at >= from && at < to) report(at);
      });
    }
    return eachLea(code, Math.max(from, 1), to, vaddr, ({ at, target }) => {
      if (isAmong(texts, target)) report(at - vaddr);
    });
  },

  addressesTaken(code, vaddr, texts) {
    const taken: Reference[] = [];
    if (isFixed) eachNumber(code, texts, (at, target) => taken.push({ at: vaddr + at, target }));
    eachLea(code, 1, code.length, vaddr, (lea) => {
      if (isAmong(texts, lea.target)) taken.push(lea);
    });
    return taken;
  },

  branches(code, vaddr) {
    const branches: Branch[] = [];
    for (let at = 0; at < code.length; at++) {
      const opcode = code[at];
      if (opcode === shortJumpOpcode && at + 2 <= code.length) {
        branches.push({ at: vaddr + at, target: vaddr + at + 2 + code.readInt8(at + 1), isCall: false });
      } else if ((opcode === callOpcode || opcode === jumpOpcode) && at + 5 <= code.length) {
        const target = vaddr + at + 5 + code.readInt32LE(at + 1);
        branches.push({ at: vaddr + at, target, isCall: opcode === callOpcode });
      }
    }
    return branches;
  },

  passesThird(code, constant) {
    const instruction = Buffer.alloc(5, movEdxOpcode);
    instruction.writeInt32LE(constant, 1);
    return code.includes(instruction);
  },

  movesFourthToFifth: (code) => moveFourthToFifth.some((instruction) => code.includes(instruction)),
});
