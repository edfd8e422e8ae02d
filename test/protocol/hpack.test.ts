import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HPACK_LIMITS, HpackDecoder } from '../../src/protocol/hpack.js';
import { huffmanDecode } from '../../src/protocol/huffman.js';

const bytes = (hex: string): Buffer => Buffer.from(hex.replaceAll(/\s/g, ''), 'hex');

/** What a decoder makes of blocks in turn: fields as `name: value`. */
function decode(blocks: readonly string[], decoder = new HpackDecoder('beginning')): unknown[] {
  return blocks.map((block) => {
    const decoded = decoder.decode(bytes(block));
    if (decoded === undefined) return 'malformed';
    const lines = decoded.fields.map(([name, value]) => `${name}: ${value}`);
    return decoded.unknownFields === 0 ? lines : [...lines, `unknown: ${decoded.unknownFields}`];
  });
}

const firstRequest = [':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com'];
const requests = [
  firstRequest,
  [...firstRequest, 'cache-control: no-cache'],
  [
    ':method: GET',
    ':scheme: https',
    ':path: /index.html',
    ':authority: www.example.com',
    'custom-key: custom-value',
  ],
];
const common = (date: string) => [
  'cache-control: private',
  `date: Mon, 21 Oct 2013 20:13:${date} GMT`,
  'location: https://www.example.com',
];
const responses = [
  [':status: 302', ...common('21')],
  [':status: 307', ...common('21')],
  [
    ':status: 200',
    common('22')[0],
    common('22')[1],
    common('22')[2],
    'content-encoding: gzip',
    'set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1',
  ],
];

describe('examples of RFC 7541, appendix C', () => {
  test.each([
    [
      'C.2.1',
      '400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572',
      'custom-key: custom-header',
    ],
    ['C.2.2', '040c 2f73 616d 706c 652f 7061 7468', ':path: /sample/path'],
    ['C.2.3', '1008 7061 7373 776f 7264 0673 6563 7265 74', 'password: secret'],
    ['C.2.4', '82', ':method: GET'],
  ])('%s', (_, block, line) => {
    expect(decode([block])).toEqual([[line]]);
  });

  test.each([
    [
      'C.3',
      '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      '8286 84be 5808 6e6f 2d63 6163 6865',
      '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
    ],
    [
      'C.4',
      '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
      '8286 84be 5886 a8eb 1064 9cbf',
      '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
    ],
  ])('%s', (_, ...blocks) => {
    expect(decode(blocks)).toEqual(requests);
  });

  // The examples have a table of 256 bytes, which a sender announces by 3fe101.
  test.each([
    [
      'C.5',
      '3fe101 4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      '4803 3330 37c1 c0bf',
      '88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31',
    ],
    [
      'C.6',
      '3fe101 4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3',
      '4883 640e ffc1 c0bf',
      '88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07',
    ],
  ])('%s', (_, ...blocks) => {
    expect(decode(blocks)).toEqual(responses);
  });
});

test('seen from the middle, what was added since is read and the rest is told to be unknown', () => {
  const decoder = new HpackDecoder('middle');
  // be and bf are the newest two entries, c0 the third.
  expect(decode(['be c0', '4003 6162 6301 31 be bf', '7f80 00 01 32', 'be bf c0'], decoder)).toEqual([
    ['unknown: 2'],
    ['abc: 1', 'abc: 1', 'unknown: 1'],
    ['unknown: 1'],
    ['abc: 1', 'unknown: 2'],
  ]);
  decoder.lost();
  expect(decode(['be 82'], decoder)).toEqual([[':method: GET', 'unknown: 1']]);
});

test.each([
  ['index 0', '80'],
  ['an entry that was never added', 'be'],
  ['a name that was never added', '7e 01 31'],
  ['text that goes on beyond the block', '4003 6162'],
  ['an integer that goes on beyond the block', 'ff'],
  ['an integer above all limits', 'ff ffff ffff 7f'],
  ['the end of a string inside of one', '4084 ffff ffff 01 31'],
  ['padding of zeros', '4001 61 81 18'],
])('malformed: %s', (_, block) => {
  expect(decode([block])).toEqual(['malformed']);
});

test('a field repeated from the table costs no more than the limit of a list', () => {
  const decoder = new HpackDecoder('beginning');
  const value = Buffer.alloc(4000, 0x61);
  const entry = Buffer.concat([bytes('4001 62 7f a11e'), value]);
  const bomb = Buffer.concat([entry, Buffer.alloc(100_000, 0xbe)]);
  const decoded = decoder.decode(bomb);
  const kept = Math.floor(HPACK_LIMITS.listBytes / (4000 + 1 + 32));
  expect(decoded?.fields.length).toBe(kept);
  expect(decoded?.overLimit).toBe(100_001 - kept);
  // The table is as it should be.
  expect(decoder.decode(bytes('be'))?.fields).toEqual([['b', value.toString()]]);
});

test('a table larger than the limit is followed as far as it is known', () => {
  const decoder = new HpackDecoder('beginning', { ...HPACK_LIMITS, tableBytes: 80 });
  // 3fe101 sets 256 bytes; three entries of 34 bytes are one more than fit.
  expect(decode(['3fe101', '400161 0131 400161 0132 400161 0133', 'be bf c0'], decoder)).toEqual([
    [],
    ['a: 1', 'a: 2', 'a: 3'],
    ['a: 3', 'a: 2', 'unknown: 1'],
  ]);
});

test('sizes of fields are those of their bytes, also where these are not ASCII', () => {
  const decoder = new HpackDecoder('beginning');
  // A table of 36 bytes holds a name of one byte with "é" (two bytes), but not with three bytes more.
  expect(decode(['3f05', '400161 02c3a9', 'be', '400161 04c3a9c3a9', 'be'], decoder)).toEqual([
    [],
    ['a: é'],
    ['a: é'],
    ['a: éé'],
    'malformed',
  ]);
});

test('any block is decoded or refused', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 5 }), (blocks) => {
      for (const from of ['beginning', 'middle'] as const) {
        const decoder = new HpackDecoder(from);
        for (const block of blocks) decoder.decode(block);
      }
      for (const block of blocks) huffmanDecode(block);
    }),
  );
});
