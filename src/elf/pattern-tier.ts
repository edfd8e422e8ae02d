// OpenSSL's functions in stripped x86-64 programs, by the bytes that the compilers made of their short bodies.
// SSL_write_ex and SSL_read_ex only wrap an internal function each, so their code hardly changes between
// releases. A match counts only where .eh_frame says that a function starts, and only when it is the only one.

import type { AddressMap } from './address-map.js';
import type { FunctionStarts } from './eh-frame.js';
import type { BinaryFile } from './file.js';
import { maxPlaces } from './search.js';
import { symbolName, type TlsFunction } from './tls-function.js';

/** `??` stands for any byte. */
function pattern(text: string): Pattern {
  const bytes = text
    .trim()
    .split(/\s+/)
    .map((byte) => (byte === '??' ? undefined : Number.parseInt(byte, 16)));
  return { bytes, ...longestFixedRun(bytes) };
}

interface Pattern {
  bytes: readonly (number | undefined)[];
  /** The longest run without a free byte: what to search for. */
  needle: Buffer;
  needleAt: number;
}

const clangWriteEx = pattern(`
  55 48 89 e5 53 50 49 89 c8 31 db 31 c9 e8 ?? ?? ?? ?? 85 c0 0f 4e c3 48 83 c4 08 5b 5d c3`);
const clangReadEx = pattern('55 48 89 e5 e8 ?? ?? ?? ?? 31 c9 85 c0 0f 4e c1 5d c3');
const gccReadEx = pattern('f3 0f 1e fa 48 83 ec 08 e8 ?? ?? ?? ?? 31 d2 85 c0 0f 48 c2 48 83 c4 08 c3');
// gcc makes SSL_write_ex a jump into SSL_write_ex2, which stands before it and looks like SSL_read_ex.
const gccWriteEx2 = pattern(`
  f3 0f 1e fa 48 83 ec 08 e8 ?? ?? ?? ?? 31 d2 85 c0 0f 48 c2 48 83 c4 08 c3 0f 1f 80 00 00 00 00
  f3 0f 1e fa 49 89 c8 31 c9 e9 d2 ff ff ff`);
const gccWriteExAt = 0x20;

const patterns = [clangWriteEx, clangReadEx, gccReadEx, gccWriteEx2];

/** What to search the code for before `findByPatterns`. */
export const patternNeedles: readonly Buffer[] = patterns.map(({ needle }) => needle);

/** What to search the read-only data for before `findByPatterns`: the anchors of SSL_do_handshake. */
export const anchorNeedles: readonly Buffer[] = [
  Buffer.from('SSL_do_handshake\0'),
  Buffer.from('ssl/ssl_lib.c\0'),
];

export interface PatternInput {
  file: BinaryFile;
  map: AddressMap;
  starts: FunctionStarts | undefined;
  /** File offsets of each of `patternNeedles`. */
  needlePlaces: readonly (readonly number[])[];
  /** File offsets of each of `anchorNeedles`. */
  anchorPlaces: readonly (readonly number[])[];
}

export interface PatternResult {
  functions: TlsFunction[];
  /** Why there are none. */
  reason?: string;
}

/** SSL_write_ex and SSL_read_ex, both or none, and SSL_do_handshake where its anchors lead to one function. */
export function findByPatterns(input: PatternInput): PatternResult {
  const { map, starts } = input;
  if (starts === undefined)
    return { functions: [], reason: 'no .eh_frame_hdr to tell where functions start' };
  if (input.needlePlaces.some(({ length }) => length >= maxPlaces)) {
    return { functions: [], reason: 'the byte patterns match too often to mean anything' };
  }
  const isStart = (offset: number) => {
    const vaddr = map.toVaddr(offset);
    return vaddr !== undefined && map.isCode(offset) && starts.has(vaddr);
  };
  const matches = (wanted: Pattern) => matchesOf(input, wanted).filter(isStart);

  const gccWrites2 = matches(gccWriteEx2).filter((offset) => isStart(offset + gccWriteExAt));
  const writes = [...matches(clangWriteEx), ...gccWrites2.map((offset) => offset + gccWriteExAt)];
  const reads = [
    ...matches(clangReadEx),
    ...matches(gccReadEx).filter((offset) => !gccWrites2.includes(offset)),
  ];
  const write = { name: 'ssl_write', isEx: true } as const;
  const read = { name: 'ssl_read', isEx: true } as const;
  for (const [wanted, places] of [
    [write, writes],
    [read, reads],
  ] as const) {
    if (places.length > 1) {
      const some = places.slice(0, 4).join(', ');
      const reason = `${symbolName(wanted)} could be at any of ${places.length} places: ${some}`;
      return { functions: [], reason };
    }
  }
  const [writeOffset] = writes;
  const [readOffset] = reads;
  if (writeOffset === undefined || readOffset === undefined) {
    return { functions: [], reason: 'no known byte pattern of SSL_write_ex and SSL_read_ex' };
  }
  const handshake = findHandshake(input, starts, writeOffset);
  return {
    functions: [
      { ...write, offset: writeOffset },
      { ...read, offset: readOffset },
      ...(handshake === undefined
        ? []
        : [{ name: 'ssl_do_handshake', isEx: false, offset: handshake } as const]),
    ],
  };
}

function matchesOf({ file, needlePlaces }: PatternInput, wanted: Pattern): number[] {
  const places = needlePlaces[patterns.indexOf(wanted)] ?? [];
  return places
    .map((place) => place - wanted.needleAt)
    .filter((offset) => {
      if (offset < 0 || offset + wanted.bytes.length > file.size) return false;
      const found = file.read(offset, wanted.bytes.length);
      return wanted.bytes.every((byte, at) => byte === undefined || found[at] === byte);
    });
}

function longestFixedRun(bytes: readonly (number | undefined)[]): { needle: Buffer; needleAt: number } {
  let best = { needle: Buffer.alloc(0), needleAt: 0 };
  let start = 0;
  for (let at = 0; at <= bytes.length; at++) {
    if (at < bytes.length && bytes[at] !== undefined) continue;
    if (at - start > best.needle.length) {
      best = { needle: Buffer.from(bytes.slice(start, at).map(Number)), needleAt: start };
    }
    start = at + 1;
  }
  return best;
}

/** SSL_do_handshake stands in the same object file as SSL_write_ex; ssl_lib.o has about 40 KiB of code. */
const neighbourhoodBytes = 64 * 1024;
const leaBytes = 7;

/**
 * The one function near SSL_write_ex that takes the addresses of both its own name and its source file's, as
 * OpenSSL's error reports do.
 */
function findHandshake(
  { file, map, anchorPlaces }: PatternInput,
  starts: FunctionStarts,
  writeOffset: number,
): number | undefined {
  const segment = map.segmentAt(writeOffset);
  if (segment === undefined) return undefined;
  const from = Math.max(segment.offset, writeOffset - neighbourhoodBytes);
  const to = Math.min(segment.offset + segment.fileSize, writeOffset + neighbourhoodBytes);
  const code = file.read(from, to - from);
  const base = from - segment.offset + segment.vaddr;
  const [users, sameFileUsers] = anchorPlaces.map((places) => {
    const anchors = new Set(places.map((place) => map.toVaddr(place)));
    return new Set(
      [...leaTargets(code, base)]
        .filter(({ target }) => anchors.has(target))
        .map(({ at }) => starts.startOf(at)),
    );
  });
  const candidates = [...(users ?? [])].filter((start) => sameFileUsers?.has(start));
  const [start] = candidates;
  if (candidates.length !== 1 || start === undefined) return undefined;
  return map.toOffset(start);
}

/** Every `lea r64, [rip + disp32]` that the bytes could hold at any position, with the address that it takes. */
function* leaTargets(code: Buffer, base: number): Generator<{ at: number; target: number }> {
  for (let at = 0; at + leaBytes <= code.length; at++) {
    const rex = code[at];
    const modrm = code[at + 2];
    if ((rex !== 0x48 && rex !== 0x4c) || code[at + 1] !== 0x8d || modrm === undefined) continue;
    if ((modrm & 0xc7) !== 0x05) continue;
    yield { at: base + at, target: base + at + leaBytes + code.readInt32LE(at + 3) };
  }
}
