// Where functions start and end, from .eh_frame_hdr and .eh_frame (Linux Standard Base 5.0, 10.6). Both survive
// stripping. Follows no chain: from the search table to one FDE, from it to its CIE, and no further.

import { AgsightError } from '../errors.js';
import type { AddressMap } from './address-map.js';
import type { BinaryFile } from './file.js';
import type { ElfHeaders } from './headers.js';

const headerBytes = 12;
const entryBytes = 8;
/** Codex 0.169 has 314,000 functions. */
const maxFunctions = 1_000_000;
/** Of a function about whose end nothing is known. */
const maxFunctionBytes = 64 * 1024;
/** An .eh_frame that is walked; with a search table, it is not. */
const maxFrameBytes = 8 * 1024 * 1024;
const minFdeBytes = 20;
/** Of one CIE, up to the encoding of the addresses in its FDEs. */
const maxCieBytes = 64;

/** The one form of the search table that linkers write: a 4-byte count, signed 4-byte distances from the header. */
const version = 1;
const countEncoding = 0x03;
const tableEncoding = 0x3b;

/** Virtual addresses of a function's first byte and of the byte after its last. */
interface FunctionBounds {
  start: number;
  end: number;
}

export interface FunctionTable {
  /** From the first function to the end of the last one. */
  readonly bounds: FunctionBounds;
  /** Whether a function starts exactly at this virtual address. */
  has(vaddr: number): boolean;
  /** The function that `vaddr` is in; undefined between functions. */
  boundsAt(vaddr: number): FunctionBounds | undefined;
  /** The addresses at which functions start, from `from` to before `to`, ascending. */
  startsIn(from: number, to: number): Iterable<number>;
}

/** Undefined when neither section is there in a sound and usual form. */
export function readFunctionTable(
  file: BinaryFile,
  headers: ElfHeaders,
  map: AddressMap,
): FunctionTable | undefined {
  return readSearchTable(file, headers, map) ?? readFrames(file, headers);
}

/** The functions of a list of them, `starts` ascending. `endOf`: of the function at that index, if it is known. */
function functionTable(
  starts: Float64Array,
  endOf: (index: number) => number | undefined,
): FunctionTable | undefined {
  for (let index = 1; index < starts.length; index++) {
    if ((starts[index] ?? 0) <= (starts[index - 1] ?? 0)) return undefined;
  }
  const [first] = starts;
  if (first === undefined) return undefined;

  /** How many functions start at or before `vaddr`. */
  const countUpTo = (vaddr: number): number => {
    let low = 0;
    let high = starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((starts[middle] ?? 0) <= vaddr) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const boundsOf = (index: number): FunctionBounds => {
    const start = starts[index] ?? 0;
    const next = starts[index + 1] ?? start + maxFunctionBytes;
    return { start, end: Math.min(endOf(index) ?? next, next) };
  };
  return {
    bounds: { start: first, end: boundsOf(starts.length - 1).end },
    has: (vaddr) => starts[countUpTo(vaddr) - 1] === vaddr,
    boundsAt(vaddr) {
      const index = countUpTo(vaddr) - 1;
      if (index < 0) return undefined;
      const bounds = boundsOf(index);
      return vaddr < bounds.end ? bounds : undefined;
    },
    *startsIn(from, to) {
      for (let index = countUpTo(from - 1); index < starts.length; index++) {
        const start = starts[index] ?? 0;
        if (start >= to) return;
        yield start;
      }
    },
  };
}

/** By .eh_frame_hdr, which lists the functions in order. */
function readSearchTable(file: BinaryFile, headers: ElfHeaders, map: AddressMap): FunctionTable | undefined {
  const segment = headers.segments.find(({ type }) => type === 'sunw_eh_frame');
  if (segment === undefined || segment.fileSize < headerBytes) return undefined;
  const header = file.read(segment.offset, headerBytes);
  const isUsual = header[0] === version && header[2] === countEncoding && header[3] === tableEncoding;
  const count = header.readUInt32LE(8);
  const fits = headerBytes + count * entryBytes <= segment.fileSize;
  if (!isUsual || !fits || count > maxFunctions) return undefined;

  const table = Buffer.alloc(count * entryBytes);
  file.readInto(table, segment.offset + headerBytes, table.length);
  const starts = new Float64Array(count);
  for (let index = 0; index < count; index++) {
    starts[index] = segment.vaddr + table.readInt32LE(index * entryBytes);
  }
  return functionTable(starts, (index) => {
    const fde = segment.vaddr + table.readInt32LE(index * entryBytes + 4);
    const size = functionSize(file, map, fde);
    return size === undefined ? undefined : (starts[index] ?? 0) + size;
  });
}

/** By .eh_frame itself, which static programs have without the search table, one FDE after the other. */
function readFrames(file: BinaryFile, headers: ElfHeaders): FunctionTable | undefined {
  const section = headers.sections.find(({ name }) => name === '.eh_frame');
  if (section === undefined || section.type === 'nobits') return undefined;
  if (section.size > maxFrameBytes || section.offset + section.size > file.size) return undefined;
  const frames = Buffer.alloc(section.size);
  file.readInto(frames, section.offset, frames.length);
  const encodings = new Map<number, number | undefined>();
  const starts = new Float64Array(frames.length / minFdeBytes);
  const ends = new Float64Array(starts.length);
  let count = 0;
  for (let at = 0; at + minFdeBytes <= frames.length; ) {
    const length = frames.readUInt32LE(at);
    if (length === 0 || length === 0xffff_ffff) break;
    const ciePointer = frames.readUInt32LE(at + 4);
    const cie = at + 4 - ciePointer;
    if (ciePointer !== 0 && cie >= 0) {
      if (!encodings.has(cie)) encodings.set(cie, encodingAt(frames, cie));
      // Four bytes, counted from where they stand.
      if (encodings.get(cie) === 0x1b) {
        const start = section.vaddr + at + 8 + frames.readInt32LE(at + 8);
        starts[count] = start;
        ends[count] = start + frames.readUInt32LE(at + 12);
        count++;
      }
    }
    at += Math.max(4 + length, minFdeBytes);
  }
  const startAt = (which: number) => starts[which] ?? 0;
  const order = Uint32Array.from({ length: count }, (_, which) => which).sort(
    (a, b) => startAt(a) - startAt(b),
  );
  const distinct = order.filter(
    (which, index) => index === 0 || startAt(which) !== startAt(order[index - 1] ?? 0),
  );
  return functionTable(Float64Array.from(distinct, startAt), (index) => ends[distinct[index] ?? 0]);
}

function encodingAt(frames: Buffer, cie: number): number | undefined {
  try {
    return addressEncoding(frames.subarray(cie, cie + maxCieBytes));
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** The size that the FDE at `fde` gives its function; undefined when it is in a form that is not read here. */
function functionSize(file: BinaryFile, map: AddressMap, fde: number): number | undefined {
  try {
    const fdeOffset = map.toOffset(fde);
    if (fdeOffset === undefined) return undefined;
    const head = file.read(fdeOffset, Math.min(24, file.size - fdeOffset));
    const length = head.readUInt32LE(0);
    const cieOffset = map.toOffset(fde + 4 - head.readUInt32LE(4));
    if (length === 0 || length === 0xffff_ffff || cieOffset === undefined) return undefined;
    const encoding = addressEncoding(file.read(cieOffset, Math.min(maxCieBytes, file.size - cieOffset)));
    // The low bits say how wide an address is, the others what it is relative to, which a size is not.
    switch (encoding === undefined ? undefined : encoding & 0x07) {
      case 0x03:
        return head.readUInt32LE(12);
      case 0x00:
      case 0x04:
        return Number(head.readBigUInt64LE(16));
      default:
        return undefined;
    }
  } catch (error) {
    // Cut by the end of the file, or a number that runs beyond what was read.
    if (error instanceof AgsightError || error instanceof RangeError) return undefined;
    throw error;
  }
}

/** How the FDEs of a CIE write addresses (DW_EH_PE_*); undefined when the CIE says nothing that is known. */
function addressEncoding(cie: Buffer): number | undefined {
  if (cie.readUInt32LE(4) !== 0) return undefined;
  const cieVersion = cie[8];
  const augmentationEnd = cie.indexOf(0, 9);
  if ((cieVersion !== 1 && cieVersion !== 3) || augmentationEnd === -1) return undefined;
  const augmentation = cie.toString('latin1', 9, augmentationEnd);
  if (!augmentation.startsWith('z')) return augmentation === '' ? 0 : undefined;
  const skipLeb128 = (at: number) => {
    let end = at;
    while (cie.readUInt8(end) >= 0x80) end++;
    return end + 1;
  };
  const codeAlignment = augmentationEnd + 1;
  const returnRegister = skipLeb128(skipLeb128(codeAlignment));
  const dataLength = cieVersion === 1 ? returnRegister + 1 : skipLeb128(returnRegister);
  let at = skipLeb128(dataLength);
  for (const letter of augmentation.slice(1)) {
    if (letter === 'R') return cie.readUInt8(at);
    if (letter === 'L') at += 1;
    else if (letter === 'P') at += 1 + ((cie.readUInt8(at) & 0x07) === 0x03 ? 4 : 8);
    else if (letter !== 'S' && letter !== 'B') return undefined;
  }
  return 0;
}
