import { afterAll, describe, expect, it } from 'vitest';
import { inspectBinary } from '../../src/elf/binary.js';
import { functionOffsets, openWorkshop, strip } from './build.js';
import { ringSource } from './ring-like.js';

const workshop = openWorkshop();
afterAll(workshop.close);

const names = ['aes_gcm_seal', 'aes_gcm_open', 'chacha20_poly1305_seal', 'chacha20_poly1305_open'] as const;

const inspect = (path: string) => {
  const { tls, remarks } = inspectBinary(path, { tier: 'pattern' });
  return { ring: tls.find(({ library }) => library === 'ring'), remarks };
};

describe("ring by its algorithms' tables", () => {
  it.each([
    ['relocations with addends', ['-pie']],
    ['packed relocations', ['-pie', '-Wl,-z,pack-relative-relocs']],
    ['fixed addresses', ['-no-pie']],
  ])('finds all four functions in a stripped program with %s', (name, flags) => {
    const path = workshop.compile(name.replaceAll(' ', '-'), ringSource(), flags);
    const offsets = functionOffsets(path);
    const { ring, remarks } = inspect(strip(path));
    expect(remarks).toEqual([]);
    expect(ring).toEqual({
      library: 'ring',
      version: '0.17.14',
      tier: 'pattern',
      // The code confirms nothing here.
      confidence: 'low',
      functions: [],
      offsets: Object.fromEntries(names.map((function_) => [function_, offsets.get(function_)])),
    });
  });

  it.each([
    ['a version with other arguments', { version: 'ring-0.17.8' }, /ring 0\.17\.8 have unknown arguments/],
    ['no version', { version: 'vendor/ring' }, /unknown version have unknown arguments/],
    ['an AES-256-GCM of another make', { open256: 'other_open' }, /no tables of ring/],
    ['no ChaCha20-Poly1305', { chachaId: 3 }, /no tables of ring/],
  ])('says that it is there and why it is not found: %s', (name, like, reason) => {
    const path = workshop.compile(name.replaceAll(' ', '-'), ringSource(like), ['-pie']);
    const { ring, remarks } = inspect(strip(path));
    expect(ring).toMatchObject({ library: 'ring', tier: null, offsets: null });
    expect(remarks.join()).toMatch(reason);
  });

  it('takes the names of Rust, older and newer form, where they were left in', () => {
    const hash = '17h0123456789abcdefE';
    const named = ([first, ...rest]: readonly string[]) =>
      [`_RNvNtNtCs1aZ_4ring4aead9algorithm${first?.length}${first}`].concat(
        rest.map((name) => `_ZN4ring4aead9algorithm${name.length}${name}${hash}`),
      );
    const symbols = named(names);
    const path = workshop.compile(
      'named',
      [
        ...symbols.map((symbol, index) => `int ${symbol}(int *p) { return *p + ${index}; }`),
        // Not of ring.
        `int _ZN5spring4aead9algorithm12aes_gcm_seal${hash}(void) { return 0; }`,
        'int main(void) { return 0; }',
      ].join('\n'),
    );
    const offsets = functionOffsets(path);
    const { tls } = inspectBinary(path, { tier: 'symbol' });
    expect(tls).toMatchObject([
      {
        library: 'ring',
        tier: 'symbol',
        confidence: 'high',
        offsets: Object.fromEntries(names.map((name, index) => [name, offsets.get(symbols[index] ?? '')])),
      },
    ]);
  });
});
