// AArch64 for finding functions by content. An address is put together by two instructions or more, so a function
// is followed from its start, with the constants that its registers hold. Encodings: Arm Architecture Reference
// Manual, C4. Arguments: AAPCS64, x0 to x7.

import {
  type AddressSet,
  addressSet,
  type Branch,
  isAmong,
  type MachineCode,
  type Reference,
} from './machine-code.js';

const wordBytes = 4;
const pageBytes = 4096;
/** How far apart the instructions stand that put an address together; other work is done in between. */
const maxSequenceBytes = 256;
/** Registers that a call leaves alone: x19 to x28. */
const firstKept = 19;
const lastKept = 28;
const zeroRegister = 31;
/** x0 to x7. */
const argumentRegisters = 8;
const moveX4X3 = 0xaa0303e4;

/** The signed 21-bit number in `adr` and `adrp`. */
function wideImmediate(word: number): number {
  return (((((word >>> 5) & 0x7ffff) << 2) | ((word >>> 29) & 3)) << 11) >> 11;
}

function adrTarget(word: number, at: number): number {
  return at + wideImmediate(word);
}

function adrpTarget(word: number, at: number): number {
  return at - (at % pageBytes) + wideImmediate(word) * pageBytes;
}

function addImmediate(word: number): number {
  const immediate = (word >>> 10) & 0xfff;
  return (word & 0x0040_0000) === 0 ? immediate : immediate * pageBytes;
}

function isCall(word: number): boolean {
  return (word & 0xfc00_0000) >>> 0 === 0x9400_0000 || (word & 0xffff_fc1f) >>> 0 === 0xd63f_0000;
}

/** Unconditional jumps and returns: what follows is reached from elsewhere. */
function isJump(word: number): boolean {
  const isReturn = (word & 0xffff_fc1f) >>> 0 === 0xd65f_0000;
  return isReturn || (word & 0xfc00_0000) >>> 0 === 0x1400_0000 || (word & 0xffff_fc1f) >>> 0 === 0xd61f_0000;
}

/** What the instruction at `at` does to the constants that the registers hold. */
function follow(word: number, at: number, values: (number | undefined)[]): void {
  const to = word & 31;
  const from = (word >>> 5) & 31;
  const top = (word & 0xff80_0000) >>> 0;
  if ((word & 0x9f00_0000) >>> 0 === 0x9000_0000) {
    values[to] = adrpTarget(word, at);
  } else if ((word & 0x9f00_0000) >>> 0 === 0x1000_0000) {
    values[to] = adrTarget(word, at);
  } else if (top === 0x9100_0000 || top === 0xd100_0000) {
    const base = from === zeroRegister ? undefined : values[from];
    const distance = top === 0x9100_0000 ? addImmediate(word) : -addImmediate(word);
    values[to] = base === undefined ? undefined : base + distance;
  } else if ((word & 0xffe0_ffe0) >>> 0 === 0xaa00_03e0) {
    values[to] = values[(word >>> 16) & 31];
  } else {
    for (const register of writtenBy(word)) values[register] = undefined;
  }
}

/** The registers that the instruction writes, as far as it is no addition, move or call. */
function* writtenBy(word: number): Generator<number> {
  const isBranch = (word & 0x1c00_0000) >>> 0 === 0x1400_0000;
  if (isBranch) return;
  const isLoadOrStore = (word & 0x0a00_0000) >>> 0 === 0x0800_0000;
  if (isLoadOrStore) {
    const isPair = (word & 0x3a00_0000) >>> 0 === 0x2800_0000;
    const isLiteral = (word & 0x3b00_0000) >>> 0 === 0x1800_0000;
    const isLoad = isLiteral || (word & (isPair ? 0x0040_0000 : 0x00c0_0000)) !== 0;
    if (!isLoad) return;
    if (isPair) yield (word >>> 10) & 31;
  }
  yield word & 31;
}

export const aarch64Code: MachineCode = {
  maxSequenceBytes,
  maxWrapperBytes: 0x24,

  findUsers(code, from, to, vaddr, texts: AddressSet, report) {
    const isPage = pagesOf(texts);
    const first = from + ((wordBytes - ((vaddr + from) % wordBytes)) % wordBytes);
    const last = Math.min(to, code.length - wordBytes + 1);
    let met = 0;
    for (let at = first; at < last; at += wordBytes) {
      if (((code[at + 3] ?? 0) & 0x9f) !== 0x90) continue;
      met++;
      if (!isPage(adrpTarget(code.readUInt32LE(at), vaddr + at))) continue;
      if (leadsTo(code, at, vaddr, texts)) report(at);
    }
    return met;
  },

  // Those that are handed over in a call or jump: a value on the way to them, the address of a group of texts, may
  // happen to be the address of another text.
  addressesTaken(code, vaddr, texts) {
    const taken: Reference[] = [];
    const values: (number | undefined)[] = [];
    for (let offset = 0; offset + wordBytes <= code.length; offset += wordBytes) {
      const at = vaddr + offset;
      const word = code.readUInt32LE(offset);
      if (isCall(word) || isJump(word)) {
        for (const target of values.slice(0, argumentRegisters)) {
          if (target !== undefined && isAmong(texts, target)) taken.push({ at, target });
        }
        for (let register = 0; register < zeroRegister; register++) {
          if (isJump(word) || register < firstKept || register > lastKept) values[register] = undefined;
        }
      } else {
        follow(word, at, values);
      }
    }
    return taken;
  },

  branches(code, vaddr) {
    const branches: Branch[] = [];
    for (let at = 0; at + wordBytes <= code.length; at += wordBytes) {
      const word = code.readUInt32LE(at);
      if ((word & 0x7c00_0000) >>> 0 !== 0x1400_0000) continue;
      const target = vaddr + at + ((word << 6) >> 6) * wordBytes;
      branches.push({ at: vaddr + at, target, isCall: word >= 0x8000_0000 });
    }
    return branches;
  },

  passesThird(code, constant) {
    const movzW2 = 0x5280_0002 | ((constant & 0xffff) << 5);
    return hasWord(code, movzW2);
  },

  movesFourthToFifth: (code) => hasWord(code, moveX4X3),
};

/** Whether the address that is put together from `at` on becomes one of `texts`. */
function leadsTo(code: Buffer, at: number, vaddr: number, texts: AddressSet): boolean {
  const values: (number | undefined)[] = [];
  const end = Math.min(at + maxSequenceBytes, code.length - wordBytes + 1);
  for (let offset = at; offset < end; offset += wordBytes) {
    const word = code.readUInt32LE(offset);
    if (isJump(word)) return false;
    if (isCall(word)) continue;
    follow(word, vaddr + offset, values);
    const value = values[word & 31];
    if (value !== undefined && isAmong(texts, value)) return true;
  }
  return false;
}

function hasWord(code: Buffer, wanted: number): boolean {
  for (let at = 0; at + wordBytes <= code.length; at += wordBytes) {
    if (code.readUInt32LE(at) === wanted) return true;
  }
  return false;
}

/**
 * Whether an address is the page of one of `texts`. The address of a group of texts, from which compilers count on,
 * may be on the page before; but each function that is looked for names a file, too, which is in no group.
 */
function pagesOf(texts: AddressSet): (page: number) => boolean {
  const pageAt = (vaddr: number) => vaddr - (vaddr % pageBytes);
  const pages = addressSet(
    texts.ranges.map(({ first, last }) => ({ first: pageAt(first), last: pageAt(last) })),
  );
  return (page) => isAmong(pages, page);
}
