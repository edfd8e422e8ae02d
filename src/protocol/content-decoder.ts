// Undoes the content codings of a body as its bytes arrive (RFC 9110 section 8.4.1, RFC 8878, RFC 7932): what can be
// told of the bytes so far is told at once, so that a body that is cut gives what had come. Owns the limits against
// bodies that are made to grow without end.

import { BrotliDecompress, Gunzip, Inflate, InflateRaw } from 'minizlib';
import { ZstdStream } from './zstd-stream.js';

export const CODING_LIMITS = {
  /** Codings of one body, each applied on top of the one before. */
  codings: 4,
  /** Bytes of one body, after each of its codings is undone. */
  outputBytes: 1024 * 1024 * 1024,
  /** Times that a coding may make a body larger, once it gives more than `ratioFromBytes`. Text is up to a hundred times. */
  ratio: 400,
  ratioFromBytes: 16 * 1024 * 1024,
  /** Bodies that are decoded at the same time: each may need the window of its coding, up to 32 MiB. */
  open: 64,
} as const;

/** Encoded bytes that are decoded at a time, and the most that may come of them. */
const PIECE_BYTES = 1024;
const PIECE_OUTPUT_BYTES = 16 * 1024 * 1024;

type CodingProblem =
  /** Not a coding that is known here. */
  | 'unknown-coding'
  | 'malformed'
  | 'over-limit'
  /** Bytes are missing, and nothing after them can be decoded. */
  | 'gap'
  /** The body ends before its coding does. */
  | 'cut';

type Output = (bytes: Uint8Array) => void;

/** One coding being undone. */
interface Stage {
  /** @throws when the bytes are malformed; what they gave before that has been told */
  push(bytes: Uint8Array): void;
  /** @throws when the end of the coding is missing */
  finish(): void;
}

const STAGES: Readonly<Record<string, (output: Output) => Stage>> = {
  gzip: (output) => new ZlibStage(new Gunzip(options()), output),
  'x-gzip': (output) => new ZlibStage(new Gunzip(options()), output),
  deflate: (output) => new DeflateStage(output),
  br: (output) => new ZlibStage(new BrotliDecompress(options()), output),
  zstd: (output) => new ZstdStage(output),
};

type Limits = Record<keyof typeof CODING_LIMITS, number>;

/** The bodies that are being decoded. For one too many, the one that has waited longest is given up. */
export class ContentDecoders {
  readonly #limits: Limits;
  /** The one used last is the last. */
  readonly #open = new Set<ContentDecoder>();

  constructor(limits: Limits = CODING_LIMITS) {
    this.#limits = limits;
  }

  /** `output` and `codings` are those of ContentDecoder. */
  open(codings: readonly string[], output: Output): ContentDecoder {
    const decoder = new ContentDecoder(codings, output, this.#limits);
    if (codings.length > 0) this.used(decoder);
    return decoder;
  }

  closed(decoder: ContentDecoder): void {
    this.#open.delete(decoder);
  }

  used(decoder: ContentDecoder): void {
    this.#open.delete(decoder);
    if (decoder.problem !== undefined) return;
    this.#open.add(decoder);
    const [idle] = this.#open;
    if (idle === undefined || this.#open.size <= this.#limits.open) return;
    this.#open.delete(idle);
    idle.giveUp();
  }
}

export class ContentDecoder {
  readonly #limits: Limits;
  /** In the order in which they are undone. */
  #stages: Stage[] = [];
  #problem: CodingProblem | undefined;

  /**
   * @param codings as in the header field: in the order in which they were applied
   * @param output takes what is decoded; the view may be reused after the call
   */
  constructor(codings: readonly string[], output: Output, limits: Limits = CODING_LIMITS) {
    this.#limits = limits;
    let next = output;
    for (const coding of codings) {
      const begin = STAGES[coding];
      if (begin === undefined) this.#problem ??= 'unknown-coding';
      else if (this.#stages.length === limits.codings) this.#problem ??= 'over-limit';
      else {
        const stage = this.#limited(begin, next);
        this.#stages.unshift(stage);
        next = (bytes) => stage.push(bytes);
      }
    }
    if (codings.length === 0) this.#stages.push({ push: output, finish: () => {} });
  }

  /** Why not all of the body is told; undefined while all is well. */
  get problem(): CodingProblem | undefined {
    return this.#problem;
  }

  /** Others need the memory. */
  giveUp(): void {
    this.#problem ??= 'over-limit';
    this.#stages = [];
  }

  /** Takes the next bytes of the body as it was sent. */
  data(bytes: Uint8Array): void {
    this.#attempt((first) => first?.push(bytes), 'malformed');
  }

  /** Bytes are missing here. */
  gap(): void {
    this.#problem ??= 'gap';
  }

  /** The body is over. */
  finish(): void {
    for (const stage of this.#stages) this.#attempt(() => stage.finish(), 'cut');
  }

  #attempt(step: (first: Stage | undefined) => void, failure: CodingProblem): void {
    if (this.#problem !== undefined) return;
    try {
      step(this.#stages[0]);
    } catch (error) {
      const isTooLong = Object(error).code === 'ERR_BUFFER_TOO_LARGE';
      this.#problem ??= isTooLong ? 'over-limit' : failure;
    }
  }

  /** A stage that ends with a problem when it gives too much. */
  #limited(begin: (output: Output) => Stage, output: Output): Stage {
    let taken = 0;
    let given = 0;
    const stage = begin((bytes) => {
      given += bytes.length;
      const { outputBytes, ratio, ratioFromBytes } = this.#limits;
      if (given > outputBytes || (given > ratioFromBytes && given > ratio * taken)) {
        this.#problem ??= 'over-limit';
        throw new RangeError('the body grows beyond the limit');
      }
      output(bytes);
    });
    return {
      push: (bytes) => {
        for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
          const piece = bytes.subarray(at, at + PIECE_BYTES);
          taken += piece.length;
          stage.push(piece);
        }
      },
      finish: () => stage.finish(),
    };
  }
}

/** A new object each time: minizlib writes into it. */
const options = () => ({ flush: 0, maxOutputLength: PIECE_OUTPUT_BYTES });

class ZlibStage implements Stage {
  readonly #stream: Gunzip | BrotliDecompress;
  #error: unknown;
  #isEmpty = true;

  constructor(stream: Gunzip | BrotliDecompress, output: Output) {
    this.#stream = stream;
    stream.on('data', output);
    stream.on('error', (error) => {
      this.#error ??= error;
    });
  }

  push(bytes: Uint8Array): void {
    this.#isEmpty = false;
    this.#stream.write(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
    this.#check();
  }

  finish(): void {
    // No bytes at all are an empty body, whatever its coding.
    if (!this.#isEmpty) this.#stream.end();
    this.#check();
    this.#stream.close();
  }

  #check(): void {
    if (this.#error !== undefined) throw this.#error;
  }
}

/** What is called deflate is the zlib format, but some servers send deflate itself. */
class DeflateStage implements Stage {
  readonly #output: Output;
  #first: number | undefined;
  #stage: Stage | undefined;

  constructor(output: Output) {
    this.#output = output;
  }

  push(bytes: Uint8Array): void {
    let at = 0;
    if (this.#stage === undefined && this.#first === undefined) {
      this.#first = bytes[0];
      at = 1;
    }
    const first = this.#first ?? 0;
    const second = bytes[at];
    if (second === undefined) return;
    if (this.#stage === undefined) {
      const isZlib = (first & 0x0f) === ZLIB_DEFLATE && (first * 0x100 + second) % 31 === 0;
      this.#stage = new ZlibStage(isZlib ? new Inflate(options()) : new InflateRaw(options()), this.#output);
      this.#stage.push(Uint8Array.of(first));
    }
    this.#stage.push(at === 0 ? bytes : bytes.subarray(at));
  }

  finish(): void {
    if (this.#first !== undefined && this.#stage === undefined) throw new RangeError('one byte is no stream');
    this.#stage?.finish();
  }
}

/** The method in the first byte of a zlib header (RFC 1950). */
const ZLIB_DEFLATE = 8;

class ZstdStage implements Stage {
  readonly #stream: ZstdStream;
  #isEmpty = true;

  constructor(output: Output) {
    this.#stream = new ZstdStream(output);
  }

  push(bytes: Uint8Array): void {
    this.#isEmpty = false;
    if (!this.#stream.push(bytes)) throw new RangeError(this.#stream.problem);
  }

  finish(): void {
    if (!this.#isEmpty) this.push(new Uint8Array());
  }
}
