import { execFileSync } from 'node:child_process';
import { readFileSync, renameSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inspectBinary } from '../../src/elf/binary.js';
import { BinaryFile } from '../../src/elf/file.js';
import { type ElfHeaders, readHeaders } from '../../src/elf/headers.js';
import { functionsOf } from '../../src/elf/tls-library.js';
import { AgsightError } from '../../src/errors.js';
import { openWorkshop, strip, toolchains } from './build.js';
import { awslcSource, opensslSource } from './openssl-like.js';
import { ringSource } from './ring-like.js';

// Where the fields of Elf64_Ehdr, Elf64_Phdr and Elf64_Shdr are.
const at = {
  class: 4,
  order: 5,
  type: 16,
  machine: 18,
  phoff: 32,
  shoff: 40,
  phentsize: 54,
  phnum: 56,
  shentsize: 58,
  shnum: 60,
};
const inProgram = { type: 0, offset: 8, vaddr: 16, fileSize: 32 };
const programBytes = 56;
const sectionBytes = 64;

const workshop = openWorkshop();
afterAll(workshop.close);
let sound: Buffer;

beforeAll(() => {
  const source = 'int SSL_write_ex(void) { return 1; } int SSL_read_ex(void) { return 2; }';
  const path = workshop.compile('sound.so', source, [
    '-shared',
    '-fPIC',
    '-nostdlib',
    '-Wl,-z,noseparate-code',
  ]);
  sound = readFileSync(path);
});

function spoiled(spoil: (bytes: Buffer) => void): string {
  const bytes = Buffer.from(sound);
  spoil(bytes);
  return workshop.write('spoiled', bytes);
}

function headersOf(path: string): ElfHeaders {
  const file = BinaryFile.open(path);
  try {
    return readHeaders(file);
  } finally {
    file.close();
  }
}

/** Where the program header of the `index`-th segment to load is. */
function loadAt(bytes: Buffer, index: number): number {
  const first = Number(bytes.readBigUInt64LE(at.phoff));
  const headers = Array.from({ length: bytes.readUInt16LE(at.phnum) }, (_, i) => first + i * programBytes);
  return headers.filter((header) => bytes.readUInt32LE(header) === 1)[index] ?? Number.NaN;
}

function errorOf(path: string): AgsightError {
  try {
    inspectBinary(path);
  } catch (error) {
    if (error instanceof AgsightError) return error;
    throw error;
  }
  throw new Error(`${path} is accepted`);
}

describe('what is no program', () => {
  it.each<[string, string | Uint8Array, string, RegExp]>([
    ['an empty file', '', 'not-elf', /an empty file/],
    ['a text', 'hello world, not a program\n', 'not-elf', /: not an ELF file/],
    ['a script', '#!/bin/sh\n', 'not-elf', /a script that \/bin\/sh runs, not an ELF file \(name the/],
    ['a Windows program', Buffer.from('4d5a9000', 'hex'), 'not-elf', /Windows/],
    ['a macOS program', Buffer.from('cffaedfe', 'hex'), 'not-elf', /macOS/],
    ['a cut magic', '\x7fE', 'not-elf', /not an ELF file/],
    ['a cut header', '\x7fELF\x02\x01', 'damaged', /header is cut/],
  ])('%s', (_, content, code, message) => {
    const error = errorOf(workshop.write('foreign', content));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(error.message).toMatch(/^\S*foreign: [^\n]+$/);
  });

  it('a directory, a device, a name without a file', () => {
    expect(errorOf(workshop.path('.'))).toMatchObject({ code: 'not-a-file' });
    expect(errorOf('/dev/zero')).toMatchObject({ code: 'not-a-file' });
    expect(errorOf(workshop.path('nothing'))).toMatchObject({ code: 'unreadable' });
  });

  it('a fifo that nobody writes to', () => {
    execFileSync('mkfifo', [workshop.path('fifo')]);
    expect(errorOf(workshop.path('fifo'))).toMatchObject({ code: 'not-a-file' });
  });
});

describe('ELF files of another kind', () => {
  it.each<[string, (bytes: Buffer) => void, RegExp]>([
    ['32-bit', (bytes) => bytes.writeUInt8(1, at.class), /32-bit/],
    ['no class', (bytes) => bytes.writeUInt8(9, at.class), /no known class/],
    ['big-endian', (bytes) => bytes.writeUInt8(2, at.order), /big-endian/],
    ['object file', (bytes) => bytes.writeUInt16LE(1, at.type), /type rel/],
    ['other machine', (bytes) => bytes.writeUInt16LE(243, at.machine), /unknown machine/],
    ['no segments', (bytes) => bytes.writeUInt16LE(0, at.phnum), /without a segment to load/],
  ])('%s', (_, spoil, message) => {
    const error = errorOf(spoiled(spoil));
    expect(error).toMatchObject({ code: 'elf-unsupported', message: expect.stringMatching(message) });
  });
});

describe('damaged ELF files', () => {
  it.each<[string, (bytes: Buffer) => void, RegExp]>([
    [
      '65535 program headers',
      (bytes) => bytes.writeUInt16LE(0xffff, at.phnum),
      /65535 program headers, more than/,
    ],
    [
      '65535 section headers',
      (bytes) => bytes.writeUInt16LE(0xffff, at.shnum),
      /65535 section headers, more than/,
    ],
    [
      'program headers of no size',
      (bytes) => bytes.writeUInt16LE(0, at.phentsize),
      /program headers of 0 bytes/,
    ],
    [
      'section headers of no size',
      (bytes) => bytes.writeUInt16LE(0, at.shentsize),
      /section headers of 0 bytes/,
    ],
    [
      'program headers outside of the file',
      (bytes) => bytes.writeBigUInt64LE(2n ** 62n, at.phoff),
      /bytes are expected here/,
    ],
    [
      'section headers outside of the file',
      (bytes) => bytes.writeBigUInt64LE(2n ** 64n - 1n, at.shoff),
      /bytes are expected here/,
    ],
    [
      'a segment that starts outside of the file',
      (bytes) => bytes.writeBigUInt64LE(2n ** 40n, loadAt(bytes, 0) + inProgram.offset),
      /a segment ends at byte/,
    ],
    [
      'a segment that ends outside of the file',
      (bytes) => bytes.writeBigUInt64LE(2n ** 40n, loadAt(bytes, 0) + inProgram.fileSize),
      /a segment ends at byte/,
    ],
    [
      'a segment beyond every address',
      (bytes) => bytes.writeBigUInt64LE(2n ** 64n - 1n, loadAt(bytes, 0) + inProgram.vaddr),
      /beyond every address/,
    ],
    [
      'segments that overlap',
      (bytes) =>
        bytes.writeBigUInt64LE(
          bytes.readBigUInt64LE(loadAt(bytes, 0) + inProgram.vaddr) + 8n,
          loadAt(bytes, 1) + inProgram.vaddr,
        ),
      /two segments claim/,
    ],
  ])('%s', (_, spoil, message) => {
    const error = errorOf(spoiled(spoil));
    expect(error).toMatchObject({ code: 'damaged', remedy: expect.stringContaining('get the file again') });
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain('\n');
  });

  it('a symbol table that names one function without end', () => {
    const names = workshop.compile(
      'endless.so',
      `asm(".globl SSL_write_ex\\n.type SSL_write_ex,@function\\nSSL_write_ex: ret");
       ${Array.from({ length: 1100 }, (_, i) => `__attribute__((alias("target"))) int f${1000 + i}(void);`).join('\n')}
       int target(void) { return 1; }`,
      ['-shared', '-fPIC', '-nostdlib'],
    );
    const bytes = readFileSync(names);
    const { sections } = headersOf(names);
    for (const table of sections.filter(({ type }) => type === 'dynsym' || type === 'symtab')) {
      const wanted = bytes.indexOf('SSL_write_ex\0', sections[table.link]?.offset);
      const index = wanted - (sections[table.link]?.offset ?? 0);
      for (let symbol = 1; symbol < table.size / 24; symbol++) {
        bytes.writeUInt32LE(index, table.offset + symbol * 24);
      }
    }
    expect(errorOf(workshop.write('endless', bytes)).message).toMatch(/more than 1024 times/);
  });

  it('a file cut anywhere', () => {
    for (let length = 0; length < sound.length; length += 61) {
      expect(['damaged', 'not-elf']).toContain(
        errorOf(workshop.write('cut', sound.subarray(0, length))).code,
      );
    }
  });

  it('a file that becomes shorter while it is read', () => {
    const path = workshop.write('shrinking', sound);
    const file = BinaryFile.open(path);
    truncateSync(path, 100);
    expect(() => file.read(64, 200)).toThrow(/became shorter/);
    file.close();
  });
});

describe('a file that somebody writes to', () => {
  it('is not reported: what was read may not belong together', () => {
    const path = workshop.write('written', sound);
    const file = BinaryFile.open(path);
    expect(() => file.requireUnchanged()).not.toThrow();
    writeFileSync(path, Buffer.concat([sound, Buffer.from('more')]));
    expect(() => file.requireUnchanged()).toThrow(
      /written: somebody wrote to it while it was read \(try again/,
    );
    file.close();
  });
});

describe('unusual but sound files', () => {
  it('one that another file replaces while it is open', () => {
    const path = workshop.write('replaced', 'the old content');
    const file = BinaryFile.open(path);
    renameSync(workshop.write('replacement', 'new'), path);
    expect(file.read(4, 11).toString()).toBe('old content');
    file.close();
  });

  it.runIf(process.platform === 'linux')('the program of a running process', () => {
    expect(inspectBinary('/proc/self/exe').fingerprint).toEqual(inspectBinary(process.execPath).fingerprint);
  });

  it('one that ends in 100 GB of nothing', () => {
    const path = workshop.write('sparse', sound);
    truncateSync(path, 100e9);
    expect(inspectBinary(path).tls).toMatchObject([{ tier: 'symbol' }]);
  });

  it('one that maps 100 GB of nothing: the symbols are found, the rest is not searched', () => {
    const path = spoiled((bytes) => {
      bytes.writeBigUInt64LE(99_000_000_000n, loadAt(bytes, 1) + inProgram.fileSize);
      const executable = loadAt(bytes, 1) + 4;
      bytes.writeUInt32LE(5, executable);
    });
    truncateSync(path, 100e9);
    expect(inspectBinary(path).tls).toMatchObject([{ tier: 'symbol' }]);
    expect(inspectBinary(path, { tier: 'pattern' }).remarks).toEqual([
      expect.stringMatching(/^9900\d+ bytes of read-only data, more than/),
    ]);
  });

  it('one without section headers: its symbols are found as the loader finds them', () => {
    const path = spoiled((bytes) => {
      bytes.writeUInt16LE(0, at.shnum);
      bytes.writeBigUInt64LE(0n, at.shoff);
    });
    expect(inspectBinary(path).tls).toEqual(inspectBinary(workshop.path('sound.so')).tls);
    expect(inspectBinary(path).tls).toMatchObject([{ tier: 'symbol' }]);
  });
});

/** Small programs that between them have all that is read: each with what a mutation could spoil. */
function subjects(): { name: string; bytes: Buffer; symbols?: string }[] {
  const bare = ['-nostdlib', '-O2', '-Wl,-z,noseparate-code'];
  const found = toolchains().flatMap(({ arch, compiler, prefix }) => {
    const build = (name: string, source: string, ...flags: string[]) =>
      workshop.compile(`${arch}-${name}`, source, [...bare, ...flags], compiler);
    const library = build('library.so', opensslSource(), '-shared', '-fPIC');
    const program = build('program', `${opensslSource()}\nvoid _start(void) {}`, '-static', '-g');
    const debug = `${program}.debug`;
    execFileSync(`${prefix}objcopy`, ['--only-keep-debug', program, debug]);
    const aead = build('aead', `${awslcSource}\nvoid _start(void) {}`, '-static', '-Wl,--no-eh-frame-hdr');
    const ring = build('ring', ringSource(), '-shared', '-fPIC');
    return [
      { name: `${arch} library`, bytes: readFileSync(library) },
      { name: `${arch} stripped program`, bytes: readFileSync(strip(program, prefix)) },
      { name: `${arch} program without a table of functions`, bytes: readFileSync(strip(aead, prefix)) },
      { name: `${arch} library with relocated tables`, bytes: readFileSync(strip(ring, prefix)) },
      { name: `${arch} debug file`, bytes: readFileSync(debug), symbols: strip(program, prefix) },
    ];
  });
  const [library] = found;
  if (library === undefined) throw new Error('no compiler');
  const headerless = Buffer.from(library.bytes);
  headerless.writeUInt16LE(0, at.shnum);
  headerless.writeBigUInt64LE(0n, at.shoff);
  return [...found, { name: 'library without section headers', bytes: headerless }];
}

const mutationsInAll = 24_000;

describe('files changed at random give a report or a one-line error', () => {
  const all = subjects();

  it.each(all)('$name', ({ bytes: unchanged, symbols }) => {
    const path = workshop.path('mutant');
    const sections = Number(unchanged.readBigUInt64LE(at.shoff));
    const place = fc.oneof(
      fc.nat({ max: 63 }),
      fc.nat({ max: unchanged.readUInt16LE(at.phnum) * programBytes - 1 }).map((byte) => 64 + byte),
      fc
        .nat({ max: Math.max(0, unchanged.readUInt16LE(at.shnum) * sectionBytes - 1) })
        .map((byte) => sections + byte),
      // Notes, symbols, names, frames and code are small here and all in the rest of the file.
      fc.nat({ max: unchanged.length - 1 }),
    );
    const value = fc.oneof(
      fc.constantFrom(
        0n,
        1n,
        0xffn,
        0xffffn,
        0x7fff_ffffn,
        0xffff_ffffn,
        2n ** 53n,
        2n ** 63n,
        2n ** 64n - 1n,
      ),
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      fc.nat({ max: unchanged.length }).map(BigInt),
    );
    const mutation = fc.tuple(place, fc.constantFrom(1, 2, 4, 8), value);
    let reports = 0;
    fc.assert(
      fc.property(fc.array(mutation, { minLength: 1, maxLength: 4 }), (mutations) => {
        const bytes = Buffer.from(unchanged);
        for (const [offset, width, number] of mutations) {
          const field = Buffer.alloc(8);
          field.writeBigUInt64LE(number);
          field.copy(bytes, offset, 0, width);
        }
        writeFileSync(path, bytes);
        const program = symbols ?? path;
        try {
          const { tls } = inspectBinary(program, symbols === undefined ? {} : { symbols: path });
          for (const { offset } of tls.flatMap(functionsOf))
            expect(offset).toBeLessThan(statSync(program).size);
          reports++;
        } catch (error) {
          if (!(error instanceof AgsightError)) throw error;
          expect(error.message).not.toContain('\n');
        }
      }),
      { numRuns: Math.ceil(mutationsInAll / all.length) },
    );
    expect(reports).toBeGreaterThan(100);
  });
});
