// Cuts JSONL files into lines of bytes. Owns line borders, positions and the limit on a line's length; the
// text of a line is the caller's. It works on bytes because U+2028 and its kin are no line ends in JSONL.

/** Longest line that is kept. Longer ones are reported and left out. */
export const MAX_LINE_BYTES = 64 * 1024 * 1024;

export interface Line {
  /** Counted from 1. */
  number: number;
  /** Byte position of the line in the file. */
  place: number;
  /** The line without its newline; undefined when it was longer than the limit. */
  bytes: Buffer | undefined;
  /** False for a last line that no newline ends. */
  ended: boolean;
}

const NEWLINE = 10;
const BYTE_ORDER_MARK = Buffer.from('\ufeff');

/** Push-style: one splitter reads one file, in chunks of any size. Empty lines are counted and left out. */
export class LineSplitter {
  readonly #limit: number;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #number = 1;
  #place = 0;

  constructor(limit = MAX_LINE_BYTES) {
    this.#limit = limit;
  }

  /** The lines that are complete with `chunk`. They hold until the memory of `chunk` is reused. */
  push(chunk: Uint8Array): Line[] {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    const lines: Line[] = [];
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
      this.#take(lines, bytes.subarray(start, end), true);
      start = end + 1;
    }
    this.#hold(bytes.subarray(start));
    return lines;
  }

  /** The last line when no newline ends it. */
  end(): Line | undefined {
    const lines: Line[] = [];
    if (this.#heldBytes > 0) this.#take(lines, Buffer.alloc(0), false);
    return lines[0];
  }

  #hold(rest: Buffer): void {
    if (rest.length === 0) return;
    // Beyond the limit only the length is kept. The copy is needed: the caller may reuse its chunk.
    if (this.#heldBytes + rest.length <= this.#limit) this.#held.push(Buffer.from(rest));
    this.#heldBytes += rest.length;
  }

  #take(lines: Line[], rest: Buffer, ended: boolean): void {
    const length = this.#heldBytes + rest.length;
    const { number, place } = { number: this.#number, place: this.#place };
    const held = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    this.#number++;
    this.#place += length + 1;
    if (length > this.#limit) {
      lines.push({ number, place, bytes: undefined, ended });
      return;
    }
    const whole = held.length === 0 ? rest : Buffer.concat([...held, rest]);
    const hasMark = place === 0 && whole.subarray(0, BYTE_ORDER_MARK.length).equals(BYTE_ORDER_MARK);
    const bytes = hasMark ? whole.subarray(BYTE_ORDER_MARK.length) : whole;
    if (bytes.length > 0 && !(bytes.length === 1 && bytes[0] === 13))
      lines.push({ number, place, bytes, ended });
  }
}
