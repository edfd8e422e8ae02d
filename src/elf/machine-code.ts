// What finding functions by content needs to know of an instruction set. Not a disassembler: each question has an
// answer that a few bytes give, and that may now and then be given of bytes that are no such instruction.

/** An instruction at `at` that takes or hands over the address `target`, or branches to it; both virtual. */
export interface Reference {
  at: number;
  target: number;
}

export interface Branch extends Reference {
  isCall: boolean;
}

/** Virtual addresses of texts: each from `first` to `last`, as a text may be referred to by its end alone. */
export interface AddressSet {
  readonly ranges: readonly { first: number; last: number }[];
  readonly lowest: number;
  readonly highest: number;
}

export function addressSet(ranges: readonly { first: number; last: number }[]): AddressSet {
  return {
    ranges,
    lowest: Math.min(...ranges.map(({ first }) => first)),
    highest: Math.max(...ranges.map(({ last }) => last)),
  };
}

export function isAmong({ ranges, lowest, highest }: AddressSet, vaddr: number): boolean {
  if (vaddr < lowest || vaddr > highest) return false;
  return ranges.some(({ first, last }) => vaddr >= first && vaddr <= last);
}

export interface MachineCode {
  /**
   * Calls `report` with the place in `code` of each instruction between `from` and `to` that may take an address
   * of `texts`: none that does is left out. `vaddr` is that of `code`'s first byte. Fast: it sees all code.
   *
   * @returns how many instructions it had to look at closely, which is what takes time
   */
  findUsers(
    code: Buffer,
    from: number,
    to: number,
    vaddr: number,
    texts: AddressSet,
    report: (at: number) => void,
  ): number;
  /** The addresses of `texts` that the function takes. */
  addressesTaken(code: Buffer, vaddr: number, texts: AddressSet): Reference[];
  /** Every direct call and jump to another place. */
  branches(code: Buffer, vaddr: number): Branch[];
  /** Whether the third argument of some call is this constant. */
  passesThird(code: Buffer, constant: number): boolean;
  /** Whether the fourth argument becomes the fifth. */
  movesFourthToFifth(code: Buffer): boolean;
  /** Most bytes from the first to the last instruction that put an address together. */
  readonly maxSequenceBytes: number;
  /** Most bytes that a function has which only passes its arguments on. */
  readonly maxWrapperBytes: number;
}
