import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  HTTP1_LIMITS,
  type Http1Decoder,
  type Http1Handler,
  requestDecoder,
  responseDecoder,
} from '../../src/protocol/http1.js';
import type { RequestHead, ResponseHead } from '../../src/protocol/http1-head.js';

/** A message as text, `?` for each byte of its body that fell into a gap. */
type Told = { head: string; body: string; end?: string } | string;

function teller<Head>(nameOf: (head: Head) => string): { told: Told[]; handler: Http1Handler<Head> } {
  const told: Told[] = [];
  const message = () => {
    const last = told.at(-1);
    if (typeof last !== 'object' || last.end !== undefined) throw new Error('body outside a message');
    return last;
  };
  return {
    told,
    handler: {
      head: (head) => told.push({ head: nameOf(head), body: '' }),
      body: (bytes) => {
        message().body += Buffer.from(bytes).toString('latin1');
      },
      bodyGap: (length) => {
        message().body += '?'.repeat(length);
      },
      end: ({ how, missingBytes, trailers }) => {
        const extra = trailers.map(([name, value]) => ` ${name}=${value}`).join('');
        message().end = `${how} ${missingBytes}${extra}`;
      },
      lost: (reason) => told.push(`lost: ${reason}`),
      upgraded: () => told.push('upgraded'),
      tunnelled: () => told.push('tunnelled'),
    },
  };
}

type Piece = string | number;

function feed<Head>(decoder: Http1Decoder<Head>, pieces: readonly Piece[]): void {
  for (const piece of pieces) {
    if (typeof piece === 'number') decoder.gap(piece);
    else decoder.data(Buffer.from(piece, 'latin1'));
  }
}

function requests(...pieces: Piece[]): Told[] {
  const { told, handler } = teller<RequestHead>(({ method, target }) => `${method} ${target}`);
  feed(requestDecoder(handler), pieces);
  return told;
}

function responsesTo(method: string | undefined, ...pieces: Piece[]): Told[] {
  const { told, handler } = teller<ResponseHead>(({ status }) => String(status));
  feed(
    responseDecoder(handler, () => method),
    pieces,
  );
  return told;
}

const responses = (...pieces: Piece[]): Told[] => responsesTo('GET', ...pieces);

const fixed = 'POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello';
const chunked =
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n1A\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nSum: 1\r\n\r\n';
const next = 'HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno';

describe('bodies', () => {
  test.each<[string, () => Told[], Told[]]>([
    [
      'none in a request without a length',
      () => requests('GET / HTTP/1.1\r\nHost: h\r\n\r\n'),
      [{ head: 'GET /', body: '', end: 'whole 0' }],
    ],
    [
      'fixed, pipelined',
      () => requests(fixed + fixed),
      [
        { head: 'POST /a', body: 'hello', end: 'whole 0' },
        { head: 'POST /a', body: 'hello', end: 'whole 0' },
      ],
    ],
    [
      'of zero bytes',
      () => responses('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n', next),
      [
        { head: '200', body: '', end: 'whole 0' },
        { head: '404', body: 'no', end: 'whole 0' },
      ],
    ],
    [
      'chunked with extension and trailer',
      () => responses(chunked + next),
      [
        { head: '200', body: 'helloabcdefghijklmnopqrstuvwxyz', end: 'whole 0 sum=1' },
        { head: '404', body: 'no', end: 'whole 0' },
      ],
    ],
    [
      'chunked wins over a length',
      () =>
        responses(
          'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: Chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n',
        ),
      [{ head: '200', body: 'ab', end: 'whole 0' }],
    ],
    [
      'open until the connection ends',
      () => responses('HTTP/1.1 200 OK\r\n\r\nab', 'HTTP/1.1 200 OK\r\n'),
      [{ head: '200', body: 'abHTTP/1.1 200 OK\r\n' }],
    ],
    [
      'none after HEAD',
      () => responsesTo('HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n', next),
      [
        { head: '200', body: '', end: 'whole 0' },
        { head: '404', body: '', end: 'whole 0' },
        'lost: malformed',
      ],
    ],
    [
      'none in 204 and 304',
      () =>
        responses(
          'HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n',
          next,
        ),
      [
        { head: '204', body: '', end: 'whole 0' },
        { head: '304', body: '', end: 'whole 0' },
        { head: '404', body: 'no', end: 'whole 0' },
      ],
    ],
    [
      'informational responses are passed over',
      () => responses('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n', next),
      [{ head: '404', body: 'no', end: 'whole 0' }],
    ],
    [
      'nothing is decoded behind 101',
      () => responses('HTTP/1.1 101 Switching Protocols\r\n\r\n', next),
      [{ head: '101', body: '', end: 'whole 0' }, 'upgraded'],
    ],
    [
      'HTTP goes on in the tunnel of CONNECT',
      () => responsesTo('CONNECT', 'HTTP/1.1 200 OK\r\n\r\n', next),
      [{ head: '200', body: '', end: 'whole 0' }, 'tunnelled', { head: '404', body: 'no', end: 'whole 0' }],
    ],
    [
      'TLS in the tunnel of CONNECT is not decoded',
      () => responsesTo('CONNECT', 'HTTP/1.1 200 OK\r\n\r\n', '\x16\x03\x01\r\n\r\n', next),
      [{ head: '200', body: '', end: 'whole 0' }, 'tunnelled'],
    ],
    [
      'anything else in the tunnel of CONNECT is told',
      () => responsesTo('CONNECT', 'HTTP/1.1 200 OK\r\n\r\nSSH-2.0-x\r\n'),
      [{ head: '200', body: '', end: 'whole 0' }, 'tunnelled', 'lost: malformed'],
    ],
  ])('%s', (_, told, expected) => {
    expect(told()).toEqual(expected);
  });
});

test('names are lower case, values trimmed, folded lines joined', () => {
  const heads: RequestHead[] = [];
  const { handler } = teller<RequestHead>(() => '');
  const decoder = requestDecoder({ ...handler, head: (head) => heads.push(head), end: () => {} });
  feed(decoder, ['\r\nGET / HTTP/1.1\nX-A:  one \r\n\ttwo\r\nX-A:\r\n\r\n']);
  expect(heads[0]?.headers).toEqual([
    ['x-a', 'one two'],
    ['x-a', ''],
  ]);
});

describe('what is not HTTP/1.1', () => {
  test.each<[string, string]>([
    ['another protocol', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['a field without a colon', 'GET / HTTP/1.1\r\nnonsense\r\n\r\n'],
    ['two lengths', 'POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n'],
    ['a negative length', 'POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n'],
    ['a length beyond what is exact', 'POST / HTTP/1.1\r\nContent-Length: 9007199254740993\r\n\r\n'],
  ])('%s is lost, without a message', (_, text) => {
    expect(requests(text)).toEqual(['lost: malformed']);
  });

  test('a chunk size that is no number ends the message as damaged', () => {
    const head = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n';
    expect(responses(`${head}2\r\nab\r\n-1\r\nxx`)).toEqual([
      { head: '200', body: 'ab', end: 'damaged 0' },
      'lost: malformed',
    ]);
    expect(responses(`${head}2\r\nabc\r\n`)).toEqual([
      { head: '200', body: 'ab', end: 'damaged 0' },
      'lost: malformed',
    ]);
  });

  test('a piece that begins with a start line is decoded again', () => {
    expect(requests('garbage\r\n\r\n', 'more\r\n', fixed)).toEqual([
      'lost: malformed',
      { head: 'POST /a', body: 'hello', end: 'whole 0' },
    ]);
  });

  test('a start line inside a piece may be text and is not taken for one', () => {
    expect(requests('garbage\r\n\r\n', `text ${fixed}`)).toEqual(['lost: malformed']);
  });
});

describe('limits', () => {
  const field = (bytes: number) => `x: ${'y'.repeat(bytes)}\r\n`;

  test('a head above the limit is lost', () => {
    const start = 'GET / HTTP/1.1\r\n';
    const room = HTTP1_LIMITS.headBytes - start.length - 'x: \r\n\r\n'.length;
    expect(requests(`${start}${field(room)}\r\n`)).toEqual([{ head: 'GET /', body: '', end: 'whole 0' }]);
    expect(requests(`${start}${field(room + 1)}\r\n`)).toEqual(['lost: over-limit']);
  });

  test('a head of too many lines is lost', () => {
    expect(requests(`GET / HTTP/1.1\r\n${'a: b\r\n'.repeat(HTTP1_LIMITS.headLines + 1)}\r\n`)).toEqual([
      'lost: over-limit',
    ]);
  });

  test('a chunk-size line above the limit is lost', () => {
    const line = `1;${'x'.repeat(HTTP1_LIMITS.chunkLineBytes)}\r\n`;
    expect(responses(`HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${line}`)).toEqual([
      { head: '200', body: '', end: 'damaged 0' },
      'lost: over-limit',
    ]);
  });
});

describe('gaps', () => {
  test('inside a fixed body: the message is damaged, the next one is whole', () => {
    expect(requests('POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nh', 2, `lo${fixed}`)).toEqual([
      { head: 'POST /a', body: 'h??lo', end: 'damaged 2' },
      { head: 'POST /a', body: 'hello', end: 'whole 0' },
    ]);
  });

  test('up to the end of a fixed body: the framing holds', () => {
    expect(requests('POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nh', 4, fixed)).toEqual([
      { head: 'POST /a', body: 'h????', end: 'damaged 4' },
      { head: 'POST /a', body: 'hello', end: 'whole 0' },
    ]);
  });

  test('beyond a fixed body: a start line brings the decoder back', () => {
    expect(requests('POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nh', 9, 'no start', fixed)).toEqual([
      { head: 'POST /a', body: 'h????', end: 'damaged 4' },
      'lost: gap',
      { head: 'POST /a', body: 'hello', end: 'whole 0' },
    ]);
  });

  test('inside a chunk: the framing holds', () => {
    const head = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n';
    expect(responses(`${head}5\r\nh`, 3, `o\r\n0\r\n\r\n${next}`)).toEqual([
      { head: '200', body: 'h???o', end: 'damaged 3' },
      { head: '404', body: 'no', end: 'whole 0' },
    ]);
  });

  test('over the end of a chunk: the framing is lost', () => {
    const head = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n';
    expect(responses(`${head}5\r\nh`, 4, '\r\n0\r\n\r\n', next)).toEqual([
      { head: '200', body: 'h????', end: 'damaged 4' },
      'lost: gap',
      { head: '404', body: 'no', end: 'whole 0' },
    ]);
  });

  test('in a head: no message is made up', () => {
    expect(requests('POST /a HTTP/1.1\r\nConte', 3, '-Length: 5\r\n\r\nhello', fixed)).toEqual([
      'lost: gap',
      { head: 'POST /a', body: 'hello', end: 'whole 0' },
    ]);
  });

  test('in an open body: what follows still belongs to it', () => {
    expect(responses('HTTP/1.1 200 OK\r\n\r\nab', 2, 'cd')).toEqual([{ head: '200', body: 'ab??cd' }]);
  });
});

test('the end of the connection ends the message that is under way, once', () => {
  const { told, handler } = teller<ResponseHead>(({ status }) => String(status));
  const decoder = responseDecoder(handler, () => 'GET');
  feed(decoder, ['HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe']);
  decoder.finish();
  decoder.finish();
  decoder.data(Buffer.from(next));
  expect(told).toEqual([{ head: '200', body: 'he', end: 'cut 0' }]);
});

test('a stream split at any byte, or into single bytes, tells the same', () => {
  const stream = `HTTP/1.1 100 Continue\r\n\r\n${chunked}${next}HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\nopen`;
  const whole = responses(stream);
  expect(whole).toHaveLength(3);
  expect(responses(...stream)).toEqual(whole);
  for (let at = 0; at <= stream.length; at++) {
    expect(responses(stream.slice(0, at), stream.slice(at))).toEqual(whole);
  }
});

test('any bytes and gaps: every message that begins is ended at most once, and nothing throws', () => {
  const start = fc.constantFrom('HTTP/1.1 200 OK\r\n', 'GET / HTTP/1.1\r\n');
  const fields = fc.constantFrom(
    '',
    'content-length: 3\r\n',
    'transfer-encoding: chunked\r\n',
    'x',
    ' fold\r\n',
  );
  const body = fc.constantFrom('\r\n', 'abc', '3\r\nabc\r\n', '0\r\n\r\n', 'ffffffffffff\r\n');
  const noise = fc.string({ unit: 'binary', maxLength: 20 });
  const piece = fc.oneof(start, fields, body, noise, fc.nat(20));
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 40 }),
      fc.constantFrom('GET', 'HEAD', undefined),
      (pieces, method) => {
        responsesTo(method, ...pieces);
        requests(...pieces);
      },
    ),
    { numRuns: 2000 },
  );
});
