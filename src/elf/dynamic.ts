// The dynamic section, as the loader reads it: through PT_DYNAMIC and virtual addresses, without section headers.
// Format: System V ABI, chapter 5; DT_GNU_HASH as in the GNU linker.

import type { AddressMap } from './address-map.js';
import type { BinaryFile } from './file.js';
import type { ElfHeaders } from './headers.js';

const entryBytes = 16;
const maxEntries = 4096;
const symbolBytes = 24;
const maxNameBytes = 4096;
const maxBuckets = 1024 * 1024;
const maxChain = 65_536;
const tag = {
  needed: 1,
  hash: 4,
  strtab: 5,
  symtab: 6,
  rela: 7,
  relasz: 8,
  strsz: 10,
  rpath: 15,
  runpath: 29,
  gnuHash: 0x6ffffef5,
};

export interface DynamicSection {
  /** Names of the libraries that the loader is to load. */
  needed: string[];
  /** Where it is to look for them first, as written: directories between colons, perhaps with $ORIGIN. */
  searchPath: string;
  /** File ranges of the symbols and of their names. */
  symbols: { table: FileRange; names: FileRange } | undefined;
  /** File range of the relocations that have their addends beside them (Elf64_Rela). */
  relocations: FileRange | undefined;
}

export interface FileRange {
  offset: number;
  size: number;
}

/**
 * Undefined when the program is not linked dynamically, or its dynamic section leads nowhere.
 *
 * @throws AgsightError `damaged` when a part lies outside of the file
 */
export function readDynamicSection(
  file: BinaryFile,
  headers: ElfHeaders,
  map: AddressMap,
): DynamicSection | undefined {
  const segment = headers.segments.find(({ type }) => type === 'dynamic');
  if (segment === undefined) return undefined;
  const count = Math.min(Math.floor(segment.fileSize / entryBytes), maxEntries);
  const bytes = file.read(segment.offset, count * entryBytes);
  const values = new Map<number, number[]>();
  for (let at = 0; at < bytes.length; at += entryBytes) {
    const key = Number(bytes.readBigUInt64LE(at));
    if (key === 0) break;
    values.set(key, [...(values.get(key) ?? []), Number(bytes.readBigUInt64LE(at + 8))]);
  }
  const first = (key: number) => values.get(key)?.[0];
  const offsetOf = (key: number) => {
    const vaddr = first(key);
    return vaddr === undefined ? undefined : map.toOffset(vaddr);
  };
  const namesOffset = offsetOf(tag.strtab);
  const namesSize = first(tag.strsz);
  if (namesOffset === undefined || namesSize === undefined) return undefined;
  const names = { offset: namesOffset, size: namesSize };
  const name = (at: number): string => {
    if (!(at < namesSize)) return '';
    const length = Math.min(maxNameBytes, namesSize - at, file.size - namesOffset - at);
    const text = file.read(namesOffset + at, Math.max(0, length));
    const end = text.indexOf(0);
    return text.toString('latin1', 0, end === -1 ? 0 : end);
  };
  const symbolsOffset = offsetOf(tag.symtab);
  const relocationsOffset = offsetOf(tag.rela);
  const symbolCount = countByHash(file, offsetOf(tag.hash)) ?? countByGnuHash(file, offsetOf(tag.gnuHash));
  return {
    needed: (values.get(tag.needed) ?? []).map(name).filter((library) => library !== ''),
    searchPath: name(first(tag.runpath) ?? first(tag.rpath) ?? Number.NaN),
    symbols:
      symbolsOffset === undefined || symbolCount === undefined
        ? undefined
        : { table: { offset: symbolsOffset, size: symbolCount * symbolBytes }, names },
    relocations:
      relocationsOffset === undefined
        ? undefined
        : { offset: relocationsOffset, size: first(tag.relasz) ?? 0 },
  };
}

/** The number of symbols: a DT_HASH table has one chain for each. */
function countByHash(file: BinaryFile, offset: number | undefined): number | undefined {
  return offset === undefined ? undefined : file.read(offset, 8).readUInt32LE(4);
}

/** The number of symbols: one more than the last of the chain that begins last. */
function countByGnuHash(file: BinaryFile, offset: number | undefined): number | undefined {
  if (offset === undefined) return undefined;
  const header = file.read(offset, 16);
  const bucketCount = header.readUInt32LE(0);
  const firstHashed = header.readUInt32LE(4);
  const bloomWords = header.readUInt32LE(8);
  if (bucketCount > maxBuckets) throw file.damaged(`a hash table of ${bucketCount} buckets`, offset);
  const bucketsOffset = offset + 16 + bloomWords * 8;
  const buckets = file.read(bucketsOffset, bucketCount * 4);
  let last = 0;
  for (let at = 0; at < buckets.length; at += 4) last = Math.max(last, buckets.readUInt32LE(at));
  if (last < firstHashed) return firstHashed;
  const chainsOffset = bucketsOffset + bucketCount * 4;
  // The last entry of a chain is odd.
  for (let length = 0; length < maxChain; length++) {
    const entry = file.read(chainsOffset + (last - firstHashed + length) * 4, 4).readUInt32LE(0);
    if (entry & 1) return last + length + 1;
  }
  throw file.damaged('a hash chain without an end', chainsOffset);
}
