// Stands on one of the records that were drained, and reads its fields by their places in `layout`. Through a DataView: a
// recording reads its events in a process so young that little of it is compiled, where Buffer's own readers take several
// times as long.

import { layout } from './record.js';

/** A drained buffer holds each record behind its length and four zero bytes, padded to a multiple of 8. */
const prefixBytes = 8;

export class RecordReader {
  readonly #buffer: Buffer;
  readonly #view: DataView;
  #start = 0;

  /** @param buffer one record, or what `forEach` reads them from */
  constructor(buffer: Buffer) {
    this.#buffer = buffer;
    this.#view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
  }

  /** Stands on each record in turn of the first `filled` bytes. */
  forEach(filled: number, visit: (record: this, length: number) => void): void {
    for (let position = 0; position < filled; ) {
      const length = this.#view.getUint32(position, true);
      this.#start = position + prefixBytes;
      visit(this, length);
      position += prefixBytes + ((length + 7) & ~7);
    }
  }

  /** One of RecordType. */
  get type(): number {
    return this.uint16(layout.type);
  }

  uint16(at: number): number {
    return this.#view.getUint16(this.#start + at, true);
  }

  uint32(at: number): number {
    return this.#view.getUint32(this.#start + at, true);
  }

  uint64(at: number): bigint {
    return this.#view.getBigUint64(this.#start + at, true);
  }

  int64(at: number): bigint {
    return this.#view.getBigInt64(this.#start + at, true);
  }

  /** An unsigned 64-bit integer; from 2^53 on the nearest number that there is. */
  number(at: number): number {
    return this.uint32(at + 4) * 2 ** 32 + this.uint32(at);
  }

  /** Valid until the buffer is filled again. */
  bytes(at: number, length: number): Buffer {
    const start = this.#start + at;
    return this.#buffer.subarray(start, start + length);
  }

  /** UTF-8, with replacement. */
  text(at: number, length: number): string {
    const start = this.#start + at;
    return this.#buffer.toString('utf8', start, start + length);
  }

  /** The text up to the first NUL, at most `length` bytes. */
  cString(at: number, length: number): string {
    let end = 0;
    while (end < length && this.#view.getUint8(this.#start + at + end) !== 0) end++;
    return this.text(at, end);
  }
}
