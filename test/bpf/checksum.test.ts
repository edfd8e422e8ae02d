import fc from 'fast-check';
import { expect, test } from 'vitest';
import { loadShim } from '../../src/bpf/shim.js';
import { crc32c } from '../../src/evidence/crc32c.js';
import { requireThat } from '../support/requirements.js';

test('the sum by the processor is the sum of evidence', (context) => {
  requireThat(process.platform === 'linux', 'needs Linux', context);
  const fast = loadShim().crc32c;
  requireThat(fast !== undefined, 'needs a processor with CRC-32C', context);
  const part = fc
    .uint8Array({ minLength: 0, maxLength: 100 })
    .chain((bytes) => fc.tuple(fc.constant(bytes), fc.nat(bytes.length), fc.nat(bytes.length)));
  fc.assert(
    fc.property(part, ([bytes, a, b]) => {
      const [start, end] = a < b ? [a, b] : [b, a];
      expect(fast?.(bytes, start, end)).toBe(crc32c(bytes, start, end));
    }),
  );
  expect(fast?.(Buffer.from('123456789'), 0, 9)).toBe(0xe3069283);
  expect(() => fast?.(Buffer.alloc(4), 0, 5)).toThrow(/argument/);
  expect(() => fast?.(Buffer.alloc(4), 3, 2)).toThrow(/argument/);
});
