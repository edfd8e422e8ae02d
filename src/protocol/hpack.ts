// Header fields from the header blocks of one direction of an HTTP/2 connection (RFC 7541). Owns the dynamic table, also
// one whose beginning was not seen: entries are counted from the newest, so that what was added since can be read.

import type { HeaderFields } from './http1-head.js';
import { huffmanDecode } from './huffman.js';

export const HPACK_LIMITS = {
  /** Bytes of the fields of one block, 32 more for each, as RFC 7541 section 4.1 counts them. Fields beyond are left out. */
  listBytes: 256 * 1024,
  /** Bytes of the dynamic table, counted likewise. What a sender keeps beyond is not known here. */
  tableBytes: 64 * 1024,
} as const;

export interface HeaderBlock {
  /** Names as they are on the wire: in lower case, pseudo-header fields with their colon. */
  fields: HeaderFields;
  /** Fields of which the name or all is not known: they stand in the part of the table that was not seen. */
  unknownFields: number;
  /** Fields that were left out because of the limit. */
  overLimit: number;
}

/** Each character stands for a byte, so that lengths are those that the sender counts. */
type Entry = readonly [name: string | undefined, value: string];

const ENTRY_OVERHEAD = 32;
const DEFAULT_TABLE_BYTES = 4096;
/** Larger than any limit, and far from what a number cannot hold. */
const MAX_INTEGER = 2 ** 28;

export class HpackDecoder {
  readonly #limits: Record<keyof typeof HPACK_LIMITS, number>;
  /** Oldest first. */
  #entries: Entry[] = [];
  #bytes = 0;
  #maxBytes = DEFAULT_TABLE_BYTES;
  /** All that the sender's table holds is here. */
  #isWhole: boolean;

  /** @param from whether the blocks are seen from the first one of the connection on */
  constructor(
    from: 'beginning' | 'middle',
    limits: Record<keyof typeof HPACK_LIMITS, number> = HPACK_LIMITS,
  ) {
    this.#limits = limits;
    this.#isWhole = from === 'beginning';
    if (!this.#isWhole) this.#maxBytes = limits.tableBytes;
  }

  /** A block was missed: what is in the table is not known any more. */
  lost(): void {
    this.#entries = [];
    this.#bytes = 0;
    this.#maxBytes = this.#limits.tableBytes;
    this.#isWhole = false;
  }

  /** One whole header block; undefined when it is malformed. */
  decode(block: Uint8Array): HeaderBlock | undefined {
    const decoded = this.#decode(new BlockReader(block));
    if (decoded === undefined) this.lost();
    return decoded;
  }

  #decode(reader: BlockReader): HeaderBlock | undefined {
    const fields: [string, string][] = [];
    let unknownFields = 0;
    let overLimit = 0;
    let listBytes = 0;
    while (!reader.isAtEnd) {
      const first = reader.peek();
      if (first >= 0x20 && first < 0x40) {
        if (!this.#resize(reader.integer(5))) return undefined;
        continue;
      }
      const entry = first >= 0x80 ? this.#at(reader.integer(7)) : this.#literal(reader, first);
      if (entry === 'malformed') return undefined;
      const [name, value] = entry;
      listBytes += sizeOf(entry);
      if (name === undefined) unknownFields += 1;
      else if (listBytes > this.#limits.listBytes) overLimit += 1;
      else fields.push([readable(name), readable(value)]);
    }
    return { fields, unknownFields, overLimit };
  }

  #literal(reader: BlockReader, first: number): Entry | 'malformed' {
    const isAdded = first >= 0x40;
    const index = reader.integer(isAdded ? 6 : 4);
    const named = index === 0 ? ([reader.text(), ''] as const) : this.#at(index);
    const value = reader.text();
    if (named === 'malformed' || value === undefined || (index === 0 && named[0] === undefined)) {
      return 'malformed';
    }
    const entry: Entry = [named[0], value];
    if (isAdded) this.#add(entry);
    return entry;
  }

  #at(index: number | undefined): Entry | 'malformed' {
    if (index === undefined || index === 0) return 'malformed';
    const fixed = STATIC_TABLE[index - 1];
    if (fixed !== undefined) return fixed;
    const entry = this.#entries.at(STATIC_TABLE.length - index);
    return entry ?? (this.#isWhole ? 'malformed' : [undefined, '']);
  }

  #add(entry: Entry): void {
    this.#entries.push(entry);
    this.#bytes += sizeOf(entry);
    this.#evict();
  }

  #resize(bytes: number | undefined): boolean {
    if (bytes === undefined) return false;
    if (bytes > this.#limits.tableBytes) this.#isWhole = false;
    this.#maxBytes = Math.min(bytes, this.#limits.tableBytes);
    this.#evict();
    return true;
  }

  #evict(): void {
    let evicted = 0;
    while (this.#bytes > this.#maxBytes) {
      const oldest = this.#entries[evicted];
      if (oldest === undefined) break;
      this.#bytes -= sizeOf(oldest);
      evicted += 1;
    }
    if (evicted > 0) this.#entries.splice(0, evicted);
  }
}

function sizeOf([name, value]: Entry): number {
  return (name?.length ?? 0) + value.length + ENTRY_OVERHEAD;
}

function readable(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

/** Primitive types of RFC 7541 section 5; undefined where the block ends too early or a value is out of bounds. */
class BlockReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  peek(): number {
    return this.#bytes[this.#at] ?? 0;
  }

  /** The bits above the `prefixBits` of the first byte belong to something else. */
  integer(prefixBits: number): number | undefined {
    const first = this.#bytes[this.#at];
    if (first === undefined) return undefined;
    this.#at += 1;
    const mask = 2 ** prefixBits - 1;
    let value = first & mask;
    if (value < mask) return value;
    for (let scale = 1; value < MAX_INTEGER && scale < MAX_INTEGER; scale *= 128) {
      const byte = this.#bytes[this.#at];
      if (byte === undefined) return undefined;
      this.#at += 1;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value < MAX_INTEGER ? value : undefined;
    }
    return undefined;
  }

  text(): string | undefined {
    const isCoded = this.peek() >= 0x80;
    const length = this.integer(7);
    if (length === undefined || this.#at + length > this.#bytes.length) return undefined;
    const bytes = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    const plain = isCoded ? huffmanDecode(bytes) : Buffer.from(bytes.buffer, bytes.byteOffset, length);
    return plain?.toString('latin1');
  }
}

/** RFC 7541 appendix A, from index 1 on. */
const STATIC_TABLE: readonly Entry[] = [
  [':authority', ''],
  [':method', 'GET'],
  [':method', 'POST'],
  [':path', '/'],
  [':path', '/index.html'],
  [':scheme', 'http'],
  [':scheme', 'https'],
  ...['200', '204', '206', '304', '400', '404', '500'].map((status): Entry => [':status', status]),
  ['accept-charset', ''],
  ['accept-encoding', 'gzip, deflate'],
  ...(
    'accept-language accept-ranges accept access-control-allow-origin age allow authorization cache-control ' +
    'content-disposition content-encoding content-language content-length content-location content-range ' +
    'content-type cookie date etag expect expires from host if-match if-modified-since if-none-match if-range ' +
    'if-unmodified-since last-modified link location max-forwards proxy-authenticate proxy-authorization range ' +
    'referer refresh retry-after server set-cookie strict-transport-security transfer-encoding user-agent vary ' +
    'via www-authenticate'
  )
    .split(' ')
    .map((name): Entry => [name, '']),
];
