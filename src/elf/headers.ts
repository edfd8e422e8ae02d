// The headers of an ELF file: what it is for, its segments and its sections. Reads nothing that they point to.
// Format: System V ABI, chapters 4 and 5. Only what can run here: ELF64, little-endian, x86-64 and AArch64.

import { createRequire } from 'node:module';
import type elfy from 'elfy';
import { AgsightError, messageOf } from '../errors.js';
import type { BinaryFile } from './file.js';
import { describeScript, scriptBytes } from './script.js';

// As the CommonJS that it is, as in commander.ts: a target may be waiting for its probes.
const { Parser }: typeof elfy = createRequire(import.meta.url)('elfy');

const fileHeaderBytes = 64;
const programHeaderBytes = 56;
const sectionHeaderBytes = 64;
const maxProgramHeaders = 512;
const maxSections = 8192;
const maxSectionNameBytes = 64 * 1024;

export type Arch = 'x86_64' | 'aarch64';

export interface Segment {
  /** elfy's name of the type: `load`, `note`, `sunw_eh_frame` (which is PT_GNU_EH_FRAME); undefined when it knows none. */
  type: string | undefined;
  offset: number;
  vaddr: number;
  fileSize: number;
  memorySize: number;
  align: number;
  executable: boolean;
  writable: boolean;
}

export interface Section {
  name: string;
  vaddr: number;
  /** elfy's name of the type (`symtab`, `dynsym`, `strtab`, `note`), or the number when it knows none. */
  type: string | number;
  offset: number;
  size: number;
  /** Index of the section that this one refers to; of a symbol table, its string table. */
  link: number;
}

export interface ElfHeaders {
  arch: Arch;
  /** Always loaded at its own addresses, so that code may hold them as plain numbers. */
  isFixed: boolean;
  segments: Segment[];
  sections: Section[];
}

/**
 * Reads the ELF headers, at most 1 MiB.
 *
 * @param contents `symbols`: of a separate debug file, whose segments keep their addresses and have no bytes here
 * @throws AgsightError `not-elf`, `elf-unsupported` or `damaged`
 */
export function readHeaders(file: BinaryFile, contents: 'program' | 'symbols' = 'program'): ElfHeaders {
  const start = file.read(0, Math.min(file.size, fileHeaderBytes));
  requireElf64(file, start);
  const parser = new Parser();
  const header = guarded(file, () => parser.parseHeader(start));
  const arch = archOf(file, header.machine);
  if (header.type !== 'exec' && header.type !== 'dyn') {
    throw unsupported(
      file,
      `an ELF file of type ${header.type ?? 'unknown'}, not a program or shared library`,
    );
  }

  const programs = readTable(file, start, {
    what: 'program headers',
    offset: header.phoff,
    count: header.phnum,
    entryBytes: header.phentsize,
    expectedBytes: programHeaderBytes,
    maxCount: maxProgramHeaders,
  });
  const sections = readTable(file, start, {
    what: 'section headers',
    offset: header.shoff,
    count: header.shnum,
    entryBytes: header.shentsize,
    expectedBytes: sectionHeaderBytes,
    maxCount: maxSections,
  });
  // The tables now stand right behind the 64-byte file header, wherever they are in the file.
  const segments = guarded(file, () => parser.parsePrograms(programs, { ...header, phoff: fileHeaderBytes }))
    .map(({ type, offset, vaddr, filesz, memsz, align, flags }) => ({
      type,
      offset,
      vaddr,
      fileSize: filesz,
      memorySize: memsz,
      align,
      executable: flags.x === true,
      writable: flags.w === true,
    }))
    .filter(({ type }) => type !== 'null');
  if (contents === 'program') requireSoundLoads(file, segments);
  const parsedSections = guarded(file, () =>
    parser.parseSections(sections, { ...header, shoff: fileHeaderBytes }),
  );
  const names = readSectionNames(file, parsedSections[header.shstrndx]);
  return {
    arch,
    isFixed: header.type === 'exec',
    segments,
    sections: parsedSections.map(({ name, type, addr, off, size, link }) => {
      const end = names.indexOf(0, name);
      const text = end === -1 ? '' : names.toString('latin1', name, end);
      return { name: text, type, vaddr: addr, offset: off, size, link };
    }),
  };
}

/** Empty when there are none: names help, nothing depends on them. */
function readSectionNames(file: BinaryFile, table: { off: number; size: number } | undefined): Buffer {
  if (table === undefined || table.off + table.size > file.size) return Buffer.alloc(0);
  return file.read(table.off, Math.min(table.size, maxSectionNameBytes));
}

function requireElf64(file: BinaryFile, start: Buffer): void {
  if (start.toString('latin1', 0, 4) !== '\x7fELF') {
    const script = describeScript(file.path, file.read(0, Math.min(file.size, scriptBytes)));
    const foreign = script?.what ?? foreignFormat(start);
    throw new AgsightError('not-elf', `${foreign === undefined ? '' : `${foreign}, `}not an ELF file`, {
      file: file.path,
      remedy: script?.remedy ?? 'name the native Linux program or library',
    });
  }
  if (start.length < fileHeaderBytes) throw file.damaged('the ELF header is cut', start.length);
  if (start[4] !== 2)
    throw unsupported(file, start[4] === 1 ? 'a 32-bit ELF file' : 'an ELF file of no known class');
  if (start[5] !== 1)
    throw unsupported(file, start[5] === 2 ? 'a big-endian ELF file' : 'an ELF file of no known byte order');
}

function foreignFormat(start: Buffer): string | undefined {
  if (start.length === 0) return 'an empty file';
  const magic = start.toString('hex', 0, 4);
  if (magic.startsWith('4d5a')) return 'a Windows program (PE)';
  if (['feedface', 'feedfacf', 'cefaedfe', 'cffaedfe', 'cafebabe'].includes(magic))
    return 'a macOS program (Mach-O)';
  return undefined;
}

function archOf(file: BinaryFile, machine: string | undefined): Arch {
  if (machine === 'amd64') return 'x86_64';
  if (machine === 'AArch64') return 'aarch64';
  throw unsupported(file, `an ELF file for ${machine ?? 'an unknown machine'}`);
}

interface HeaderTable {
  what: string;
  offset: number;
  count: number;
  entryBytes: number;
  expectedBytes: number;
  maxCount: number;
}

/** The 64 bytes of `start`, followed by the table: elfy takes a table at offset 0 for none. */
function readTable(file: BinaryFile, start: Buffer, table: HeaderTable): Buffer {
  if (table.count === 0) return start;
  if (table.entryBytes !== table.expectedBytes) {
    throw file.damaged(`${table.what} of ${table.entryBytes} bytes, they have ${table.expectedBytes}`);
  }
  if (table.count > table.maxCount) {
    throw file.damaged(`${table.count} ${table.what}, more than the ${table.maxCount} that are read`);
  }
  return Buffer.concat([start, file.read(table.offset, table.count * table.entryBytes)]);
}

function requireSoundLoads(file: BinaryFile, segments: readonly Segment[]): void {
  const loads = segments.filter(({ type }) => type === 'load').sort((a, b) => a.vaddr - b.vaddr);
  if (loads.length === 0) throw unsupported(file, 'an ELF file without a segment to load');
  let end = 0;
  for (const { offset, vaddr, fileSize } of loads) {
    const addressesFit = Number.isSafeInteger(vaddr) && vaddr >= 0 && Number.isSafeInteger(vaddr + fileSize);
    if (!addressesFit || !Number.isSafeInteger(offset + fileSize)) {
      throw file.damaged('a segment lies beyond every address');
    }
    if (offset + fileSize > file.size) {
      throw file.damaged(`a segment ends at byte ${offset + fileSize}, the file has ${file.size}`, offset);
    }
    if (vaddr < end) throw file.damaged(`two segments claim address 0x${vaddr.toString(16)}`);
    end = vaddr + fileSize;
  }
}

function unsupported(file: BinaryFile, what: string): AgsightError {
  return new AgsightError('elf-unsupported', what, {
    file: file.path,
    remedy: 'name a 64-bit Linux program or library for x86-64 or AArch64',
  });
}

/** elfy throws plain errors; the reader of ours gets one that names the file. */
function guarded<T>(file: BinaryFile, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw file.damaged(`the ELF headers make no sense: ${messageOf(error)}`);
  }
}
