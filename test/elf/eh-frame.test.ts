import { afterAll, describe, expect, it } from 'vitest';
import { createAddressMap } from '../../src/elf/address-map.js';
import { type FunctionTable, readFunctionTable } from '../../src/elf/eh-frame.js';
import { BinaryFile } from '../../src/elf/file.js';
import { readHeaders } from '../../src/elf/headers.js';
import { functionAddresses, functionSizes, openWorkshop, strip } from './build.js';

const source = `
  __attribute__((noinline)) int first(int x) { return x * 3 + 1; }
  __attribute__((noinline)) int second(int x) { return first(x) * 5; }
  int main(int argc, char **argv) { (void)argv; return second(argc); }
`;

function functionTable(path: string): FunctionTable | undefined {
  const file = BinaryFile.open(path);
  const headers = readHeaders(file);
  return readFunctionTable(file, headers, createAddressMap(headers.segments));
}

describe('function table', () => {
  const workshop = openWorkshop();
  afterAll(workshop.close);

  it.each([
    ['pie', ['-pie']],
    ['fixed', ['-no-pie']],
    ['static', ['-static', '-Wl,--eh-frame-hdr']],
    ['one segment', ['-no-pie', '-Wl,-z,noseparate-code']],
  ])('are those of the symbols, also after stripping: %s', (name, flags) => {
    const path = workshop.compile(`starts ${name}`, source, flags);
    const addresses = functionAddresses(path);
    const sizes = functionSizes(path);
    const functions = functionTable(strip(path));
    for (const symbol of ['first', 'second', 'main']) {
      const address = addresses.get(symbol) ?? Number.NaN;
      expect(functions?.has(address)).toBe(true);
      expect(functions?.has(address + 1)).toBe(false);
      expect(functions?.boundsAt(address + 2)).toEqual({
        start: address,
        end: address + (sizes.get(symbol) ?? 0),
      });
    }
  });

  it('has none before the first function', () => {
    expect(functionTable(workshop.compile('first', source, ['-no-pie']))?.boundsAt(0)).toBeUndefined();
  });

  it('is the same without the search table', () => {
    const flags = ['-shared', '-fPIC', '-nostdlib'];
    const path = workshop.compile('no-table.so', source, [...flags, '-Wl,--no-eh-frame-hdr']);
    const address = functionAddresses(path).get('second') ?? Number.NaN;
    const bounds = { start: address, end: address + (functionSizes(path).get('second') ?? 0) };
    expect(functionTable(strip(path))?.boundsAt(address + 1)).toEqual(bounds);
  });

  it('is unknown without frames', () => {
    const flags = ['-shared', '-fPIC', '-nostdlib', '-fno-asynchronous-unwind-tables'];
    expect(functionTable(workshop.compile('no-frames.so', source, flags))).toBeUndefined();
  });
});
