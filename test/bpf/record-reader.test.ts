import fc from 'fast-check';
import { expect, test } from 'vitest';
import { layout } from '../../src/bpf/record.js';
import { RecordReader } from '../../src/bpf/record-reader.js';

/** As the shim writes them into a buffer. */
function drained(records: readonly Buffer[]): Buffer {
  return Buffer.concat(
    records.flatMap((record) => {
      const prefix = Buffer.alloc(8);
      prefix.writeUInt32LE(record.length);
      return [prefix, record, Buffer.alloc(-record.length & 7)];
    }),
  );
}

test('records are found behind their lengths and padding', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ minLength: 48, maxLength: 90 }), { maxLength: 6 }), (contents) => {
      const records = contents.map((bytes) => Buffer.from(bytes));
      const buffer = drained(records);
      const unused = Buffer.concat([buffer, Buffer.alloc(64, 0xff)]);
      const seen: { bytes: Buffer; type: number }[] = [];
      new RecordReader(unused).forEach(buffer.length, (record, length) => {
        seen.push({ bytes: Buffer.from(record.bytes(0, length)), type: record.type });
      });
      expect(seen).toEqual(records.map((bytes) => ({ bytes, type: bytes.readUInt16LE(layout.type) })));
    }),
  );
});

test('fields are read as they stand, wherever the record is', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 48, maxLength: 48 }), fc.nat({ max: 40 }), (bytes, at) => {
      // Part of a larger buffer, as small ones are of their pool.
      const record = Buffer.concat([Buffer.alloc(3), Buffer.from(bytes)]).subarray(3);
      const reader = new RecordReader(record);
      expect(reader.uint16(at)).toBe(record.readUInt16LE(at));
      expect(reader.uint32(at)).toBe(record.readUInt32LE(at));
      expect(reader.uint64(at)).toBe(record.readBigUInt64LE(at));
      expect(reader.int64(at)).toBe(record.readBigInt64LE(at));
      expect(reader.number(at)).toBe(Number(record.readBigUInt64LE(at)));
      expect(reader.text(at, 8)).toBe(record.toString('utf8', at, at + 8));
    }),
  );
});

test('a C string ends at its first NUL or with its field', () => {
  const reader = new RecordReader(Buffer.from('sh\0rest\0four'));
  expect(reader.cString(0, 8)).toBe('sh');
  expect(reader.cString(8, 4)).toBe('four');
  expect(reader.cString(8, 3)).toBe('fou');
  expect(reader.cString(2, 4)).toBe('');
});
