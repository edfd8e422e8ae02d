// One direction of a connection as a sequence of bytes and gaps. Owns the arithmetic of offsets, so that no
// decoder above ever sees bytes shifted by a loss. It knows nothing of what the bytes mean.

/** Takes a direction's bytes in order. `data` may be a view that is reused after the call. */
export interface ByteSink {
  data(bytes: Uint8Array): void;
  /** `length` bytes that crossed the connection here are not known; infinite when not even their number is. */
  gap(length: number): void;
}

/** Puts pieces with stream offsets into order: what lies ahead of the expected offset becomes a gap. */
export class ByteStream {
  readonly #sink: ByteSink;
  #next = 0;
  #gaps = 0;
  #gapBytes = 0;
  #repeatedBytes = 0;

  constructor(sink: ByteSink) {
    this.#sink = sink;
  }

  /** Gaps so far and the bytes in them. */
  get gaps(): number {
    return this.#gaps;
  }

  get gapBytes(): number {
    return this.#gapBytes;
  }

  /** Bytes that came again at an offset already passed; they are dropped. */
  get repeatedBytes(): number {
    return this.#repeatedBytes;
  }

  push(offset: number, bytes: Uint8Array): void {
    const repeated = this.#advanceTo(offset, bytes.length);
    if (repeated === bytes.length) return;
    this.#next += bytes.length - repeated;
    this.#sink.data(repeated === 0 ? bytes : bytes.subarray(repeated));
  }

  /** `length` bytes from `offset` on crossed the connection and were not recorded. */
  missing(offset: number, length: number): void {
    const repeated = this.#advanceTo(offset, length);
    this.#gap(length - repeated);
  }

  /** Reports the gap before `offset`, or returns how many of the next `length` bytes are already known. */
  #advanceTo(offset: number, length: number): number {
    if (offset > this.#next) this.#gap(offset - this.#next);
    const repeated = Math.min(this.#next - offset, length);
    this.#repeatedBytes += repeated;
    return repeated;
  }

  #gap(length: number): void {
    if (length === 0) return;
    this.#next += length;
    this.#gaps += 1;
    this.#gapBytes += length;
    this.#sink.gap(length);
  }
}
