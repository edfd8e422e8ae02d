// Functions by their names in .symtab and .dynsym. Exact wherever the names were left in.
// Walks both tables in windows, so that the symbols of a debug build cost no memory.

import type { AddressMap } from './address-map.js';
import { type FileRange, readDynamicSection } from './dynamic.js';
import type { BinaryFile } from './file.js';
import type { ElfHeaders, Section } from './headers.js';
import { search } from './search.js';
import {
  eachRecordLibrary,
  type Findings,
  type RecordAnswer,
  type RecordLibraryName,
  recordFunctions,
  recordOffsets,
  symbolName,
  type TlsFunction,
} from './tls-function.js';

const symbolBytes = 24;
const windowBytes = 1024 * 1024 - ((1024 * 1024) % symbolBytes);
/** A debug build of Codex has some 50 MiB of names. */
const maxTableBytes = 128 * 1024 * 1024;
/** A program defines each function once, or once more under the same name in another file. */
const maxDefinitions = 1024;
const undefinedSection = 0;
const symbolTypes = { none: 0, function: 2 };

const callFunctions: readonly Pick<TlsFunction, 'name' | 'isEx'>[] = [
  { name: 'ssl_write', isEx: true },
  { name: 'ssl_read', isEx: true },
  { name: 'ssl_write', isEx: false },
  { name: 'ssl_read', isEx: false },
  { name: 'ssl_do_handshake', isEx: false },
  { name: 'gnutls_record_send', isEx: false },
  { name: 'gnutls_record_recv', isEx: false },
  { name: 'gnutls_handshake', isEx: false },
];

interface WantedName {
  /** What the rest of the program calls the function. */
  name: string;
  /** What the string table is searched for. */
  needle: Buffer;
  /** What the whole symbol must look like; undefined: the needle is its end, and the beginning is of no matter. */
  symbol: RegExp | undefined;
}

// A name may be the end of a longer one (linkers merge tails), so only its end is marked by a NUL.
const callNames = callFunctions
  .map(symbolName)
  .map((name): WantedName => ({ name, needle: Buffer.from(`${name}\0`), symbol: undefined }));
// aws-lc's Rust packages put their version before each name, so that several go into one program. Without that it may
// be BoringSSL's, whose data is seen one layer above.
const awslcNames = recordFunctions('aws-lc').map(
  ([, name]): WantedName => ({
    name,
    needle: Buffer.from(`${name}\0`),
    symbol: new RegExp(`^aws_lc_(?:fips_)?\\d+_\\d+_\\d+_${name}$`),
  }),
);
// Rust writes a path with the length of each part before it, in its older form and in its newer one.
const ringNames = recordFunctions('ring').map(([key, name]): WantedName => {
  const path = `9algorithm${key.length}${key}`;
  return {
    name,
    needle: Buffer.from(path),
    symbol: new RegExp(`^_(?:ZN4ring4aead${path}17h[0-9a-f]{16}E|RN\\w{1,40}4ring4aead${path})$`),
  };
});
const wantedNames = [...callNames, ...awslcNames, ...ringNames];
const maxSymbolBytes = 128;

interface SymbolTable {
  table: FileRange;
  names: FileRange;
}

/**
 * Every wanted function that the file defines, plain and `_ex` ones, each place once.
 *
 * @param map of the program: a separate debug file has the symbols, not the code that they name
 * @throws AgsightError `damaged` when a symbol table lies outside of the file
 */
export function findBySymbols(file: BinaryFile, headers: ElfHeaders, map: AddressMap): Findings {
  const offsetsByName = new Map<string, Set<number>>();
  for (const table of symbolTables(file, headers, map)) {
    for (const { offset, size } of [table.table, table.names]) {
      if (size > maxTableBytes)
        throw file.damaged(`a symbol table of more than ${maxTableBytes} bytes`, offset);
    }
    for (const { name, offset } of definitions(file, table, map)) {
      offsetsByName.set(name, (offsetsByName.get(name) ?? new Set()).add(offset));
    }
  }
  const offsetsOf = (name: string) => [...(offsetsByName.get(name) ?? [])].sort((a, b) => a - b);
  const functions = callFunctions.flatMap((one) =>
    offsetsOf(symbolName(one)).map((offset): TlsFunction => ({ ...one, offset, confidence: 'high' })),
  );
  const reasons: string[] = [];
  const recordsOf = (library: RecordLibraryName): RecordAnswer => {
    const found = new Map(recordFunctions(library).map(([key, name]) => [key, offsetsOf(name)]));
    if ([...found.values()].some((places) => places.length > 1)) {
      reasons.push(`it holds more than one ${library}`);
      return undefined;
    }
    const offsets = recordOffsets(library, (key) => found.get(key)?.[0]);
    if (offsets !== undefined) return { offsets, confidence: 'high' };
    // Where the names of one library were left in, those of the others would have been, too.
    return functions.length > 0 ? null : undefined;
  };
  return { functions, records: eachRecordLibrary(recordsOf), reasons, doubts: [] };
}

/** .symtab and .dynsym by the section headers; without any, .dynsym as the loader finds it. */
function symbolTables(file: BinaryFile, headers: ElfHeaders, map: AddressMap): SymbolTable[] {
  const asRange = ({ offset, size }: Section) => ({ offset, size });
  const bySections = ['symtab', 'dynsym'].flatMap((wanted): SymbolTable[] => {
    // The format allows one of each.
    const table = headers.sections.find(({ type }) => type === wanted);
    const names = table === undefined ? undefined : headers.sections[table.link];
    if (table === undefined || names?.type !== 'strtab') return [];
    return [{ table: asRange(table), names: asRange(names) }];
  });
  if (headers.sections.length > 0) return bySections;
  const dynamic = readDynamicSection(file, headers, map)?.symbols;
  return dynamic === undefined ? [] : [dynamic];
}

interface Definition {
  name: string;
  offset: number;
}

function* definitions(
  file: BinaryFile,
  { table, names }: SymbolTable,
  map: AddressMap,
): Generator<Definition> {
  const nameByIndex = wantedNameIndexes(file, names);
  if (nameByIndex.size === 0) return;
  const window = Buffer.alloc(Math.min(windowBytes, table.size));
  const end = table.size - (table.size % symbolBytes);
  let count = 0;
  for (let start = 0; start < end; start += windowBytes) {
    const length = Math.min(windowBytes, end - start);
    file.readInto(window, table.offset + start, length);
    for (let at = 0; at < length; at += symbolBytes) {
      const name = nameByIndex.get(window.readUInt32LE(at));
      if (name === undefined) continue;
      if (++count > maxDefinitions) {
        throw file.damaged(`${name} and others are there more than ${maxDefinitions} times`, table.offset);
      }
      const offset = codeOffset(window.subarray(at, at + symbolBytes), map);
      if (offset !== undefined) yield { name, offset };
    }
  }
}

/** Which wanted name stands at which index of the string table. */
function wantedNameIndexes(file: BinaryFile, names: FileRange): Map<number, string> {
  const needles = wantedNames.map(({ needle }) => needle);
  const places = search(file, [{ offset: names.offset, length: names.size, needles }]);
  const nameByIndex = new Map<number, string>();
  for (const { name, needle, symbol } of wantedNames) {
    for (const offset of places.get(needle) ?? []) {
      const index = offset - names.offset;
      if (symbol === undefined) {
        nameByIndex.set(index, name);
        continue;
      }
      const before = Math.min(maxSymbolBytes, index);
      const length = Math.min(before + maxSymbolBytes, names.offset + names.size - offset + before);
      const around = file.read(offset - before, length).toString('latin1');
      const start = around.lastIndexOf('\0', before - 1) + 1;
      const end = around.indexOf('\0', before);
      if (symbol.test(around.slice(start, end === -1 ? undefined : end))) {
        nameByIndex.set(index - before + start, name);
      }
    }
  }
  return nameByIndex;
}

/** File offset of the code that a symbol (Elf64_Sym) defines; undefined when it defines none here. */
function codeOffset(symbol: Buffer, map: AddressMap): number | undefined {
  const type = symbol.readUInt8(4) & 0xf;
  if (type !== symbolTypes.function && type !== symbolTypes.none) return undefined;
  if (symbol.readUInt16LE(6) === undefinedSection) return undefined;
  const offset = map.toOffset(Number(symbol.readBigUInt64LE(8)));
  return offset !== undefined && map.isCode(offset) ? offset : undefined;
}
