// Where Go's crypto/tls takes and gives plaintext, by the names of functions that every Go program keeps for its stack traces
// (.gopclntab, src/debug/gosym/pclntab.go and src/runtime/symtab.go of Go), also when its symbols were stripped. Go moves
// the stacks of its goroutines, so a function cannot be probed on its return by way of the stack: the places where it
// returns are looked for in its code.

import type { AddressMap } from './address-map.js';
import type { BinaryFile } from './file.js';
import type { ElfHeaders, Section } from './headers.js';
import { search } from './search.js';
import { symbolName, type TlsFunction } from './tls-function.js';
import { x8664Returns } from './x86-64-instructions.js';

/** Since Go 1.18 and 1.20. Before, addresses are stored otherwise, and arguments are passed otherwise on AArch64. */
const tableMagics: readonly number[] = [0xfffffff0, 0xfffffff1];
const headerBytes = 72;
const addressBytes = 8;
const buildInfo = '.go.buildinfo';
const maxFunctions = 4_000_000;
/** The largest of the four has some 3 KiB. */
const maxFunctionBytes = 64 * 1024;
const relocationBytes = 24;
const aarch64Return = 0xd65f03c0;

const carriers = ['go_tls_write', 'go_tls_read'] as const;
const wanted = [...carriers, 'go_tls_client_handshake', 'go_tls_server_handshake'] as const;
const symbols = wanted.map((name) => symbolName({ name, isEx: false }));

type Table = Pick<Section, 'offset' | 'vaddr' | 'size'>;

export interface GoFindings {
  functions: TlsFunction[];
  /** Why something is missing, a phrase each. */
  reasons: string[];
}

/**
 * The functions of crypto/tls in a Go program; none in any other.
 *
 * @throws AgsightError `damaged` when the table of functions lies outside of the file
 */
export function findGoTls(file: BinaryFile, headers: ElfHeaders, map: AddressMap): GoFindings {
  const table = functionTable(file, headers);
  if (table === undefined) return nothing();
  const found = readTable(file, headers, map, table);
  if (found === undefined) return nothing('its Go is older than 1.18, or of a form that is not known');
  const functions: TlsFunction[] = [];
  for (const [index, name] of wanted.entries()) {
    const range = found.rangeOf(index);
    // A program that only serves, or only asks, has one of the handshakes.
    if (range === undefined) continue;
    const isCarrier = carriers.some((carrier) => carrier === name);
    const returns = isCarrier ? returnsOf(file, headers, range) : undefined;
    if (isCarrier && returns === undefined) return nothing(`where ${symbols[index]} returns was not found`);
    functions.push({
      name,
      isEx: false,
      offset: range.offset,
      confidence: 'high',
      ...(returns && { returns }),
    });
  }
  const isWhole = carriers.every((carrier) => functions.some(({ name }) => name === carrier));
  return isWhole ? { functions, reasons: [] } : nothing();
}

/** Where the table of functions is. The system's linker puts that of a program that is loaded anywhere among other data. */
function functionTable(file: BinaryFile, headers: ElfHeaders): Table | undefined {
  const isInFile = ({ offset, size }: Section) => size >= headerBytes && offset + size <= file.size;
  const sections = headers.sections.filter(isInFile);
  const own = sections.find(({ name }) => /^(?:\.data\.rel\.ro)?\.gopclntab$/.test(name));
  if (own !== undefined || !isGo(headers)) return own;
  const shared = sections.find(({ name }) => name === '.data.rel.ro');
  if (shared === undefined) return undefined;
  const { offset, size: length } = shared;
  const needles = tableMagics.map((magic) => {
    const start = Buffer.alloc(8);
    start.writeUInt32LE(magic);
    start[6] = headers.arch === 'x86_64' ? 1 : 4;
    start[7] = addressBytes;
    return start;
  });
  const places = search(file, [{ offset, length, needles }]);
  const place = needles.flatMap((needle) => places.get(needle) ?? []).find((at) => (at - offset) % 8 === 0);
  if (place === undefined || place + headerBytes > offset + length) return undefined;
  return { offset: place, vaddr: shared.vaddr + place - offset, size: offset + length - place };
}

/** Whether the program was made by Go, which needs no frames to know where functions are. */
export function isGo({ sections }: ElfHeaders): boolean {
  return sections.some(({ name }) => name === buildInfo);
}

/** The version of Go that made the program, as `go1.24.1`; null when it does not tell. */
export function readGoVersion(file: BinaryFile, headers: ElfHeaders): string | null {
  const section = headers.sections.find(({ name }) => name === buildInfo);
  if (section === undefined || section.size < 48 || section.offset + section.size > file.size) return null;
  const info = file.read(section.offset, Math.min(section.size, 128));
  if (info.toString('latin1', 0, 14) !== '\xff Go buildinf:' || ((info[15] ?? 0) & 2) === 0) return null;
  const length = info[32] ?? 0;
  return /^go\d[\w.+-]*/.exec(info.toString('latin1', 33, 33 + length))?.[0] ?? null;
}

function nothing(reason?: string): GoFindings {
  return { functions: [], reasons: reason === undefined ? [] : [reason] };
}

/** A place in the file. */
interface CodeRange {
  offset: number;
  length: number;
}

interface FunctionNames {
  /** Of the function with this number among `symbols`. */
  rangeOf(index: number): CodeRange | undefined;
}

function readTable(
  file: BinaryFile,
  headers: ElfHeaders,
  map: AddressMap,
  table: Table,
): FunctionNames | undefined {
  const header = file.read(table.offset, headerBytes);
  const word = (index: number): number => Number(header.readBigUInt64LE(8 + 8 * index));
  if (!tableMagics.includes(header.readUInt32LE(0)) || header[7] !== addressBytes) return undefined;
  const count = word(0);
  const names = word(3);
  const functions = word(7);
  const start = textStart(file, headers, table, word(2));
  const isSound =
    count <= maxFunctions &&
    names < functions &&
    functions + 8 * count + 4 <= table.size &&
    start !== undefined;
  if (!isSound) return undefined;
  const nameRange = { offset: table.offset + names, length: functions - names };
  const functionRange = { offset: table.offset + functions, length: table.size - functions };
  /** Where the function with this number begins, from the start of the code; that after the last one is its end. */
  const entryAt = (index: number): number => file.read(functionRange.offset + 8 * index, 4).readUInt32LE(0);
  const indexOf = (entry: number): number | undefined => {
    let low = 0;
    let high = count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (entryAt(middle) < entry) low = middle + 1;
      else high = middle;
    }
    return low < count && entryAt(low) === entry ? low : undefined;
  };
  const needles = symbols.map((symbol) => Buffer.from(`\0${symbol}\0`));
  const named = search(file, [{ ...nameRange, needles }]);
  const references = needles.map((needle) => {
    const [place] = named.get(needle) ?? [];
    if (place === undefined) return undefined;
    const reference = Buffer.alloc(4);
    reference.writeUInt32LE(place + 1 - nameRange.offset);
    return reference;
  });
  const used = search(file, [{ ...functionRange, needles: references.filter((one) => one !== undefined) }]);
  return {
    rangeOf(number) {
      const reference = references[number];
      if (reference === undefined) return undefined;
      // A function's description begins with where it begins, and then has its name.
      for (const place of used.get(reference) ?? []) {
        const at = place - 4 - functionRange.offset;
        if (at < 0 || at % 4 !== 0) continue;
        const entry = file.read(place - 4, 4).readUInt32LE(0);
        const index = indexOf(entry);
        if (index === undefined) continue;
        if (file.read(functionRange.offset + 8 * index + 4, 4).readUInt32LE(0) !== at) continue;
        const offset = map.toOffset(start + entry);
        const length = entryAt(index + 1) - entry;
        if (offset !== undefined && map.isCode(offset) && length > 0) return { offset, length };
      }
      return undefined;
    },
  };
}

/** The address of the code: in a program that is loaded anywhere, the loader puts it there, and a relocation has it. */
function textStart(file: BinaryFile, headers: ElfHeaders, table: Table, written: number): number | undefined {
  if (written !== 0) return written;
  const place = Buffer.alloc(8);
  place.writeBigUInt64LE(BigInt(table.vaddr + 24));
  const relocations = headers.sections.find(({ name }) => name === '.rela.dyn' || name === '.rela');
  if (relocations !== undefined && relocations.offset + relocations.size <= file.size) {
    const { offset, size: length } = relocations;
    const places = search(file, [{ offset, length, needles: [place] }]).get(place) ?? [];
    const entry = places.find(
      (at) => (at - offset) % relocationBytes === 0 && at + relocationBytes <= offset + length,
    );
    if (entry !== undefined) return Number(file.read(entry + 16, 8).readBigUInt64LE(0));
  }
  return headers.sections.find(({ name }) => name === '.text')?.vaddr;
}

/** File offsets of the instructions by which a function returns; undefined when its code cannot be told apart. */
function returnsOf(
  file: BinaryFile,
  headers: ElfHeaders,
  { offset, length }: CodeRange,
): number[] | undefined {
  if (length > maxFunctionBytes || offset + length > file.size) return undefined;
  const code = file.read(offset, length);
  const places = headers.arch === 'x86_64' ? x8664Returns(code) : aarch64Returns(code);
  return places === undefined || places.length === 0 ? undefined : places.map((place) => offset + place);
}

function aarch64Returns(code: Buffer): number[] {
  const returns: number[] = [];
  for (let at = 0; at + 4 <= code.length; at += 4) {
    if (code.readUInt32LE(at) === aarch64Return) returns.push(at);
  }
  return returns;
}
