// Where functions start, from the binary search table of .eh_frame_hdr (Linux Standard Base 5.0, 10.6.2).
// It survives stripping. Looked up in place, entry by entry: the table itself may have 300,000 of them.

import type { BinaryFile } from './file.js';
import type { ElfHeaders } from './headers.js';

const headerBytes = 12;
const entryBytes = 8;

/** The one form that linkers write: a count of 4 bytes, entries as signed 4-byte distances from the header. */
const version = 1;
const countEncoding = 0x03;
const tableEncoding = 0x3b;

export interface FunctionStarts {
  /** Whether a function starts exactly at this virtual address. */
  has(vaddr: number): boolean;
  /** The start of the function that `vaddr` is in, or undefined when it lies before all of them. */
  startOf(vaddr: number): number | undefined;
}

/** Undefined when the file has no search table in the usual form. */
export function readFunctionStarts(file: BinaryFile, headers: ElfHeaders): FunctionStarts | undefined {
  const segment = headers.segments.find(({ type }) => type === 'sunw_eh_frame');
  if (segment === undefined || segment.fileSize < headerBytes) return undefined;
  const header = file.read(segment.offset, headerBytes);
  const isUsual = header[0] === version && header[2] === countEncoding && header[3] === tableEncoding;
  if (!isUsual) return undefined;
  const count = header.readUInt32LE(8);
  if (headerBytes + count * entryBytes > segment.fileSize) return undefined;

  const start = (index: number) =>
    segment.vaddr + file.read(segment.offset + headerBytes + index * entryBytes, 4).readInt32LE(0);
  const startOf = (vaddr: number): number | undefined => {
    let low = 0;
    let high = count;
    let nearest: number | undefined;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const candidate = start(middle);
      if (candidate <= vaddr) {
        nearest = candidate;
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return nearest;
  };
  return { startOf, has: (vaddr) => startOf(vaddr) === vaddr };
}
