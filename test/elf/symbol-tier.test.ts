import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { inspectBinary } from '../../src/elf/binary.js';
import type { TlsFunction } from '../../src/elf/tls-function.js';
import { symbolName } from '../../src/elf/tls-function.js';
import { bareLibrary, openWorkshop } from './build.js';

/** A function that can be told by its code: it returns `mark`. */
const define = (name: string, mark: number) => `int ${name}(void) { return ${mark}; }`;
const marks = new Map([
  ['SSL_write', 0x11223301],
  ['SSL_write_ex', 0x11223302],
  ['SSL_read', 0x11223303],
  ['SSL_read_ex', 0x11223304],
  ['SSL_do_handshake', 0x11223305],
]);
const library = [...marks].map(([name, mark]) => define(name, mark)).join('\n');

function bySymbols(path: string): TlsFunction[] {
  return inspectBinary(path, { tier: 'symbol' }).tls.flatMap(({ functions }) => functions);
}

/** The names of the functions, each checked against the code at its offset. */
function namesAt(path: string, functions: readonly TlsFunction[]): string[] {
  const bytes = readFileSync(path);
  return functions.map((found) => {
    const name = symbolName(found);
    const mark = Buffer.alloc(4);
    mark.writeUInt32LE(marks.get(name) ?? 0);
    expect(bytes.subarray(found.offset, found.offset + 16).includes(mark)).toBe(process.arch === 'x64');
    return name;
  });
}

describe('symbol tier', () => {
  const workshop = openWorkshop();
  afterAll(workshop.close);
  const all = ['SSL_write_ex', 'SSL_read_ex', 'SSL_write', 'SSL_read', 'SSL_do_handshake'];

  it('finds plain and _ex functions in .dynsym of a stripped library', () => {
    const path = workshop.compile('dynsym.so', library, [...bareLibrary, '-s']);
    const functions = bySymbols(path);
    expect(namesAt(path, functions)).toEqual(all);
    expect(functions.map(({ isEx }) => isEx)).toEqual([true, true, false, false, false]);
  });

  it.each([
    ['a program with relocatable addresses', ['-pie']],
    ['a program with fixed addresses', ['-no-pie']],
    ['a program whose addresses are not its offsets', ['-no-pie', '-Wl,-Ttext=0x7654000']],
  ])('finds them in .symtab of %s', (name, flags) => {
    const path = workshop.compile(name, `${library}\nint main(void) { return 0; }`, flags);
    expect(namesAt(path, bySymbols(path))).toEqual(all);
  });

  it('gives the _ex functions in the offsets, flagged', () => {
    const [openssl] = inspectBinary(workshop.path('dynsym.so')).tls;
    const byName = new Map(openssl?.functions.map((found) => [symbolName(found), found.offset]));
    expect(openssl).toMatchObject({ library: 'openssl', tier: 'symbol' });
    expect(openssl?.offsets).toEqual({
      ssl_write: byName.get('SSL_write_ex'),
      ssl_read: byName.get('SSL_read_ex'),
      ssl_do_handshake: byName.get('SSL_do_handshake'),
      write_is_ex: true,
      read_is_ex: true,
    });
  });

  it('gives plain functions where there are no others, and no handshake where there is none', () => {
    const source = define('SSL_write', 1) + define('SSL_read', 2);
    const [openssl] = inspectBinary(workshop.compile('plain.so', source, bareLibrary)).tls;
    expect(openssl?.offsets).toMatchObject({ write_is_ex: false, read_is_ex: false, ssl_do_handshake: null });
    expect(openssl?.functions).toHaveLength(2);
  });

  it('does not take what is only imported, data, or part of another name', () => {
    const source = `
      extern int SSL_write(void);
      int SSL_read = 7;
      asm(".data\\n.globl SSL_read_ex\\nSSL_read_ex: .long 7\\n.text");
      int use(void) { return SSL_write() + SSL_read; }
      ${define('my_SSL_write_ex', 1)} ${define('SSL_read_exactly', 2)}`;
    // In one segment, the address 0 of an imported function is executable.
    const flags = [...bareLibrary, '-Wl,-z,noseparate-code'];
    expect(bySymbols(workshop.compile('users.so', source, flags))).toEqual([]);
  });

  it('reads no further when it is asked for the first answer only', () => {
    const text = 'const char text[] = "OpenSSL 3.6.4 25 Aug 2026";';
    const path = workshop.compile('versioned.so', library + text, bareLibrary);
    expect(inspectBinary(path).tls).toMatchObject([{ tier: 'symbol', version: '3.6.4' }]);
    const order = ['table', 'symbol', 'pattern'] as const;
    expect(inspectBinary(path, { order }).tls).toMatchObject([{ tier: 'symbol', version: null }]);
  });

  it('finds a name that the linker stored as the end of a longer one', () => {
    const source = define('my_SSL_write_ex', 1) + define('SSL_write_ex', 0x11223302);
    const path = workshop.compile('tails.so', source, [...bareLibrary, '-Wl,-O2', '-s']);
    expect(readFileSync(path).toString('latin1').split('SSL_write_ex\0')).toHaveLength(2);
    expect(namesAt(path, bySymbols(path))).toEqual(['SSL_write_ex']);
  });

  it('finds the functions of the Node that runs this test where binutils do', () => {
    const expected = execFileSync('nm', ['-D', process.execPath], { encoding: 'utf8', maxBuffer: 2 ** 30 });
    const defined = all.filter((name) => new RegExp(` T ${name}$`, 'm').test(expected));
    expect(bySymbols(process.execPath).map(symbolName)).toEqual(defined);
  });

  const libssl = ['x86_64', 'aarch64']
    .map((arch) => `/usr/lib/${arch}-linux-gnu/libssl.so.3`)
    .find((path) => existsSync(path));
  it.skipIf(libssl === undefined)('finds all of them in the libssl of the system', () => {
    expect(bySymbols(libssl ?? '').map(symbolName)).toEqual(all);
  });
});
