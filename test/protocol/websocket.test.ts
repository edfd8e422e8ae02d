import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { WEBSOCKET_LIMITS, WebSocketDecoder } from '../../src/protocol/websocket.js';
import type { Compression } from '../../src/protocol/websocket-handshake.js';
import { Deflater, frame, MASK, OPCODE } from '../support/websocket-frames.js';

interface Setting {
  from?: 'client' | 'server';
  compression?: Compression;
  limits?: Partial<Record<keyof typeof WEBSOCKET_LIMITS, number>>;
}

/** What a decoder tells, in order. */
function listener({ from = 'server', compression, limits = {} }: Setting = {}) {
  const told: string[] = [];
  const decoder = new WebSocketDecoder(
    {
      message: ({ kind, bytes }) => told.push(`${kind} ${bytes}`),
      damaged: (why) => told.push(`damaged ${why}`),
      closed: (code) => told.push(`closed ${code}`),
      lost: (reason) => told.push(`lost ${reason}`),
    },
    from,
    compression,
    { ...WEBSOCKET_LIMITS, ...limits },
  );
  return { told, decoder };
}

function decode(bytes: Uint8Array, setting: Setting = {}): string[] {
  const { told, decoder } = listener(setting);
  decoder.data(bytes);
  return told;
}

const takeover: Compression = { contextTakeover: true };
const noTakeover: Compression = { contextTakeover: false };
const close = (code: number) => frame(Uint8Array.from([code >> 8, code & 0xff]), { opcode: OPCODE.close });
const json = (text: string) => JSON.stringify({ type: text });
/** Long enough that what refers to a message after it would be found in it, and be something else. */
const longFirst = json(Array.from({ length: 400 }, (_, index) => index * index).join());

describe('messages', () => {
  test('of every length, also where more bytes than needed hold it', () => {
    for (const length of [0, 1, 125, 126, 65535, 65536, 100_000]) {
      expect(decode(frame('x'.repeat(length)))).toEqual([`text ${'x'.repeat(length)}`]);
    }
    expect(decode(frame('short', { lengthBytes: 8 }))).toEqual(['text short']);
  });

  test('of the example of RFC 6455, masked and not', () => {
    const masked = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    expect(decode(Uint8Array.from(masked), { from: 'client' })).toEqual(['text Hello']);
    expect(decode(Uint8Array.from([0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]))).toEqual(['text Hello']);
  });

  test('in fragments with control frames between them', () => {
    const bytes = Buffer.concat([
      frame('one ', { final: false }),
      frame('ping', { opcode: OPCODE.ping }),
      frame('', { opcode: OPCODE.continuation, final: false }),
      frame('two', { opcode: OPCODE.continuation }),
      frame('pong', { opcode: OPCODE.pong }),
      frame(Uint8Array.from([1]), { opcode: OPCODE.binary }),
      close(1000),
      frame('after the end'),
    ]);
    expect(decode(bytes)).toEqual(['text one two', 'binary \u0001', 'closed 1000']);
  });

  test('of a client and in fragments, each with a mask of its own', () => {
    const bytes = Buffer.concat([
      frame('one ', { final: false, mask: MASK }),
      frame('x', { opcode: OPCODE.ping, mask: [9, 9, 9, 9] }),
      frame('two', { opcode: OPCODE.continuation, mask: [1, 2, 3, 4] }),
      frame('', { opcode: OPCODE.close, mask: MASK }),
    ]);
    expect(decode(bytes, { from: 'client' })).toEqual(['text one two', 'closed undefined']);
  });

  test('do not change the bytes that they are read from', () => {
    const bytes = frame('masked', { mask: MASK });
    const before = Buffer.from(bytes);
    decode(bytes, { from: 'client' });
    expect(bytes).toEqual(before);
  });
});

describe('compression', () => {
  const texts = [json('one'), json('one'), json('two').repeat(3000), '', json('one')];

  test.each([
    ['context takeover', takeover, {}],
    ['no context takeover', noTakeover, {}],
    ['the smallest window', takeover, { windowBits: 9 }],
    ['no window to speak of', takeover, { level: 0 }],
  ])('with %s', async (_, compression, options) => {
    const deflater = new Deflater(compression.contextTakeover, options);
    const frames: Buffer[] = [];
    for (const text of texts) frames.push(frame(await deflater.compress(text), { compressed: true }));
    expect(decode(Buffer.concat(frames), { compression })).toEqual(texts.map((text) => `text ${text}`));
  });

  test('of RFC 7692: shared context, a block that is final, a message in fragments', () => {
    const hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    const again = [0xf2, 0x00, 0x11, 0x00, 0x00];
    const final = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
    const bytes = Buffer.concat([
      frame(Uint8Array.from(hello), { compressed: true }),
      frame(Uint8Array.from(again), { compressed: true }),
      frame('plain'),
      frame(Uint8Array.from(final.slice(0, 3)), { compressed: true, final: false }),
      frame(Uint8Array.from(final.slice(3)), { opcode: OPCODE.continuation }),
    ]);
    const read = ['text Hello', 'text Hello', 'text plain', 'text Hello'];
    expect(decode(bytes, { compression: takeover })).toEqual(read);
  });

  test('of a client: masked after it was compressed', async () => {
    const compressed = await new Deflater(false).compress(texts[2] ?? '');
    const bytes = frame(compressed, { compressed: true, mask: MASK });
    expect(decode(bytes, { from: 'client', compression: noTakeover })).toEqual([`text ${texts[2]}`]);
  });

  test('that was damaged: the messages after it are told again only if they do not refer to it', async () => {
    for (const compression of [takeover, noTakeover]) {
      const deflater = new Deflater(compression.contextTakeover);
      const { told, decoder } = listener({ compression });
      const compressed = async (text: string) => frame(await deflater.compress(text), { compressed: true });
      decoder.data(await compressed(longFirst));
      const second = await compressed(json('second'));
      decoder.data(second.subarray(0, 4));
      decoder.gap(second.length - 4);
      decoder.data(await compressed(json('second')));
      decoder.data(frame(json('plain')));
      expect(told).toEqual([
        `text ${longFirst}`,
        'damaged gap',
        compression.contextTakeover ? 'damaged unseen-context' : `text ${json('second')}`,
        `text ${json('plain')}`,
      ]);
    }
  });

  test('of a socket that was joined: what refers to nothing before it is told', async () => {
    const deflater = new Deflater(true);
    const compressed = async (text: string) => frame(await deflater.compress(text), { compressed: true });
    await compressed(longFirst);
    const { told, decoder } = listener({ compression: { contextTakeover: true, isJoined: true } });
    for (const text of [longFirst, 'ABCDEFGHIJ', longFirst]) decoder.data(await compressed(text));
    decoder.data(frame(await deflater.compress('ABCDEFGHIJ'), { compressed: true, opcode: OPCODE.binary }));
    expect(told).toEqual([
      'damaged unseen-context',
      'text ABCDEFGHIJ',
      'damaged unseen-context',
      // Any byte may be one of other data.
      'damaged unseen-context',
    ]);
  });

  test('of other data than text: any byte is known as long as nothing is missing', async () => {
    const deflater = new Deflater(true);
    const { told, decoder } = listener({ compression: takeover });
    for (const text of ['\xff one', '\xff two']) {
      const compressed = await deflater.compress(Buffer.from(text, 'latin1'));
      decoder.data(frame(compressed, { compressed: true, opcode: OPCODE.binary }));
    }
    expect(told).toEqual(['binary \ufffd one', 'binary \ufffd two']);
  });

  test('that is no deflate stream', () => {
    const bytes = Buffer.concat([
      frame(Uint8Array.from([0xff, 0xff, 0xff]), { compressed: true }),
      frame('plain'),
    ]);
    expect(decode(bytes, { compression: noTakeover })).toEqual(['damaged undecodable', 'text plain']);
  });

  test('of more than the limit', async () => {
    const bomb = frame(await new Deflater(false).compress('0'.repeat(1_000_001)), { compressed: true });
    const bytes = Buffer.concat([bomb, frame('plain')]);
    const limits = { inflatedBytes: 1_000_000 };
    expect(decode(bytes, { compression: noTakeover, limits })).toEqual(['damaged over-limit', 'text plain']);
  });
});

describe('what is no WebSocket', () => {
  test.each([
    ['a request line', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['a status line', Buffer.from('HTTP/1.1 200 OK\r\n\r\n')],
    ['reserved bits', Uint8Array.from([0xa1, 0])],
    ['an unknown opcode', frame('', { opcode: 3 })],
    ['compression that was not agreed on', frame('x', { compressed: true })],
    ['a compressed ping', frame('x', { compressed: true, opcode: OPCODE.ping })],
    ['a ping in fragments', frame('x', { opcode: OPCODE.ping, final: false })],
    ['a long ping', frame('x'.repeat(126), { opcode: OPCODE.ping })],
    ['a mask of the server', frame('x', { mask: MASK })],
    ['a continuation of nothing', frame('x', { opcode: OPCODE.continuation })],
    ['a length beyond what numbers hold', Uint8Array.from([0x81, 127, 0xff, 0, 0, 0, 0, 0, 0, 0])],
  ])('%s', (_, bytes) => {
    expect(decode(bytes)).toEqual(['lost malformed']);
  });

  test('a message within a message, and a client without a mask', () => {
    const nested = Buffer.concat([frame('x', { final: false }), frame('y')]);
    expect(decode(nested)).toEqual(['lost malformed']);
    expect(decode(frame('x'), { from: 'client' })).toEqual(['lost malformed']);
  });
});

describe('limits', () => {
  test('a message that is too long is skipped, in one frame or in many', () => {
    const limits = { messageBytes: 10 };
    const bytes = Buffer.concat([
      frame('x'.repeat(11)),
      frame('x'.repeat(10)),
      frame('x'.repeat(6), { final: false }),
      frame('x'.repeat(6), { opcode: OPCODE.continuation }),
      frame('y'),
    ]);
    expect(decode(bytes, { limits })).toEqual([
      'damaged over-limit',
      `text ${'x'.repeat(10)}`,
      'damaged over-limit',
      'text y',
    ]);
  });

  test('a frame that claims too much is no frame', () => {
    expect(decode(frame('x'.repeat(101)), { limits: { frameBytes: 100 } })).toEqual(['lost over-limit']);
  });
});

describe('lost bytes', () => {
  test('inside a frame cost its message; masks and framing stay in step', () => {
    const { told, decoder } = listener({ from: 'client' });
    const first = frame('0123456789', { mask: MASK, final: false });
    decoder.data(first.subarray(0, 8));
    decoder.gap(3);
    decoder.data(first.subarray(11));
    decoder.data(frame('x', { opcode: OPCODE.continuation, mask: MASK }));
    const second = frame('0123456789', { mask: MASK });
    decoder.data(second);
    expect(told).toEqual(['damaged gap', 'text 0123456789']);
  });

  test('inside a ping cost nothing; up to the end of a frame they leave the next one', () => {
    const { told, decoder } = listener();
    const ping = frame('ping', { opcode: OPCODE.ping });
    decoder.data(ping.subarray(0, 3));
    decoder.gap(ping.length - 3);
    decoder.data(frame('one'));
    expect(told).toEqual(['text one']);
  });

  test.each([
    ['in a header', 1, 4],
    ['beyond a frame', 4, 100],
    ['between frames', 0, 5],
    ['of unknown number', 4, Number.POSITIVE_INFINITY],
  ])('%s cost the framing until a piece begins with an object', (_, known, lost) => {
    for (const from of ['client', 'server'] as const) {
      const fields = from === 'client' ? { mask: MASK } : {};
      const { told, decoder } = listener({ from });
      decoder.data(frame(json('first'), fields).subarray(0, known));
      decoder.gap(lost);
      decoder.data(Buffer.from('the end of a frame '));
      decoder.gap(3);
      decoder.data(frame('not an object', fields));
      decoder.data(frame('{"continued":1}', { ...fields, opcode: OPCODE.continuation }));
      decoder.data(frame(json('second'), fields));
      expect(told).toEqual(['lost gap', `text ${json('second')}`]);
    }
  });

  test('cost the framing of compressed messages until one begins a piece that refers to nothing before it', async () => {
    const { told, decoder } = listener({ compression: noTakeover });
    decoder.gap(10);
    decoder.data(frame(Buffer.from('not deflate'), { compressed: true }));
    decoder.data(frame(await new Deflater(false).compress(json('second')), { compressed: true }));
    expect(told).toEqual(['lost gap', `text ${json('second')}`]);
  });

  test('are not followed by a compressed message where none was agreed on', async () => {
    const { told, decoder } = listener();
    decoder.gap(10);
    decoder.data(frame(await new Deflater(false).compress(json('second')), { compressed: true }));
    expect(told).toEqual(['lost gap']);
  });

  test('cost all compressed messages after them that may refer to what was lost', async () => {
    const { told, decoder } = listener({ compression: takeover });
    const deflater = new Deflater(true);
    decoder.data(frame(await deflater.compress(longFirst), { compressed: true }));
    decoder.gap(frame(await deflater.compress(json('second')), { compressed: true }).length);
    decoder.data(frame(json('plain')));
    decoder.data(frame(await deflater.compress(json('second')), { compressed: true }));
    expect(told).toEqual([
      `text ${longFirst}`,
      'lost gap',
      `text ${json('plain')}`,
      'damaged unseen-context',
    ]);
  });

  test('are over where a message begins, also one with lines', () => {
    const { told, decoder } = listener();
    decoder.gap(5);
    decoder.data(frame('{"a":\n1}'));
    expect(told).toEqual(['lost gap', 'text {"a":\n1}']);
  });

  test('cost no compressed message that refers to nothing lost', async () => {
    const { told, decoder } = listener({ compression: takeover });
    const deflater = new Deflater(true);
    const compressed = async (text: string) => frame(await deflater.compress(text), { compressed: true });
    decoder.data(await compressed(longFirst));
    decoder.gap((await compressed(json('second'))).length);
    decoder.data(frame(json('plain')));
    // Of characters that were not there before, then again with references to the first time.
    for (const _ of ['new', 'again']) decoder.data(await compressed('ABCDEFGHIJ'));
    expect(told.slice(2)).toEqual([`text ${json('plain')}`, 'text ABCDEFGHIJ', 'text ABCDEFGHIJ']);
  });

  test('at the end: a message that is not whole is damaged, once', () => {
    const { told, decoder } = listener();
    decoder.data(frame('one', { final: false }));
    decoder.finish();
    decoder.finish();
    decoder.data(frame('two'));
    expect(told).toEqual(['damaged gap']);
  });

  test('a close frame in the middle of a message', () => {
    const bytes = Buffer.concat([frame('one', { final: false }), close(1001)]);
    expect(decode(bytes)).toEqual(['damaged gap', 'closed 1001']);
  });
});

describe('any division of the bytes', () => {
  test('at every byte, and byte by byte', async () => {
    const deflater = new Deflater(true);
    const fields = { mask: MASK, compressed: true };
    const first = await deflater.compress(json('first '.repeat(40)));
    const bytes = Buffer.concat([
      frame(first.subarray(0, 9), { ...fields, final: false }),
      frame('ping', { opcode: OPCODE.ping, mask: MASK }),
      frame(first.subarray(9), { opcode: OPCODE.continuation, mask: [1, 2, 3, 4] }),
      frame(await deflater.compress(json('first '.repeat(40))), fields),
      frame('x'.repeat(300), { mask: MASK }),
      frame('', { opcode: OPCODE.close, mask: MASK }),
    ]);
    const setting: Setting = { from: 'client', compression: takeover };
    const whole = decode(bytes, setting);
    expect(whole).toHaveLength(4);
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      const { told, decoder } = listener(setting);
      decoder.data(bytes.subarray(0, cut));
      decoder.data(bytes.subarray(cut));
      expect(told).toEqual(whole);
    }
    const { told, decoder } = listener(setting);
    for (const byte of bytes) decoder.data(Uint8Array.from([byte]));
    expect(told).toEqual(whole);
  });

  test('any messages in any fragments and pieces come out as they went in', () => {
    const part = fc.record({ text: fc.string({ maxLength: 200 }), ping: fc.boolean() });
    const messages = fc.array(fc.array(part, { minLength: 1, maxLength: 4 }), { maxLength: 5 });
    fc.assert(
      fc.property(messages, fc.boolean(), fc.integer({ min: 1, max: 50 }), (all, isClient, pieceBytes) => {
        const fields = isClient ? { mask: MASK } : {};
        const frames = all.flatMap((parts) =>
          parts.flatMap(({ text, ping }, index) => [
            frame(text, {
              ...fields,
              opcode: index === 0 ? OPCODE.text : OPCODE.continuation,
              final: index === parts.length - 1,
            }),
            ...(ping ? [frame('', { ...fields, opcode: OPCODE.ping })] : []),
          ]),
        );
        const { told, decoder } = listener({ from: isClient ? 'client' : 'server' });
        const bytes = Buffer.concat(frames);
        for (let at = 0; at < bytes.length; at += pieceBytes)
          decoder.data(bytes.subarray(at, at + pieceBytes));
        expect(told).toEqual(all.map((parts) => `text ${parts.map(({ text }) => text).join('')}`));
      }),
    );
  });

  test('any bytes and gaps: nothing throws, and nothing is told after the end', () => {
    const first = fc.constantFrom(0x81, 0xc1, 0x01, 0x80, 0x00, 0x82, 0x88, 0x89);
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 30 }),
      fc
        .tuple(first, fc.uint8Array({ maxLength: 20 }))
        .map(([byte, rest]) => Uint8Array.from([byte, ...rest])),
      fc.nat(40),
      fc.constant(Number.POSITIVE_INFINITY),
    );
    const compressions = fc.constantFrom(undefined, takeover, noTakeover);
    fc.assert(
      fc.property(
        fc.array(piece),
        fc.constantFrom('client', 'server'),
        compressions,
        (pieces, from, compression) => {
          const { told, decoder } = listener(compression === undefined ? { from } : { from, compression });
          for (const next of pieces) {
            if (typeof next === 'number') decoder.gap(next);
            else decoder.data(next);
          }
          decoder.finish();
          const { length } = told;
          decoder.data(frame('late', from === 'client' ? { mask: MASK } : {}));
          decoder.gap(1);
          decoder.finish();
          expect(told).toHaveLength(length);
        },
      ),
      { numRuns: 500 },
    );
  });
});
