import { constants } from 'node:http2';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { HeaderFields, RequestHead, ResponseHead } from '../../src/protocol/http1-head.js';
import {
  HTTP2_LIMITS,
  Http2Decoder,
  type Http2Handler,
  http2RequestDecoder,
  http2ResponseDecoder,
} from '../../src/protocol/http2.js';
import { FLAG, FRAME, PREFACE, startsWithFrames } from '../../src/protocol/http2-frame.js';
import { type Exchange, exchange, frame } from '../support/http2-peers.js';

/** A message by its stream: head and body as text, `?` for each byte that fell into a gap. */
interface Told {
  head: string;
  headers: HeaderFields;
  body: string;
  end?: string;
}

function teller<Head extends { headers: HeaderFields; isPartial?: boolean }>(nameOf: (head: Head) => string) {
  const messages: Record<number, Told> = {};
  const notes: string[] = [];
  const handler: Http2Handler<Head> = {
    head: (stream, head) => {
      messages[stream] = { head: nameOf(head), headers: head.headers, body: '' };
      if (head.isPartial) notes.push(`partial ${stream}`);
    },
    body: (stream, bytes) => {
      const message = messages[stream];
      if (message === undefined || message.end !== undefined) throw new Error('body outside a message');
      message.body += Buffer.from(bytes).toString('latin1');
    },
    bodyGap: (stream, length) => {
      const message = messages[stream];
      if (message !== undefined) message.body += Number.isFinite(length) ? '?'.repeat(length) : '?…';
    },
    end: (stream, { how, trailers }) => {
      const message = messages[stream];
      if (message === undefined || message.end !== undefined) throw new Error('end outside a message');
      message.end = [how, ...trailers.map(([name, value]) => `${name}=${value}`)].join(' ');
    },
    reset: (stream, code) => notes.push(`reset ${stream}: ${code}`),
    flaw: (what, count) => notes.push(`${what} ${count}`),
    lost: (reason) => notes.push(`lost: ${reason}`),
  };
  return { messages, notes, handler };
}

type Piece = Uint8Array | number;

function feed(
  decoder: { data(bytes: Uint8Array): void; gap(length: number): void },
  pieces: readonly Piece[],
) {
  for (const piece of pieces) {
    if (typeof piece === 'number') decoder.gap(piece);
    else decoder.data(piece);
  }
}

function requests(pieces: readonly Piece[], from: 'beginning' | 'middle' = 'beginning') {
  const { handler, ...told } = teller<RequestHead>(({ method, target }) => `${method} ${target}`);
  const decoder = http2RequestDecoder(handler, from);
  feed(decoder, pieces);
  decoder.finish();
  return told;
}

function responses(pieces: readonly Piece[], from: 'beginning' | 'middle' = 'beginning') {
  const { handler, ...told } = teller<ResponseHead>(({ status }) => String(status));
  const decoder = http2ResponseDecoder(handler, from);
  feed(decoder, pieces);
  decoder.finish();
  return told;
}

const split = (bytes: Uint8Array, size: number): Uint8Array[] =>
  Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
    bytes.subarray(index * size, (index + 1) * size),
  );

describe("against Node's own client and server", () => {
  const token = fc.stringMatching(/^x-[a-z]{1,8}$/);
  const value = fc.oneof(fc.stringMatching(/^[!-~]{0,20}$/), fc.constant('y'.repeat(3000)));
  const fields = fc
    .array(fc.tuple(token, value), { maxLength: 6 })
    .map((entries): Record<string, string> => Object.fromEntries(entries));
  const body = fc.oneof(
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    fc.constant(Buffer.alloc(40_000, 'b')),
  );
  const answer = fc.record({
    status: fc.constantFrom(200, 401, 429, 500),
    headers: fields,
    body,
    trailers: fields,
  });
  const exchanges = fc
    .array(fc.record({ headers: fields, body, answer }), { minLength: 1, maxLength: 5 })
    .map((some): Exchange[] => some.map((one, index) => ({ ...one, path: `/${index}` })));
  const options = fc.record(
    {
      headerTableSize: fc.constantFrom(0, 100, 4096, 65_536),
      paddingStrategy: fc.constantFrom(constants.PADDING_STRATEGY_NONE, constants.PADDING_STRATEGY_MAX),
      push: fc.boolean(),
    },
    { requiredKeys: [] },
  );

  interface Wanted extends Pick<Exchange, 'headers' | 'body'> {
    head: string;
    trailers?: Record<string, string>;
  }

  const expected = (made: readonly Exchange[]): Record<'requests' | 'responses', Wanted[]> => ({
    requests: made.map(({ path, headers, body }) => ({ head: `POST ${path}`, headers, body })),
    responses: made.map(({ answer: { status, headers, body, trailers } }) => ({
      head: String(status),
      headers,
      body,
      trailers,
    })),
  });

  function seen(
    told: ReturnType<typeof requests>,
    made: readonly Exchange[],
    side: 'requests' | 'responses',
  ) {
    for (const [index, wanted] of expected(made)[side].entries()) {
      const message = told.messages[2 * index + 1];
      expect(message?.head).toBe(wanted.head);
      const told_ = Object.fromEntries(message?.headers ?? []);
      expect(told_).toMatchObject(wanted.headers);
      expect(message?.body === wanted.body.toString('latin1')).toBe(true);
      const trailers = Object.entries(wanted.trailers ?? {});
      expect(message?.end?.split(' ').sort()).toEqual(
        ['whole', ...trailers.map(([name, text]) => `${name}=${text}`)].sort(),
      );
    }
  }

  test('any exchanges, in pieces of any size', async () => {
    await fc.assert(
      fc.asyncProperty(exchanges, options, fc.integer({ min: 1, max: 5000 }), async (made, how, size) => {
        const { sent, received } = await exchange(made, how);
        for (const cut of [sent, split(Buffer.concat(sent), size)]) {
          const told = requests(cut);
          expect(told.notes).toEqual([]);
          seen(told, made, 'requests');
        }
        for (const cut of [received, split(Buffer.concat(received), size)]) {
          const told = responses(cut);
          expect(told.notes.filter((note) => note !== 'push 1')).toEqual([]);
          seen(told, made, 'responses');
        }
      }),
      { numRuns: 40 },
    );
  });

  test('a push is counted', async () => {
    const one = { path: '/', headers: {}, body: Buffer.from('?') };
    const { received } = await exchange(
      [{ ...one, answer: { status: 200, headers: {}, body: one.body, trailers: {} } }],
      {
        push: true,
      },
    );
    const { notes, messages } = responses(received);
    expect(notes).toEqual(['push 1']);
    expect(messages[1]).toMatchObject({ head: '200', body: '?', end: 'whole' });
  });
});

const GET = Buffer.from([0x82, 0x86, 0x84]);
const OK = Buffer.from([0x88]);
const settings = frame(FRAME.settings, 0, 0, Buffer.alloc(6));
const whole = FLAG.endHeaders | FLAG.endStream;
const connection = (...frames: Uint8Array[]): Buffer[] => [Buffer.concat([PREFACE, settings, ...frames])];
const text = (value: string) => Buffer.from(value);

describe('one connection split at every byte', () => {
  const padded = frame(
    FRAME.data,
    FLAG.padded,
    1,
    Buffer.concat([Buffer.from([3]), text('data'), Buffer.alloc(3)]),
  );
  const bytes = Buffer.concat([
    PREFACE,
    settings,
    frame(
      FRAME.headers,
      FLAG.priority | FLAG.padded,
      1,
      Buffer.concat([Buffer.from([2]), Buffer.alloc(5), GET, Buffer.alloc(2)]),
    ),
    frame(FRAME.continuation, 0, 1),
    frame(
      FRAME.continuation,
      FLAG.endHeaders,
      1,
      Buffer.concat([Buffer.from([0x40, 1]), text('a'), Buffer.from([1]), text('1')]),
    ),
    frame(FRAME.headers, whole, 3, Buffer.from([0x82, 0x86, 0x84, 0xbe])),
    padded,
    frame(FRAME.ping, 0, 0, Buffer.alloc(8)),
    frame(FRAME.data, 0, 1),
    frame(0x42, 0xff, 7, 'of no known type'),
    frame(FRAME.data, FLAG.padded, 1, Buffer.from([0])),
    frame(FRAME.data, FLAG.endStream, 1, 'more'),
    frame(FRAME.goaway, 0, 0, Buffer.alloc(12)),
    frame(FRAME.rstStream, 0, 3, Buffer.from([0, 0, 0, 8])),
  ]);
  const told = requests([bytes]);

  test('padding, continuations, priorities and unknown frames', () => {
    const head = { head: 'GET /', headers: [['a', '1']] };
    expect(told.messages).toEqual({
      1: { ...head, body: 'datamore', end: 'whole' },
      3: { ...head, body: '', end: 'whole' },
    });
    expect(told.notes).toEqual(['reset 3: 8']);
  });

  test('tells the same', () => {
    expect(requests(split(bytes, 1))).toEqual(told);
    for (let at = 0; at <= bytes.length; at += 1) {
      expect(requests([bytes.subarray(0, at), bytes.subarray(at)])).toEqual(told);
    }
  });
});

describe('endings', () => {
  test('a connection that is over cuts what is open', () => {
    const { messages } = responses([
      frame(FRAME.headers, FLAG.endHeaders, 1, OK),
      frame(FRAME.data, 0, 1, 'half'),
    ]);
    expect(messages[1]).toMatchObject({ body: 'half', end: 'cut' });
  });

  test('a reset of its sender aborts a message', () => {
    const reset = frame(FRAME.rstStream, 0, 1, Buffer.from([0, 0, 0, 2]));
    const { messages, notes } = responses([frame(FRAME.headers, FLAG.endHeaders, 1, OK), reset]);
    expect(messages[1]?.end).toBe('aborted');
    expect(notes).toEqual(['reset 1: 2']);
  });

  test('interim responses are passed over', () => {
    const interim = Buffer.concat([Buffer.from([0x08, 3]), text('103')]);
    const { messages } = responses([
      frame(FRAME.headers, FLAG.endHeaders, 1, interim),
      frame(FRAME.headers, whole, 1, OK),
    ]);
    expect(messages[1]).toMatchObject({ head: '200', end: 'whole' });
  });
});

describe('losses', () => {
  const open = [frame(FRAME.headers, FLAG.endHeaders, 1, OK), frame(FRAME.headers, FLAG.endHeaders, 3, OK)];
  const data = (stream: number, value: string, flags = 0) => frame(FRAME.data, flags, stream, value);

  test('inside the data of a stream, that stream is damaged', () => {
    const piece = data(1, 'abcdef');
    const pieces = [
      ...open,
      piece.subarray(0, 11),
      2,
      piece.subarray(13),
      data(1, '.', FLAG.endStream),
      data(3, 'x', FLAG.endStream),
    ];
    const { messages, notes } = responses(pieces);
    expect(messages).toMatchObject({
      1: { body: 'ab??ef.', end: 'damaged' },
      3: { body: 'x', end: 'whole' },
    });
    expect(notes).toEqual([]);
  });

  test('anywhere else, what is open is damaged, and goes on when frames are found again', () => {
    const add = Buffer.concat([Buffer.from([0x88, 0x40, 1]), text('a'), Buffer.from([1]), text('1')]);
    const pieces = [
      ...open,
      data(1, 'one'),
      100,
      text('the end of something'),
      data(1, 'two', FLAG.endStream),
      frame(FRAME.headers, whole, 5, Buffer.concat([add, Buffer.from([0xbe, 0xbf])])),
    ];
    const { messages, notes } = responses(pieces);
    expect(messages).toMatchObject({
      1: { body: 'one?…two', end: 'damaged' },
      3: { body: '?…', end: 'damaged' },
      5: {
        headers: [
          ['a', '1'],
          ['a', '1'],
        ],
        end: 'whole',
      },
    });
    expect(notes).toEqual(['lost: gap', 'unknown-field 1', 'partial 5']);
  });

  test('seen from the middle: what can be read is read, what has no head is counted once', () => {
    const pieces = [
      data(1, 'rest', FLAG.endStream),
      data(3, 'a'),
      data(3, 'b'),
      frame(FRAME.headers, whole, 5, Buffer.from([0x88, 0xc0])),
    ];
    const { messages, notes } = responses(pieces, 'middle');
    expect(messages).toEqual({ 5: { head: '200', headers: [], body: '', end: 'whole' } });
    expect(notes).toEqual(['no-head 1', 'no-head 1', 'unknown-field 1', 'partial 5']);
  });

  test('a request whose path is not known is told without it', () => {
    const { messages } = requests(
      [frame(FRAME.headers, whole, 1, Buffer.from([0x83, 0x87, 0xc0]))],
      'middle',
    );
    expect(messages[1]).toMatchObject({ head: 'POST ', end: 'whole' });
  });

  test.each<[string, Uint8Array]>([
    ['a continuation of nothing', frame(FRAME.continuation, 0, 1)],
    ['data on the connection itself', frame(FRAME.data, 0, 0)],
    ['settings of five bytes', frame(FRAME.settings, 0, 0, 'five!')],
    ['more padding than data', frame(FRAME.data, FLAG.padded, 1, Buffer.from([9, 1]))],
    [
      'data between parts of a header block',
      Buffer.concat([frame(FRAME.headers, 0, 5, OK), frame(FRAME.data, 0, 1)]),
    ],
  ])('malformed: %s', (_, bytes) => {
    const { notes, messages } = responses([...open, bytes, frame(FRAME.headers, whole, 7, OK)]);
    expect(notes).toEqual(['lost: malformed']);
    expect(messages[1]?.end).toBe('damaged');
    expect(messages[7]?.end).toBe('whole');
  });

  test('a header block that is malformed leaves the connection readable', () => {
    const { notes, messages } = responses([
      frame(FRAME.headers, whole, 1, Buffer.from([0x80])),
      frame(FRAME.headers, whole, 3, OK),
    ]);
    expect(notes).toEqual(['malformed-headers 1', 'no-head 1']);
    expect(messages[3]?.end).toBe('whole');
  });
});

describe('limits', () => {
  const { handler: _, ...none } = teller<RequestHead>(() => '');

  test('frames above the limit are no frames', () => {
    const header = frame(FRAME.data, 0, 1, Buffer.alloc(HTTP2_LIMITS.frameBytes + 1)).subarray(0, 9);
    expect(requests(connection(header)).notes).toEqual(['lost: over-limit']);
  });

  test('a flood of continuations is not kept, and the next block is read', () => {
    const part = frame(FRAME.continuation, 0, 1, Buffer.alloc(16_000, 0x82));
    const flood = Array.from({ length: 100 }, () => part);
    const pieces = connection(
      frame(FRAME.headers, 0, 1, GET),
      ...flood,
      frame(FRAME.continuation, FLAG.endHeaders, 1),
    );
    const { notes, messages } = requests([...pieces, frame(FRAME.headers, whole, 3, GET)]);
    expect(notes).toEqual(['over-limit 1', 'no-head 1']);
    expect(messages).toMatchObject({ 3: { head: 'GET /', end: 'whole' } });
  });

  test('of too many streams the oldest is given up', () => {
    const told = teller<RequestHead>(({ target }) => target);
    const limits = { ...HTTP2_LIMITS, streams: 2 };
    const decoder = new Http2Decoder(
      told.handler,
      () => ({ method: 'GET', target: '/', headers: [] }),
      'middle',
      0,
      limits,
    );
    for (const stream of [1, 3, 5]) decoder.data(frame(FRAME.headers, FLAG.endHeaders, stream, GET));
    expect(told.notes).toEqual(['over-limit 1']);
    expect(told.messages[1]?.end).toBe('damaged');
    expect(none.notes).toEqual([]);
  });

  test('any bytes are decoded or refused', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc
        .array(fc.tuple(fc.nat(10), fc.nat(255), fc.nat(5), fc.uint8Array({ maxLength: 40 })), {
          maxLength: 8,
        })
        .map((frames) =>
          Buffer.concat(frames.map(([type, flags, stream, payload]) => frame(type, flags, stream, payload))),
        ),
    );
    const piece = fc.oneof(bytes, fc.nat(30));
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 6 }), fc.boolean(), (pieces, middle) => {
        requests(pieces, middle ? 'middle' : 'beginning');
        responses(pieces, middle ? 'middle' : 'beginning');
      }),
    );
  });
});

test('frames are told from text, HTTP/1.1 and WebSocket', () => {
  expect(startsWithFrames(settings)).toBe(true);
  expect(startsWithFrames(frame(FRAME.data, 0, 1, 'abc').subarray(0, 10))).toBe(true);
  for (const other of [
    'HTTP/1.1 200 OK\r\n\r\n',
    'data: {"type":"x"}\n\n',
    '\u0081\u007e0123456789',
    '\0\0\0\0\0\0\0\0\0',
  ]) {
    expect(startsWithFrames(Buffer.from(other, 'latin1'))).toBe(false);
  }
});
