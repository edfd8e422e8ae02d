// SSL_write and SSL_read of a static BoringSSL in x86-64 programs such as Bun, by byte patterns. Its functions
// report errors under the name of their file only, and such programs may come without frames: what confirms a
// match is that its code names the file, and the reasons that it reports.

import type { AddressMap } from './address-map.js';
import type { BinaryFile } from './file.js';
import { addressSet, type MachineCode } from './machine-code.js';
import { search } from './search.js';
import { eachRecordLibrary, type Findings, type TlsFunction } from './tls-function.js';

/** What to search the read-only data for: BoringSSL's source file of both functions. */
export const boringsslNeedle = Buffer.from('ssl/ssl_lib.cc\0');

const patterns = {
  read: ['554889e5 4157 4156 53 50 4883bf9800000000 74'],
  write: ['554889e5 4157 4156 4155 4154 53 4883ec18 4189d7 4989f6 4889fb'],
};
const needles = Object.fromEntries(
  Object.entries(patterns).map(([name, texts]) => [
    name,
    texts.map((text) => Buffer.from(text.replace(/\s+/g, ''), 'hex')),
  ]),
);

/** Compilers start functions at multiples of this. */
const alignment = 16;
/** SSL_write follows SSL_read within this many bytes where the linker keeps the order of the source. */
const maxDistance = 0x1000;
/** Of a function that is looked into. */
const maxFunctionBytes = 0x400;
/** Why SSL_write may fail, of BoringSSL's ssl.h: not begun, and a negative length. No other function reports both. */
const writeReasons = [226, 111];
/** SSL_do_handshake's own: neither connect nor accept was chosen. SSL_write calls it. */
const handshakeReason = 134;
const maxPathBytes = 64;

export interface BoringsslInput {
  file: BinaryFile;
  map: AddressMap;
  machine: MachineCode;
  /** File ranges of code. */
  ranges: readonly { offset: number; length: number }[];
  /** File offsets of `boringsslNeedle`. */
  places: readonly number[];
  windowBytes?: number | undefined;
}

/** Both functions or none, and the handshake where there is one. */
export function findBoringssl({ file, map, machine, ranges, places, windowBytes }: BoringsslInput): Findings {
  const all = Object.values(needles).flat();
  const found = search(
    file,
    ranges.map((range) => ({ ...range, needles: all })),
    windowBytes,
  );
  const startsOf = (name: keyof typeof patterns) =>
    (needles[name] ?? [])
      .flatMap((needle) => found.get(needle) ?? [])
      .filter((offset) => (map.toVaddr(offset) ?? 1) % alignment === 0)
      .sort((a, b) => a - b);
  const texts = addressSet(
    places.flatMap((place) => {
      const vaddr = map.toVaddr(place);
      return vaddr === undefined ? [] : [{ first: vaddr - pathBefore(file, place), last: vaddr }];
    }),
  );
  const codeAt = (offset: number) => file.read(offset, Math.min(maxFunctionBytes, file.size - offset));
  const isConfirmed = (offset: number) =>
    machine.addressesTaken(codeAt(offset), map.toVaddr(offset) ?? 0, texts).length > 0;
  const reports = (offset: number, reasons: readonly number[]) =>
    reasons.every((reason) => machine.passesThird(codeAt(offset), reason));

  const reads = startsOf('read');
  const [read] = reads;
  const writes = startsOf('write');
  const near = writes.filter((at) => read !== undefined && at > read && at - read < maxDistance);
  // A linker may put often used functions first: then SSL_write is known by what it reports.
  const candidates =
    near.length > 0 ? near : writes.filter((at) => isConfirmed(at) && reports(at, writeReasons));
  const [write] = candidates;
  if (reads.length > 1 || candidates.length > 1) {
    return {
      functions: [],
      records: eachRecordLibrary(() => null),
      reasons: [],
      doubts: ["BoringSSL's functions could be at several places"],
    };
  }
  if (read === undefined || write === undefined) {
    return {
      functions: [],
      records: eachRecordLibrary(() => null),
      reasons: [],
      doubts: ['no known byte pattern of its BoringSSL'],
    };
  }
  const called = machine.branches(codeAt(write), map.toVaddr(write) ?? 0).flatMap(({ target, isCall }) => {
    const offset = isCall && target % alignment === 0 ? map.toOffset(target) : undefined;
    return offset !== undefined && map.isCode(offset) ? [offset] : [];
  });
  const [handshake, ...others] = new Set(
    called.filter((at) => isConfirmed(at) && reports(at, [handshakeReason])),
  );

  const asFunction = (name: TlsFunction['name'], offset: number): TlsFunction => ({
    name,
    isEx: false,
    offset,
    confidence: isConfirmed(offset) ? 'high' : 'low',
  });
  return {
    functions: [
      asFunction('ssl_write', write),
      asFunction('ssl_read', read),
      ...(handshake === undefined || others.length > 0 ? [] : [asFunction('ssl_do_handshake', handshake)]),
    ],
    records: eachRecordLibrary(() => null),
    reasons: [],
    doubts: [],
  };
}

/** How many bytes of the path stand before the part that was searched for. */
function pathBefore(file: BinaryFile, place: number): number {
  const length = Math.min(maxPathBytes, place);
  const before = file.read(place - length, length).toString('latin1');
  return /[\w./@+-]*$/.exec(before)?.[0].length ?? 0;
}
