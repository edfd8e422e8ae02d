// Functions by their names in .symtab and .dynsym. Exact wherever the names were left in.
// Walks both tables in windows, so that the symbols of a debug build cost no memory.

import type { AddressMap } from './address-map.js';
import type { BinaryFile } from './file.js';
import type { ElfHeaders, Section } from './headers.js';
import { search } from './search.js';
import { symbolName, type TlsFunction } from './tls-function.js';

const symbolBytes = 24;
const windowBytes = 1024 * 1024 - ((1024 * 1024) % symbolBytes);
const maxTableBytes = 256 * 1024 * 1024;
const undefinedSection = 0;
const symbolTypes = { none: 0, function: 2 };

const wanted: readonly Pick<TlsFunction, 'name' | 'isEx'>[] = [
  { name: 'ssl_write', isEx: true },
  { name: 'ssl_read', isEx: true },
  { name: 'ssl_write', isEx: false },
  { name: 'ssl_read', isEx: false },
  { name: 'ssl_do_handshake', isEx: false },
];

/**
 * Every wanted function that the file defines, plain and `_ex` ones, each place once.
 *
 * @throws AgsightError `damaged` when a symbol table lies outside of the file
 */
export function findBySymbols(file: BinaryFile, headers: ElfHeaders, map: AddressMap): TlsFunction[] {
  const found = new Map<string, TlsFunction>();
  for (const table of headers.sections) {
    if (table.type !== 'symtab' && table.type !== 'dynsym') continue;
    const names = headers.sections[table.link];
    if (names?.type !== 'strtab') continue;
    for (const section of [table, names]) {
      if (section.size > maxTableBytes)
        throw file.damaged(`a symbol table of more than ${maxTableBytes} bytes`, section.offset);
    }
    for (const candidate of functionsOf(file, table, names, map)) {
      found.set(`${symbolName(candidate)} ${candidate.offset}`, candidate);
    }
  }
  return [...found.values()].sort((a, b) => order(a) - order(b) || a.offset - b.offset);
}

function order({ name, isEx }: TlsFunction): number {
  return wanted.findIndex((candidate) => candidate.name === name && candidate.isEx === isEx);
}

function* functionsOf(
  file: BinaryFile,
  table: Section,
  names: Section,
  map: AddressMap,
): Generator<TlsFunction> {
  // A name may be the end of a longer one (linkers merge tails), so only its end is marked by a NUL.
  const needles = wanted.map((one) => Buffer.from(`${symbolName(one)}\0`));
  const places = search(file, [{ offset: names.offset, length: names.size, needles }]);
  const functionByName = new Map<number, Pick<TlsFunction, 'name' | 'isEx'>>();
  for (const [index, needle] of needles.entries()) {
    const one = wanted[index];
    if (one === undefined) continue;
    for (const offset of places.get(needle) ?? []) functionByName.set(offset - names.offset, one);
  }
  if (functionByName.size === 0) return;

  const window = Buffer.alloc(Math.min(windowBytes, table.size));
  const end = table.size - (table.size % symbolBytes);
  for (let start = 0; start < end; start += windowBytes) {
    const length = Math.min(windowBytes, end - start);
    file.readInto(window, table.offset + start, length);
    for (let at = 0; at < length; at += symbolBytes) {
      const wantedFunction = functionByName.get(window.readUInt32LE(at));
      if (wantedFunction === undefined) continue;
      const offset = codeOffset(window.subarray(at, at + symbolBytes), map);
      if (offset !== undefined) yield { ...wantedFunction, offset };
    }
  }
}

/** File offset of the code that a symbol (Elf64_Sym) defines; undefined when it defines none here. */
function codeOffset(symbol: Buffer, map: AddressMap): number | undefined {
  const type = symbol.readUInt8(4) & 0xf;
  if (type !== symbolTypes.function && type !== symbolTypes.none) return undefined;
  if (symbol.readUInt16LE(6) === undefinedSection) return undefined;
  const offset = map.toOffset(Number(symbol.readBigUInt64LE(8)));
  return offset !== undefined && map.isCode(offset) ? offset : undefined;
}
