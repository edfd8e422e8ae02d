import { afterAll, describe, expect, it } from 'vitest';
import { type FunctionStarts, readFunctionStarts } from '../../src/elf/eh-frame.js';
import { BinaryFile } from '../../src/elf/file.js';
import { readHeaders } from '../../src/elf/headers.js';
import { functionAddresses, openWorkshop, strip } from './build.js';

const source = `
  __attribute__((noinline)) int first(int x) { return x * 3 + 1; }
  __attribute__((noinline)) int second(int x) { return first(x) * 5; }
  int main(int argc, char **argv) { (void)argv; return second(argc); }
`;

function functionStarts(path: string): FunctionStarts | undefined {
  const file = BinaryFile.open(path);
  return readFunctionStarts(file, readHeaders(file));
}

describe('function starts', () => {
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
    const starts = functionStarts(strip(path));
    for (const symbol of ['first', 'second', 'main']) {
      const address = addresses.get(symbol) ?? Number.NaN;
      expect(starts?.has(address)).toBe(true);
      expect(starts?.has(address + 1)).toBe(false);
      expect(starts?.startOf(address + 2)).toBe(address);
    }
  });

  it('has none before the first function', () => {
    expect(functionStarts(workshop.compile('first', source, ['-no-pie']))?.startOf(0)).toBeUndefined();
  });

  it('are unknown without a search table', () => {
    const path = workshop.compile('no-table.so', source, [
      '-shared',
      '-fPIC',
      '-nostdlib',
      '-Wl,--no-eh-frame-hdr',
    ]);
    expect(functionStarts(path)).toBeUndefined();
  });
});
