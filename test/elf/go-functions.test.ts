import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { createAddressMap } from '../../src/elf/address-map.js';
import { inspectBinary } from '../../src/elf/binary.js';
import { BinaryFile } from '../../src/elf/file.js';
import { readHeaders } from '../../src/elf/headers.js';
import { AgsightError } from '../../src/errors.js';
import { functionAddresses, openWorkshop, strip, toolchains } from './build.js';
import { type GoLike, goFlags, goFunctions, goSource } from './go-like.js';

const workshop = openWorkshop();
afterAll(workshop.close);

const compile = (name: string, program: GoLike, compiler?: string) =>
  workshop.compile(name, goSource(program), goFlags(program), compiler);
const goOf = (path: string) => {
  for (const library of inspectBinary(path).tls) if (library.library === 'crypto/tls') return library;
  return undefined;
};

/** The file offsets of the returns in the code from `label` to the next function, as binutils see them. */
function returnsIn(path: string, objdump: string, label: string): number[] {
  const addresses = functionAddresses(path);
  const start = addresses.get(label) ?? 0;
  const next = `f${Number(label.slice(1)) + 1}`;
  const listing = execFileSync(
    objdump,
    ['-d', `--start-address=${start}`, `--stop-address=${addresses.get(next) ?? 0}`, path],
    { encoding: 'utf8' },
  );
  const file = BinaryFile.open(path);
  const map = createAddressMap(readHeaders(file).segments);
  file.close();
  return [...listing.matchAll(/^\s*([0-9a-f]+):.*\tret\s*$/gm)].map(
    ([, address = '']) => map.toOffset(Number.parseInt(address, 16)) ?? -1,
  );
}

describe.each(toolchains())('in a program for $arch', ({ arch, compiler, prefix }) => {
  const objdump = `${prefix}objdump`;
  it.each([
    ['at fixed addresses', {}],
    ['that is loaded anywhere', { isPie: true }],
    ['of Go 1.18', { magic: 0xfffffff0 }],
  ])('the functions of crypto/tls %s are found without symbols, and where they return', (name, options) => {
    const program: GoLike = { arch, ...options };
    const path = compile(`${name}-${arch}`, program, compiler);
    const addresses = functionAddresses(path);
    const expected = goFunctions.map((symbol, index) => ({ symbol, label: `f${index + 1}` }));
    const returns = expected.slice(0, 2).map(({ label }) => returnsIn(path, objdump, label));
    expect(returns.map(({ length }) => length)).toEqual([2, 2]);
    const file = BinaryFile.open(path);
    const map = createAddressMap(readHeaders(file).segments);
    file.close();
    const offsets = expected.map(({ label }) => map.toOffset(addresses.get(label) ?? 0));
    const go = goOf(strip(path, prefix));
    expect(go).toMatchObject({ version: 'go1.27.3', tier: 'symbol', confidence: 'high' });
    expect(go?.functions.map(({ offset }) => offset)).toEqual(offsets);
    expect(go?.functions.map((found) => found.returns)).toEqual([...returns, undefined, undefined]);
  });

  it('of Go 1.16 are told as there and not found, with the reason', () => {
    const path = compile(`old-${arch}`, { arch, magic: 0xfffffffa }, compiler);
    expect(inspectBinary(path)).toMatchObject({
      tls: [{ library: 'crypto/tls', tier: null }],
      remarks: expect.arrayContaining([expect.stringContaining('older than 1.18')]),
    });
  });

  it('a program that only serves has one of the handshakes', () => {
    const functions = goFunctions.filter((name) => !name.includes('clientHandshake'));
    const go = goOf(compile(`serves-${arch}`, { arch, functions }, compiler));
    expect(go?.functions.map(({ name }) => name)).toEqual([
      'go_tls_write',
      'go_tls_read',
      'go_tls_server_handshake',
    ]);
  });

  it('a program without TLS has none', () => {
    const path = compile(`plain-${arch}`, { arch, functions: ['net/http.(*Client).Do'] }, compiler);
    expect(goOf(path)).toBeUndefined();
  });
});

it('whatever the table says, each place that is found is code, or it is refused', () => {
  const path = compile('hostile', { arch: process.arch === 'arm64' ? 'aarch64' : 'x86_64' });
  const sound = readFileSync(path);
  const file = BinaryFile.open(path);
  const headers = readHeaders(file);
  const map = createAddressMap(headers.segments);
  file.close();
  const table = headers.sections.find(({ name }) => name === '.gopclntab');
  const flip = fc.record({ at: fc.nat((table?.size ?? 1) - 1), byte: fc.nat(255) });
  const damaged = workshop.path('damaged');
  fc.assert(
    fc.property(fc.array(flip, { minLength: 1, maxLength: 6 }), (flips) => {
      const bytes = Buffer.from(sound);
      for (const { at, byte } of flips) bytes[(table?.offset ?? 0) + at] = byte;
      writeFileSync(damaged, bytes);
      try {
        for (const { offset, returns = [] } of goOf(damaged)?.functions ?? []) {
          expect([offset, ...returns].every(map.isCode)).toBe(true);
          expect(returns.every((place) => bytes[place] === 0xc3 || process.arch === 'arm64')).toBe(true);
        }
      } catch (error) {
        if (!(error instanceof AgsightError)) throw error;
      }
    }),
    { numRuns: 300 },
  );
});
