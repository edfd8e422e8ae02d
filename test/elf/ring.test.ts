import { afterAll, describe, expect, it } from 'vitest';
import { inspectBinary } from '../../src/elf/binary.js';
import { functionOffsets, openWorkshop, strip } from './build.js';

const workshop = openWorkshop();
afterAll(workshop.close);

interface Like {
  version?: string;
  /** What AES-256-GCM opens with. */
  open256?: string;
  /** The number of ChaCha20-Poly1305. */
  chachaId?: number;
}

/** A program with the tables of ring and functions that are like none of it. */
const source = ({ version = 'ring-0.17.14', open256 = 'aes_gcm_open', chachaId = 2 }: Like = {}) => `
  #define HIDDEN __attribute__((noinline, visibility("hidden")))
  ${['init_128', 'init_256', 'aes_gcm_seal', 'aes_gcm_open', 'other_open', 'init_chacha', 'chacha20_poly1305_seal', 'chacha20_poly1305_open'].map((name, index) => `HIDDEN int ${name}(int *p) { return *p + ${index}; }`).join('\n')}
  typedef int (*function)(int *);
  struct algorithm { function init, seal, open; unsigned long key_length; unsigned char id; };
  const struct algorithm aes_128 = { init_128, aes_gcm_seal, aes_gcm_open, 16, 0 };
  const struct algorithm aes_256 = { init_256, aes_gcm_seal, ${open256}, 32, 1 };
  const struct algorithm chacha = { init_chacha, chacha20_poly1305_seal, chacha20_poly1305_open, 32, ${chachaId} };
  /* The tables of others: the same form, and functions that are none. */
  const struct algorithm decoy = { init_128, (function)(const void *)"text", aes_gcm_open, 16, 0 };
  const char place[] = "/registry/${version}/src/aead/algorithm.rs";
  const void *volatile keep[5];
  int main(void) {
    keep[0] = &aes_128; keep[1] = &aes_256; keep[2] = &chacha; keep[3] = &decoy; keep[4] = place;
    return 0;
  }
`;
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
    const path = workshop.compile(name.replaceAll(' ', '-'), source(), flags);
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
    const path = workshop.compile(name.replaceAll(' ', '-'), source(like), ['-pie']);
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
