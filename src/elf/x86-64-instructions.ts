// Where the instructions of a piece of 64-bit x86 code begin and end, to find the returns of a function. Not what they do.
// Format: Intel 64 Software Developer's Manual, volume 2, chapter 2 and the opcode maps of appendix A.

/** Longer than this no instruction is. */
const maxInstructionBytes = 15;

const PREFIXES = new Set([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3]);
const OPERAND_SIZE = 0x66;
const ADDRESS_SIZE = 0x67;

/** The bytes of an immediate operand: of fixed length, `z` (4, or 2 with the operand-size prefix), or as the opcode says. */
type Immediate = 0 | 1 | 2 | 3 | 'z' | 'v' | 'address' | 'branch' | 'group3b' | 'group3z';

interface Form {
  hasModRm: boolean;
  immediate: Immediate;
}

/** Opcodes that do not exist in 64-bit mode. */
const INVALID = [
  0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f, 0x37, 0x3f, 0x60, 0x61, 0x82, 0x9a, 0xce, 0xd4, 0xd5,
  0xd6, 0xea,
];

/** The one-byte opcodes. */
const ONE_BYTE = formsOf((opcode): Form | undefined => {
  if (INVALID.includes(opcode)) return undefined;
  if (opcode < 0x40) {
    const low = opcode & 7;
    if (low < 4) return { hasModRm: true, immediate: 0 };
    return { hasModRm: false, immediate: low === 4 ? 1 : low === 5 ? 'z' : 0 };
  }
  const hasModRm =
    opcode === 0x63 ||
    opcode === 0x69 ||
    opcode === 0x6b ||
    (opcode >= 0x80 && opcode <= 0x8f) ||
    [0xc0, 0xc1, 0xc6, 0xc7, 0xf6, 0xf7, 0xfe, 0xff].includes(opcode) ||
    (opcode >= 0xd0 && opcode <= 0xd3) ||
    (opcode >= 0xd8 && opcode <= 0xdf);
  return { hasModRm, immediate: oneByteImmediate(opcode) };
});

function oneByteImmediate(opcode: number): Immediate {
  if ((opcode >= 0x70 && opcode <= 0x7f) || (opcode >= 0xb0 && opcode <= 0xb7)) return 1;
  if ((opcode >= 0xe0 && opcode <= 0xe7) || opcode === 0xeb) return 1;
  if ([0x6a, 0x6b, 0x80, 0x83, 0xa8, 0xc0, 0xc1, 0xc6, 0xcd].includes(opcode)) return 1;
  if ([0x68, 0x69, 0x81, 0xa9, 0xc7].includes(opcode)) return 'z';
  if (opcode === 0xe8 || opcode === 0xe9) return 'branch';
  if (opcode >= 0xb8 && opcode <= 0xbf) return 'v';
  if (opcode >= 0xa0 && opcode <= 0xa3) return 'address';
  if (opcode === 0xc2 || opcode === 0xca) return 2;
  if (opcode === 0xc8) return 3;
  return opcode === 0xf6 ? 'group3b' : opcode === 0xf7 ? 'group3z' : 0;
}

/** The opcodes behind 0x0f. */
const TWO_BYTE = formsOf((opcode): Form | undefined => {
  if (opcode >= 0x80 && opcode <= 0x8f) return { hasModRm: false, immediate: 'branch' };
  const isBare =
    [0x05, 0x06, 0x07, 0x08, 0x09, 0x0b, 0x0e, 0x77, 0xa0, 0xa1, 0xa2, 0xa8, 0xa9, 0xaa].includes(opcode) ||
    (opcode >= 0x30 && opcode <= 0x37) ||
    (opcode >= 0xc8 && opcode <= 0xcf);
  return { hasModRm: !isBare, immediate: hasByteBehind0f(opcode) ? 1 : 0 };
});

/** As of instructions with a legacy prefix, so of those with a VEX or EVEX one. */
function hasByteBehind0f(opcode: number): boolean {
  return (
    (opcode >= 0x70 && opcode <= 0x73) || [0x0f, 0xa4, 0xac, 0xba, 0xc2, 0xc4, 0xc5, 0xc6].includes(opcode)
  );
}

function formsOf(form: (opcode: number) => Form | undefined): readonly (Form | undefined)[] {
  return Array.from({ length: 256 }, (_, opcode) => form(opcode));
}

/**
 * How many bytes the instruction at `at` has; undefined when it is none, is cut, or is of a kind that is not known here.
 */
export function instructionLength(code: Buffer, at: number): number | undefined {
  let next = at;
  let operandIs16 = false;
  let addressIs32 = false;
  while (PREFIXES.has(code[next] ?? 0)) {
    operandIs16 ||= code[next] === OPERAND_SIZE;
    addressIs32 ||= code[next] === ADDRESS_SIZE;
    next++;
  }
  let isWide = false;
  if (((code[next] ?? 0) & 0xf0) === 0x40) {
    isWide = ((code[next] ?? 0) & 8) !== 0;
    next++;
  }
  let form: Form | undefined;
  const first = code[next++];
  if (first === undefined) return undefined;
  if (first === 0xc4 || first === 0xc5 || first === 0x62) {
    const map = first === 0xc5 ? 1 : (code[next] ?? 0) & (first === 0xc4 ? 0x1f : 7);
    next += first === 0xc5 ? 1 : first === 0xc4 ? 2 : 3;
    form = vectorForm(map, code[next++] ?? 0);
  } else if (first !== 0x0f) {
    form = ONE_BYTE[first];
  } else {
    const second = code[next++] ?? 0;
    if (second === 0x38 || second === 0x3a) {
      next++;
      form = { hasModRm: true, immediate: second === 0x3a ? 1 : 0 };
    } else {
      form = TWO_BYTE[second];
    }
  }
  if (form === undefined) return undefined;
  let { immediate } = form;
  if (form.hasModRm) {
    const modRm = code[next];
    if (modRm === undefined) return undefined;
    // TEST is the only one of its group with an operand in the code.
    const isTest = (modRm & 0x38) <= 0x08;
    if (immediate === 'group3b') immediate = isTest ? 1 : 0;
    if (immediate === 'group3z') immediate = isTest ? 'z' : 0;
    next += 1 + addressBytes(modRm, code[next + 1] ?? 0);
  }
  next += immediateBytes(immediate, { operandIs16, addressIs32, isWide });
  const length = next - at;
  return next <= code.length && length <= maxInstructionBytes ? length : undefined;
}

function vectorForm(map: number, opcode: number): Form | undefined {
  switch (map) {
    case 1:
      return { hasModRm: opcode !== 0x77, immediate: hasByteBehind0f(opcode) ? 1 : 0 };
    case 2:
    case 5:
    case 6:
      return { hasModRm: true, immediate: 0 };
    case 3:
      return { hasModRm: true, immediate: 1 };
    default:
      return undefined;
  }
}

/** What follows a ModRM byte to tell an address: SIB and displacement. */
function addressBytes(modRm: number, sib: number): number {
  const mode = modRm >> 6;
  const isMemoryOnly = mode !== 3;
  const hasSib = isMemoryOnly && (modRm & 7) === 4;
  const base = hasSib ? sib & 7 : modRm & 7;
  const displacement = mode === 1 ? 1 : mode === 2 || (mode === 0 && base === 5) ? 4 : 0;
  return (hasSib ? 1 : 0) + displacement;
}

function immediateBytes(
  immediate: Immediate,
  { operandIs16, addressIs32, isWide }: { operandIs16: boolean; addressIs32: boolean; isWide: boolean },
): number {
  switch (immediate) {
    case 'z':
      return operandIs16 && !isWide ? 2 : 4;
    case 'v':
      return isWide ? 8 : operandIs16 ? 2 : 4;
    case 'address':
      return addressIs32 ? 4 : 8;
    case 'branch':
      return 4;
    case 'group3b':
    case 'group3z':
      return 0;
    default:
      return immediate;
  }
}

const NEAR_RETURN = 0xc3;

/**
 * Where in the code of a whole function it returns; undefined when one of its bytes belongs to no instruction that is known
 * here: then no place in it is certain.
 */
export function x8664Returns(code: Buffer): number[] | undefined {
  const returns: number[] = [];
  for (let at = 0; at < code.length; ) {
    if (code[at] === NEAR_RETURN) returns.push(at);
    const length = instructionLength(code, at);
    if (length === undefined) return undefined;
    at += length;
  }
  return returns;
}
