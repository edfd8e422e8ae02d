// Bytes that arrive in many pieces, collected in one piece of memory.

export class GrowingBuffer {
  #memory = Buffer.alloc(0);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** `maskFrom` is the position of the first byte under the mask. */
  append(bytes: Uint8Array, mask: Uint8Array | undefined, maskFrom: number): void {
    const end = this.#length + bytes.length;
    if (end > this.#memory.length) {
      const larger = Buffer.allocUnsafe(Math.max(end, 2 * this.#memory.length));
      this.#memory.copy(larger, 0, 0, this.#length);
      this.#memory = larger;
    }
    this.#memory.set(bytes, this.#length);
    if (mask !== undefined) unmask(this.#memory.subarray(this.#length, end), mask, maskFrom);
    this.#length = end;
  }

  /** What was collected; the buffer is empty afterwards. */
  take(): Buffer {
    const taken = this.#memory.subarray(0, this.#length);
    this.#memory = Buffer.alloc(0);
    this.#length = 0;
    return taken;
  }
}

function unmask(bytes: Uint8Array, mask: Uint8Array, from: number): void {
  const { length } = bytes;
  for (let at = 0; at < length; at += 1) {
    bytes[at] = (bytes[at] ?? 0) ^ (mask[(from + at) & 3] ?? 0);
  }
}
