import fc from 'fast-check';
import { expect, test } from 'vitest';
import { functionId } from '../../src/host/btf.js';

/** A type of BTF: its name, kind and number of members, and the bytes behind it. */
type Type = [name: string, kind: number, members: number, more: number];

function btf(types: readonly Type[]): Buffer {
  const strings = [Buffer.from('\0')];
  let stringBytes = 1;
  const records = types.map(([name, kind, members, more]) => {
    const record = Buffer.alloc(12 + more, 0xee);
    record.writeUInt32LE(stringBytes, 0);
    record.writeUInt32LE(kind * 2 ** 24 + members, 4);
    strings.push(Buffer.from(`${name}\0`));
    stringBytes += name.length + 1;
    return record;
  });
  const body = Buffer.concat(records);
  const header = Buffer.alloc(24);
  header.writeUInt16LE(0xeb9f, 0);
  header.writeUInt8(1, 2);
  header.writeUInt32LE(24, 4);
  header.writeUInt32LE(0, 8);
  header.writeUInt32LE(body.length, 12);
  header.writeUInt32LE(body.length, 16);
  header.writeUInt32LE(stringBytes, 20);
  return Buffer.concat([header, body, ...strings]);
}

/** Every kind of linux/btf.h, with members where it can have some. */
const kinds: Type[] = [
  ['int', 1, 0, 4],
  ['', 2, 0, 0],
  ['', 3, 0, 12],
  ['struct', 4, 3, 36],
  ['union', 5, 2, 24],
  ['enum', 6, 2, 16],
  ['fwd', 7, 0, 0],
  ['typedef', 8, 0, 0],
  ['', 9, 0, 0],
  ['', 10, 0, 0],
  ['', 11, 0, 0],
  ['wanted_not', 12, 0, 0],
  ['', 13, 4, 32],
  ['var', 14, 0, 4],
  ['.data', 15, 2, 24],
  ['float', 16, 0, 0],
  ['tag', 17, 0, 4],
  ['tag', 18, 0, 0],
  ['wanted', 19, 1, 12],
  ['wanted', 12, 0, 0],
];

test('a function is numbered as the kernel numbers it, past types of every kind', () => {
  expect(functionId(btf(kinds), 'wanted')).toBe(kinds.length);
  expect(functionId(btf(kinds), 'absent')).toBeUndefined();
});

test('whatever the bytes, there is an answer', () => {
  const whole = btf(kinds);
  for (let length = 0; length < whole.length; length++) functionId(whole.subarray(0, length), 'wanted');
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 24, maxLength: 200 }), (bytes) => {
      const damaged = Buffer.from(bytes);
      damaged.writeUInt16LE(0xeb9f, 0);
      functionId(damaged, 'wanted');
    }),
  );
});
