// SSL_write and SSL_read of a static BoringSSL in x86-64 programs such as Bun, by byte patterns. Its functions
// report errors under the name of their file only, and such programs may come without frames: what confirms a
// match is that its code names the file.

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
  handshake: [
    '554889e5 4157 4156 4155 4154 53 4883ec28 4989fc 488b4730',
    '554889e5 4157 4156 53 50 4c8b7f30 4983bf1801000000 74',
  ],
};
const needles = Object.fromEntries(
  Object.entries(patterns).map(([name, texts]) => [
    name,
    texts.map((text) => Buffer.from(text.replace(/\s+/g, ''), 'hex')),
  ]),
);

/** Compilers start functions at multiples of this. */
const alignment = 16;
/** SSL_write follows SSL_read within this many bytes, and no function of either is longer. */
const maxDistance = 0x1000;
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
  const reads = startsOf('read');
  const [read] = reads;
  const near =
    read === undefined ? [] : startsOf('write').filter((at) => at > read && at - read < maxDistance);
  const [write] = near;
  if (reads.length > 1 || near.length > 1) {
    return {
      functions: [],
      records: eachRecordLibrary(() => null),
      reasons: ["BoringSSL's functions could be at several places"],
    };
  }
  if (read === undefined || write === undefined) {
    return {
      functions: [],
      records: eachRecordLibrary(() => null),
      reasons: ['no known byte pattern of its BoringSSL'],
    };
  }
  const handshakes = startsOf('handshake');
  const handshake = handshakes.length === 1 ? handshakes[0] : handshakes.filter((at) => at < read).at(-1);

  const texts = addressSet(
    places.flatMap((place) => {
      const vaddr = map.toVaddr(place);
      return vaddr === undefined ? [] : [{ first: vaddr - pathBefore(file, place), last: vaddr }];
    }),
  );
  const isConfirmed = (offset: number) => {
    const length = Math.min(maxDistance, file.size - offset);
    const code = file.read(offset, length);
    return machine.addressesTaken(code, map.toVaddr(offset) ?? 0, texts).length > 0;
  };
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
      ...(handshake === undefined ? [] : [asFunction('ssl_do_handshake', handshake)]),
    ],
    records: eachRecordLibrary(() => null),
    reasons: [],
  };
}

/** How many bytes of the path stand before the part that was searched for. */
function pathBefore(file: BinaryFile, place: number): number {
  const length = Math.min(maxPathBytes, place);
  const before = file.read(place - length, length).toString('latin1');
  return /[\w./@+-]*$/.exec(before)?.[0].length ?? 0;
}
