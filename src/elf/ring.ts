// ring's AEAD functions by its tables: each of its three TLS algorithms is a constant with pointers to its functions,
// the length of its key and a number of its own. Data that no compiler can inline away, and a way that knows nothing of
// the code. Gives every candidate; choosing is pattern-tier.ts's. Source: ring 0.17, src/aead/algorithm.rs.

import type { AddressMap } from './address-map.js';
import type { WantedFunction } from './byte-patterns.js';
import { readDynamicSection } from './dynamic.js';
import type { FunctionTable } from './eh-frame.js';
import type { BinaryFile } from './file.js';
import type { ElfHeaders, Segment } from './headers.js';

/** Its arguments follow Rust's own rules and its own source: known only where somebody has looked. */
const knownVersions: readonly string[] = ['0.17.14'];

const wordBytes = 8;
const relocationBytes = 24;
/** R_X86_64_RELATIVE and R_AARCH64_RELATIVE. */
const relativeTypes: readonly number[] = [8, 1027];
const windowBytes = 4 * 1024 * 1024;
/** Codex 0.169 has 9 MiB of writable data, 0.160 8 MiB of relocations. */
const maxDataBytes = 128 * 1024 * 1024;
const maxRelocationBytes = 64 * 1024 * 1024;
const maxCandidates = 262_144;
/** The functions of all three algorithms are of one source file. */
const neighbourhoodBytes = 64 * 1024;

/** `init`, `seal` and `open`, then the length of the key and the algorithm's number. */
const pointers = 3;
const keyLengthAt = pointers * wordBytes;
const algorithms = [
  { keyLength: 16, id: 0 },
  { keyLength: 32, id: 1 },
  { keyLength: 32, id: 2 },
] as const;

interface Algorithm {
  id: number;
  init: number;
  seal: number;
  open: number;
}

export interface RingInput {
  file: BinaryFile;
  headers: ElfHeaders;
  map: AddressMap;
  functions: FunctionTable;
  /** As the program's texts say; null when they do not. */
  version: string | null;
}

export interface RingFindings {
  /** Virtual addresses at which each function could start. */
  places: Map<WantedFunction, number[]>;
  /** Why there are none. */
  reasons: string[];
}

/**
 * The functions that ring's tables point to.
 *
 * @throws AgsightError `damaged` when the file became shorter
 */
export function findRing(input: RingInput): RingFindings {
  const nothing = (reason: string): RingFindings => ({ places: new Map(), reasons: [reason] });
  const { version } = input;
  if (version === null || !knownVersions.includes(version)) {
    return nothing(`the functions of ring ${version ?? 'of an unknown version'} have unknown arguments`);
  }
  const tables = algorithmTables(input);
  if (tables === undefined) return nothing('too much data to look for the tables of ring');

  const places = new Map<WantedFunction, number[]>();
  const add = (name: WantedFunction, vaddr: number) => {
    places.set(name, [...new Set([...(places.get(name) ?? []), vaddr])]);
  };
  for (const aes of tables.filter(({ id }) => id === 0)) {
    // AES-256-GCM differs from AES-128-GCM in how it takes its key, and in nothing else.
    const isPaired = tables.some(
      ({ id, init, seal, open }) => id === 1 && init !== aes.init && seal === aes.seal && open === aes.open,
    );
    if (!isPaired) continue;
    for (const chacha of tables.filter(({ id }) => id === 2)) {
      if (Math.abs(chacha.seal - aes.seal) > neighbourhoodBytes) continue;
      add('ring::aead::aes_gcm_seal', aes.seal);
      add('ring::aead::aes_gcm_open', aes.open);
      add('ring::aead::chacha20_poly1305_seal', chacha.seal);
      add('ring::aead::chacha20_poly1305_open', chacha.open);
    }
  }
  return places.size === 0 ? nothing('no tables of ring') : { places, reasons: [] };
}

/** What could be tables; undefined when there is too much to look at. */
function algorithmTables({ file, headers, map, functions }: RingInput): Algorithm[] | undefined {
  const segments = headers.segments.filter(
    ({ type, writable, executable }) => type === 'load' && !executable && (writable || headers.isFixed),
  );
  if (segments.reduce((sum, { fileSize }) => sum + fileSize, 0) > maxDataBytes) return undefined;
  const candidates = segments.flatMap((segment) => [...candidatesIn(file, segment)]);
  if (candidates.length > maxCandidates) return undefined;
  const wanted = new Map<number, number>();
  for (const { vaddr, words } of candidates) {
    for (const [index, word] of words.entries()) wanted.set(vaddr + index * wordBytes, word);
  }
  if (!relocate(file, headers, map, wanted)) return undefined;
  return candidates.flatMap(({ vaddr, id }) => {
    const [init, seal, open] = Array.from({ length: pointers }, (_, index) =>
      wanted.get(vaddr + index * wordBytes),
    );
    if (init === undefined || seal === undefined || open === undefined || seal === open) return [];
    return [init, seal, open].every(functions.has) ? [{ id, init, seal, open }] : [];
  });
}

interface Candidate {
  vaddr: number;
  id: number;
  /** The words in the places of the pointers, before relocation. */
  words: number[];
}

/** The places in the segment that have the length of a key and the number of an algorithm where a table has them. */
function* candidatesIn(file: BinaryFile, { offset, vaddr, fileSize }: Segment): Generator<Candidate> {
  const tableBytes = keyLengthAt + 2 * wordBytes;
  const first = (wordBytes - (vaddr % wordBytes)) % wordBytes;
  const buffer = Buffer.alloc(Math.min(windowBytes + tableBytes, Math.max(0, fileSize)));
  for (let start = first; start + tableBytes <= fileSize; start += windowBytes) {
    const length = Math.min(buffer.length, fileSize - start);
    file.readInto(buffer, offset + start, length);
    const end = Math.min(windowBytes, length - tableBytes + wordBytes);
    for (let at = 0; at < end; at += wordBytes) {
      const keyLength = buffer.readUInt32LE(at + keyLengthAt);
      if ((keyLength !== 16 && keyLength !== 32) || buffer.readUInt32LE(at + keyLengthAt + 4) !== 0) continue;
      const id = buffer.readUInt32LE(at + keyLengthAt + wordBytes);
      if (!algorithms.some((known) => known.id === id && known.keyLength === keyLength)) continue;
      const words = Array.from({ length: pointers }, (_, index) =>
        Number(buffer.readBigUInt64LE(at + index * wordBytes)),
      );
      yield { vaddr: vaddr + start + at, id, words };
    }
  }
}

/**
 * Gives the words at the addresses in `words` the values that the loader gives them, as offsets from where the program
 * is loaded. Packed relocations (RELR) leave what is in the file as it is. False when there are too many.
 */
function relocate(
  file: BinaryFile,
  headers: ElfHeaders,
  map: AddressMap,
  words: Map<number, number>,
): boolean {
  const table = readDynamicSection(file, headers, map)?.relocations;
  if (table === undefined || words.size === 0) return true;
  if (table.size > maxRelocationBytes) return false;
  const window = Buffer.alloc(Math.min(windowBytes - (windowBytes % relocationBytes), table.size));
  for (let start = 0; start + relocationBytes <= table.size; start += window.length) {
    const length = Math.min(window.length, table.size - start);
    file.readInto(window, table.offset + start, length);
    for (let at = 0; at + relocationBytes <= length; at += relocationBytes) {
      if (!relativeTypes.includes(window.readUInt32LE(at + 8))) continue;
      const vaddr = window.readUInt32LE(at) + window.readUInt32LE(at + 4) * 2 ** 32;
      if (words.has(vaddr)) words.set(vaddr, Number(window.readBigInt64LE(at + 16)));
    }
  }
  return true;
}
