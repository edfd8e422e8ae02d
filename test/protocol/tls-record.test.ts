import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseTlsRecord, TlsRecordStream } from '../../src/protocol/tls-record.js';
import { tls13AdditionalData } from '../support/wire.js';

const APPLICATION = 23;
const HANDSHAKE = 22;
const ALERT = 21;

const inner = (content: string | number[], type: number, padding = 0) =>
  Buffer.concat([Buffer.from(content), Buffer.from([type]), Buffer.alloc(padding)]);
const tls12 = (type: number, length: number) =>
  Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 9, type, 3, 3, length >> 8, length & 0xff]);
const message = (type: number, length: number) => [
  type,
  0,
  length >> 8,
  length & 0xff,
  ...Array(length).fill(0x58),
];

/** What a stream tells, in order; data that follows data is joined. */
function listener() {
  const told: string[] = [];
  const stream = new TlsRecordStream({
    data: (bytes) => {
      const text = Buffer.from(bytes).toString('latin1');
      const last = told.at(-1);
      if (last?.startsWith('data ')) told[told.length - 1] = last + text;
      else told.push(`data ${text}`);
    },
    gap: (length) => told.push(`gap ${length}`),
    restart: () => told.push('restart'),
    close: (clean) => told.push(clean ? 'close' : 'abort'),
  });
  let offset = 0;
  return {
    told,
    stream,
    push(plaintext: Uint8Array, additionalData = tls13AdditionalData(plaintext.length)) {
      stream.push(offset, plaintext, additionalData);
      offset += plaintext.length;
    },
    skip(bytes: number) {
      offset += bytes;
    },
    restartOffsets() {
      offset = 0;
    },
    missing(length: number, additionalData: Uint8Array) {
      stream.missing(offset, length, additionalData);
      offset += length;
    },
  };
}

describe('a record', () => {
  test('of TLS 1.3 has its type behind the content, and zeros behind that', () => {
    const plaintext = inner('a\0', APPLICATION, 5);
    expect(parseTlsRecord(plaintext, tls13AdditionalData(plaintext.length))).toEqual({
      type: APPLICATION,
      content: Buffer.from('a\0'),
    });
    expect(parseTlsRecord(Buffer.alloc(8), tls13AdditionalData(8))).toBeUndefined();
  });

  test('of TLS 1.2 has its type beside the content', () => {
    expect(parseTlsRecord(Buffer.from('a\0'), tls12(HANDSHAKE, 2))).toEqual({
      type: HANDSHAKE,
      content: Buffer.from('a\0'),
    });
  });

  test.each([
    ['nothing authenticated', []],
    ['another length', [23, 3, 3, 0]],
    ['another type', [24, 3, 3, 0, 17]],
    ['another version', [23, 2, 3, 0, 17]],
    ['a QUIC packet', [0x41, 1, 2, 3, 4, 5, 6, 7, 8]],
    ['a type that does not exist in TLS 1.2', [0, 0, 0, 0, 0, 0, 0, 0, 60, 3, 3, 0, 1]],
  ])('is not there with %s', (_, additionalData) => {
    expect(parseTlsRecord(inner('a', APPLICATION), Uint8Array.from(additionalData))).toBeUndefined();
    const { told, push, stream } = listener();
    push(inner('a', APPLICATION), Uint8Array.from(additionalData));
    expect([told, stream.foreign]).toEqual([[], 1]);
  });

  test('of any content, type and padding is read back', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 64 }),
        fc.integer({ min: 1, max: 255 }),
        fc.nat(40),
        (content, type, padding) => {
          const plaintext = inner([...content], type, padding);
          const record = parseTlsRecord(plaintext, tls13AdditionalData(plaintext.length));
          expect(record).toEqual({ type, content: Buffer.from(content) });
        },
      ),
    );
  });
});

describe('a context', () => {
  test('gives its application data, and keeps tickets and key updates for itself', () => {
    const { told, push } = listener();
    push(inner(message(4, 30), HANDSHAKE));
    push(inner('one ', APPLICATION, 3));
    push(inner(message(4, 30), HANDSHAKE));
    push(inner(message(24, 1), HANDSHAKE));
    push(inner('', APPLICATION));
    push(inner('two', APPLICATION));
    expect(told).toEqual(['data one two']);
  });

  test('tells when a handshake is done and when the keys change', () => {
    const told: string[] = [];
    const tell = (what: string) => () => void told.push(what);
    const stream = new TlsRecordStream({
      data: tell('data'),
      gap: tell('gap'),
      restart: tell('restart'),
      close: tell('close'),
      handshake: tell('handshake'),
      rekey: tell('rekey'),
    });
    const record = inner([...message(15, 9), ...message(20, 12), ...message(24, 1)], HANDSHAKE);
    stream.push(0, record, tls13AdditionalData(record.length));
    expect(told).toEqual(['restart', 'restart', 'handshake', 'rekey']);
  });

  test.each([8, 11, 13, 15, 20, 25])('begins anew with handshake message %i', (type) => {
    const { told, push } = listener();
    push(inner('old', APPLICATION));
    push(inner(message(type, 5), HANDSHAKE));
    push(inner('new', APPLICATION));
    expect(told).toEqual(['data old', 'restart', 'data new']);
  });

  test('begins anew when its offsets do', () => {
    const { told, push, restartOffsets, stream } = listener();
    push(inner('old', APPLICATION));
    restartOffsets();
    push(inner('new', APPLICATION));
    expect(told).toEqual(['data old', 'restart', 'data new']);
    expect(stream.repeatedBytes).toBe(0);
  });

  test('reads handshake messages wherever records divide them', () => {
    // The length of the certificate request holds 20, the type of another message.
    const handshake = [...message(4, 0x1414), ...message(8, 3), ...message(4, 20), ...message(20, 32)];
    for (let cut = 0; cut < handshake.length; cut += 1) {
      const { told, push } = listener();
      push(inner(handshake.slice(0, cut), HANDSHAKE));
      push(inner(handshake.slice(cut), HANDSHAKE));
      expect(told).toEqual(['restart', 'restart']);
    }
    const { told, push } = listener();
    for (const byte of handshake) push(inner([byte], HANDSHAKE));
    expect(told).toEqual(['restart', 'restart']);
  });

  test('does not wait for a handshake message that is too long to be one', () => {
    const { told, push } = listener();
    push(inner([20, 0xff, 0xff, 0xff], HANDSHAKE));
    push(inner(message(20, 12), HANDSHAKE));
    expect(told).toEqual(['restart']);
  });

  test('is closed by close_notify, broken off by a fatal alert, and not by a warning', () => {
    const { told, push } = listener();
    push(inner([1, 90], ALERT));
    push(inner([1, 0], ALERT));
    push(inner([2, 40], ALERT));
    expect(told).toEqual(['close', 'abort']);
  });

  test('tells a loss of records, however many they were', () => {
    const { told, push, skip, stream } = listener();
    push(inner('a', APPLICATION));
    skip(100);
    push(inner('b', APPLICATION));
    expect(told).toEqual(['data a', 'gap Infinity', 'data b']);
    expect([stream.gaps, stream.gapBytes]).toEqual([1, 100]);
  });

  test('does not wait for the rest of a handshake message that is lost', () => {
    const { told, push, skip } = listener();
    push(inner(message(4, 60).slice(0, 30), HANDSHAKE));
    skip(40);
    push(inner(message(20, 12), HANDSHAKE));
    expect(told).toEqual(['gap Infinity', 'restart']);
  });

  test('knows the length of a lost record only where the type is not in it', () => {
    const { told, push, missing, stream } = listener();
    missing(100, tls13AdditionalData(100));
    missing(50, tls12(APPLICATION, 50));
    missing(20, tls12(HANDSHAKE, 20));
    missing(20, Uint8Array.from([1, 2]));
    push(inner('b', APPLICATION));
    expect(told).toEqual(['gap Infinity', 'gap 50', 'data b']);
    expect([stream.gaps, stream.gapBytes, stream.foreign]).toEqual([3, 170, 1]);
  });

  test('drops what comes again', () => {
    const { told, stream } = listener();
    stream.push(0, inner('one', APPLICATION), tls13AdditionalData(4));
    stream.push(4, inner('two', APPLICATION), tls13AdditionalData(4));
    stream.push(4, inner('two', APPLICATION), tls13AdditionalData(4));
    stream.missing(4, 4, tls13AdditionalData(4));
    expect(told).toEqual(['data onetwo']);
    expect(stream.repeatedBytes).toBe(8);
  });

  test('tells the same however the data is divided into records', () => {
    const text = 'GET / HTTP/1.1\r\n\r\n';
    for (let cut = 1; cut < text.length; cut += 1) {
      const { told, push } = listener();
      push(inner(text.slice(0, cut), APPLICATION));
      push(inner(text.slice(cut), APPLICATION, cut));
      expect(told).toEqual([`data ${text}`]);
    }
  });

  test('takes any bytes', () => {
    const call = fc.record({
      plaintext: fc.uint8Array({ maxLength: 40 }),
      additionalData: fc.oneof(
        fc.constantFrom(tls13AdditionalData(9), tls12(HANDSHAKE, 9), tls12(APPLICATION, 9)),
        fc.uint8Array({ maxLength: 14 }),
      ),
      skip: fc.nat(3),
    });
    fc.assert(
      fc.property(fc.array(call), (calls) => {
        const { told, push, skip } = listener();
        for (const { plaintext, additionalData, skip: bytes } of calls) {
          skip(bytes);
          push(plaintext, additionalData);
        }
        expect(told.every((line) => /^(data .|gap Infinity|restart|close|abort)/s.test(line))).toBe(true);
      }),
    );
  });
});
