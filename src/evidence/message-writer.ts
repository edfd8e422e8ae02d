// Writes protobuf messages field by field into one growing buffer, without objects in between: a recording encodes each
// event once, in a process so young that nothing of it is compiled yet, and on a CPU that its target may want. What
// the fields mean is event-encoder.ts; reading goes through protobufjs, which the tests hold this against.
// Wire format: https://protobuf.dev/programming-guides/encoding

const VARINT = 0;
const LENGTH = 2;
/** A tag of at most two bytes and the longest varint. */
const MAX_NUMBER_BYTES = 12;
/** In UTF-8, of one UTF-16 unit. */
const MAX_UNIT_BYTES = 3;

export class MessageWriter {
  /** What has been written is `buffer[0, at)`. Both may be changed between messages. */
  buffer: Buffer;
  at = 0;

  constructor(bytes = 256) {
    this.buffer = Buffer.allocUnsafe(bytes);
  }

  /** Writes a number below 2^32; 0 is what a reader takes for absent. */
  uint32(field: number, value: number): void {
    if (value !== 0) this.presentUint32(field, value);
  }

  /** The same of a field that tells 0 from absent. */
  presentUint32(field: number, value: number): void {
    this.#reserve(MAX_NUMBER_BYTES);
    this.#varint((field << 3) | VARINT);
    this.#varint(value);
  }

  /** Writes the low 64 bits of a number of at least 0. */
  uint64(field: number, value: bigint | number): void {
    if (typeof value === 'number' ? value !== 0 : value !== 0n) this.presentUint64(field, value);
  }

  presentUint64(field: number, value: bigint | number): void {
    this.#reserve(MAX_NUMBER_BYTES);
    this.#varint((field << 3) | VARINT);
    this.#varint64(value);
  }

  /** Writes text as UTF-8; the empty text is what a reader takes for absent. */
  text(field: number, value: string): void {
    if (value !== '') this.presentText(field, value);
  }

  /** The same of an element of a list, or of a field that tells the empty text from absent. */
  presentText(field: number, value: string): void {
    const start = this.begin(field);
    this.#reserve(value.length * MAX_UNIT_BYTES);
    this.at += this.buffer.write(value, this.at);
    this.end(start);
  }

  bytes(field: number, value: Uint8Array): void {
    if (value.length === 0) return;
    this.#reserve(MAX_NUMBER_BYTES + value.length);
    this.#varint((field << 3) | LENGTH);
    this.#varint(value.length);
    this.buffer.set(value, this.at);
    this.at += value.length;
  }

  /** Writes a packed list of numbers below 2^32. */
  uint32s(field: number, values: readonly number[]): void {
    if (values.length === 0) return;
    const start = this.begin(field);
    this.#reserve(values.length * MAX_NUMBER_BYTES);
    for (const value of values) this.#varint(value);
    this.end(start);
  }

  uint64s(field: number, values: readonly bigint[]): void {
    if (values.length === 0) return;
    const start = this.begin(field);
    this.#reserve(values.length * MAX_NUMBER_BYTES);
    for (const value of values) this.#varint64(value);
    this.end(start);
  }

  /** Begins a field with contents of any length; returns what `end` takes when they stand behind it. */
  begin(field: number): number {
    this.#reserve(MAX_NUMBER_BYTES);
    this.#varint((field << 3) | LENGTH);
    this.at++;
    return this.at;
  }

  end(start: number): void {
    const length = this.at - start;
    if (length < 0x80) {
      this.buffer[start - 1] = length;
      return;
    }
    // Its length takes more than the one byte that was left for it.
    let more = 1;
    for (let rest = length >>> 14; rest > 0; rest >>>= 7) more++;
    this.#reserve(more);
    this.buffer.copyWithin(start + more, start, this.at);
    const end = this.at + more;
    this.at = start - 1;
    this.#varint(length);
    this.at = end;
  }

  #varint(value: number): void {
    let rest = value;
    while (rest > 0x7f) {
      this.buffer[this.at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.buffer[this.at++] = rest;
  }

  #varint64(value: bigint | number): void {
    const isNumber = typeof value === 'number';
    let low = isNumber ? value >>> 0 : Number(BigInt.asUintN(32, value));
    let high = isNumber ? Math.floor(value / 2 ** 32) >>> 0 : Number(BigInt.asUintN(32, value >> 32n));
    while (high !== 0) {
      this.buffer[this.at++] = (low & 0x7f) | 0x80;
      low = ((low >>> 7) | (high << 25)) >>> 0;
      high >>>= 7;
    }
    this.#varint(low);
  }

  #reserve(bytes: number): void {
    const needed = this.at + bytes;
    if (needed <= this.buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, 2 * this.buffer.length));
    this.buffer.copy(larger, 0, 0, this.at);
    this.buffer = larger;
  }
}
