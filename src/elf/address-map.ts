// Virtual address ↔ file offset, through the PT_LOAD segments. A uprobe wants the file offset; symbols,
// .eh_frame and code speak in virtual addresses, and the two differ in many linkers' output.

import type { Segment } from './headers.js';

export interface AddressMap {
  /** File offset of a virtual address; undefined when no byte of the file is mapped there. */
  toOffset(vaddr: number): number | undefined;
  /** Virtual address of a file offset; undefined when it is not mapped. */
  toVaddr(offset: number): number | undefined;
  /** The loaded segment that holds this file offset. */
  segmentAt(offset: number): Segment | undefined;
  /** Whether the byte at this file offset is mapped as code. */
  isCode(offset: number): boolean;
}

export function createAddressMap(segments: readonly Segment[]): AddressMap {
  const loads = segments.filter(({ type }) => type === 'load');
  const segmentAt = (offset: number) =>
    loads.find((load) => offset >= load.offset && offset < load.offset + load.fileSize);
  return {
    toOffset(vaddr) {
      const load = loads.find(({ vaddr: first, fileSize }) => vaddr >= first && vaddr < first + fileSize);
      return load === undefined ? undefined : vaddr - load.vaddr + load.offset;
    },
    toVaddr(offset) {
      const load = segmentAt(offset);
      return load === undefined ? undefined : offset - load.offset + load.vaddr;
    },
    segmentAt,
    isCode: (offset) => segmentAt(offset)?.executable === true,
  };
}
