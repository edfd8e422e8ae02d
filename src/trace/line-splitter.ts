// Cuts a byte stream into lines without ever holding more than one line. Pure: the caller reads.

/** The line that was last handed out is valid until the next call; its newline is part of it. */
export type LineHandler = (line: Uint8Array, number: number, terminated: boolean) => void;

/** A line longer than the limit. */
export class LineTooLongError extends Error {
  constructor(
    readonly lineNumber: number,
    readonly limit: number,
  ) {
    super(`line ${lineNumber} is longer than ${limit} bytes`);
  }
}

const NEWLINE = 10;

export class LineSplitter {
  #carry = Buffer.alloc(0);
  #carried = 0;
  #number = 0;

  constructor(
    private readonly onLine: LineHandler,
    private readonly maxLineBytes: number,
  ) {}

  /** How many lines were handed out. */
  get lines(): number {
    return this.#number;
  }

  /** Hands out the lines that `chunk` completes. `chunk` may be reused afterwards. Throws LineTooLongError. */
  push(chunk: Uint8Array): void {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      const piece = chunk.subarray(start, end + 1);
      start = end + 1;
      if (this.#carried === 0) {
        this.#check(piece.length);
        this.onLine(piece, ++this.#number, true);
      } else {
        this.#keep(piece);
        const line = this.#carry.subarray(0, this.#carried);
        this.#carried = 0;
        this.onLine(line, ++this.#number, true);
      }
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start));
  }

  /** Hands out the bytes after the last newline, when there are any. */
  end(): void {
    if (this.#carried === 0) return;
    const line = this.#carry.subarray(0, this.#carried);
    this.#carried = 0;
    this.onLine(line, ++this.#number, false);
  }

  #keep(piece: Uint8Array): void {
    const length = this.#carried + piece.length;
    this.#check(length);
    if (length > this.#carry.length) {
      const grown = Buffer.alloc(Math.max(length, Math.min(2 * length, this.maxLineBytes)));
      this.#carry.copy(grown, 0, 0, this.#carried);
      this.#carry = grown;
    }
    this.#carry.set(piece, this.#carried);
    this.#carried = length;
  }

  #check(length: number): void {
    if (length > this.maxLineBytes) throw new LineTooLongError(this.#number + 1, this.maxLineBytes);
  }
}
