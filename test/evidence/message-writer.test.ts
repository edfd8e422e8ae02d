import fc from 'fast-check';
import protobuf from 'protobufjs';
import { expect, it } from 'vitest';
import { MessageWriter } from '../../src/evidence/message-writer.js';

const SCHEMA = `
syntax = "proto3";
message Message {
  optional uint32 small = 1;
  optional uint64 large = 2;
  optional string text = 3;
  optional bytes data = 4;
  repeated uint32 smalls = 5;
  repeated uint64 larges = 6;
  optional Message inner = 2000;
}`;
const message = protobuf.parse(SCHEMA, { keepCase: true }).root.lookupType('Message');

/** Lengths around those at which the length of a length changes, and any. */
const lengths = fc.oneof(
  fc.constantFrom(0, 1, 126, 127, 128, 129, 16_383, 16_384, 2_097_151, 2_097_152),
  fc.nat({ max: 300 }),
);
const uint32 = fc.nat({ max: 0xffff_ffff });
const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });

it('writes what protobufjs reads, at any place of any buffer', () => {
  fc.assert(
    fc.property(
      fc.record({
        before: lengths,
        small: uint32,
        large: fc.oneof(uint64, fc.maxSafeNat()),
        text: fc.oneof(
          fc.string({ unit: 'binary' }),
          lengths.map((length) => 'ü'.repeat(length)),
        ),
        data: lengths.map((length) => Buffer.alloc(length, 'data')),
        smalls: fc.array(uint32, { maxLength: 40 }),
        larges: fc.array(uint64, { maxLength: 40 }),
        depth: fc.nat({ max: 3 }),
      }),
      ({ before, small, large, text, data, smalls, larges, depth }) => {
        const writer = new MessageWriter(1);
        writer.bytes(4, Buffer.alloc(before));
        const start = writer.at;
        const starts = Array.from({ length: depth }, () => writer.begin(2000));
        writer.presentUint32(1, small);
        writer.presentUint64(2, large);
        writer.presentText(3, text);
        writer.bytes(4, data);
        writer.uint32s(5, smalls);
        writer.uint64s(6, larges);
        for (const inner of starts.reverse()) writer.end(inner);
        let read: protobuf.Message & { inner?: protobuf.Message } = message.decode(
          writer.buffer.subarray(start, writer.at),
        );
        for (let level = 0; level < depth; level++) read = read.inner as protobuf.Message;
        expect(message.toObject(read, { longs: String, bytes: String })).toEqual({
          small,
          large: String(large),
          text: Buffer.from(text).toString(),
          ...(data.length === 0 ? {} : { data: data.toString('base64') }),
          ...(smalls.length === 0 ? {} : { smalls }),
          ...(larges.length === 0 ? {} : { larges: larges.map(String) }),
        });
      },
    ),
  );
});

it('leaves out what a reader takes for absent', () => {
  const writer = new MessageWriter();
  writer.uint32(1, 0);
  writer.uint64(2, 0n);
  writer.uint64(2, 0);
  writer.text(3, '');
  writer.bytes(4, Buffer.alloc(0));
  writer.uint32s(5, []);
  writer.uint64s(6, []);
  expect(writer.at).toBe(0);
});
