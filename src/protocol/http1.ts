// HTTP/1.1 messages of one direction of a connection, decoded incrementally (RFC 9112). Owns the position in
// the byte stream and what a loss of bytes does to it: a gap inside a body of known length makes that message
// incomplete; a gap anywhere else loses the framing until a piece begins with a start line.
// It does not pair requests with responses and does not undo content codings.

import {
  type Framing,
  type HeaderFields,
  mayBecomeRequestLine,
  mayBecomeStatusLine,
  parseFields,
  parseRequestLine,
  parseStatusLine,
  type RequestHead,
  type ResponseHead,
  requestFraming,
  responseFraming,
} from './http1-head.js';

export const HTTP1_LIMITS = {
  /** Bytes of a head or trailer section, all lines together. */
  headBytes: 256 * 1024,
  /** Lines of a head or trailer section. */
  headLines: 1000,
  /** Bytes of a chunk-size line with its extensions. */
  chunkLineBytes: 4 * 1024,
} as const;

export interface MessageEnd {
  /**
   * `whole` with every byte known; `damaged` when some are missing or malformed; `cut` when the connection ended first;
   * `aborted` when the sender gave it up, `unsure` when the sender or the receiver did.
   */
  how: 'whole' | 'damaged' | 'cut' | 'aborted' | 'unsure';
  /** Bytes of the body that fell into gaps, as far as the framing tells. */
  missingBytes: number;
  /** Fields after a chunked body. */
  trailers: HeaderFields;
}

/**
 * How a connection ended: its sender said so, its sender was gone before, or nobody knows, or nobody cares any more. Under
 * TLS the sender may have been the first to go only because the receiver had asked for it (`unsure`).
 */
export type Close = 'seen' | 'broken' | 'unsure' | 'unseen';

/** What becomes of a message that is open when its connection ends so. */
export const OPEN_MESSAGE: Readonly<Record<Close, MessageEnd['how']>> = {
  seen: 'aborted',
  broken: 'aborted',
  unsure: 'unsure',
  unseen: 'cut',
};

export interface Http1Handler<Head> {
  head(head: Head): void;
  /** Bytes of the body of the message begun last. The view is reused: copy to keep. */
  body(bytes: Uint8Array): void;
  bodyGap(length: number): void;
  end(end: MessageEnd): void;
  /** Not HTTP/1.1, or no longer in step with it. Bytes are dropped until a start line is found. */
  lost(reason: LossReason): void;
  /** The connection speaks another protocol from here on; nothing more is decoded. `rest` is what came with the head. */
  upgraded(rest: Uint8Array): void;
  /** The connection is a tunnel from here on: what is in it is decoded too, when it is HTTP/1.1. */
  tunnelled(): void;
}

export type LossReason = 'gap' | 'malformed' | 'over-limit';

/** What sets the two roles apart. */
interface Role<Head> {
  parseHead(startLine: string, fields: readonly string[]): Head | undefined;
  /** Whether a start line can begin so. */
  mayBegin(part: string): boolean;
  framing(head: Head): Framing;
}

/** Decodes the requests that a client sends. */
export function requestDecoder(handler: Http1Handler<RequestHead>): Http1Decoder<RequestHead> {
  return new Http1Decoder(handler, {
    parseHead(startLine, fields) {
      const line = parseRequestLine(startLine);
      const headers = parseFields(fields);
      return line === undefined || headers === undefined ? undefined : { ...line, headers };
    },
    mayBegin: mayBecomeRequestLine,
    framing: requestFraming,
  });
}

/** Decodes responses. `requestMethod` is asked at each head, also an interim one, for the method of the request it answers. */
export function responseDecoder(
  handler: Http1Handler<ResponseHead>,
  requestMethod: (head: ResponseHead) => string | undefined,
): Http1Decoder<ResponseHead> {
  return new Http1Decoder(handler, {
    parseHead(startLine, fields) {
      const line = parseStatusLine(startLine);
      const headers = parseFields(fields);
      return line === undefined || headers === undefined ? undefined : { ...line, headers };
    },
    mayBegin: mayBecomeStatusLine,
    framing: (head) => responseFraming(head, requestMethod(head)),
  });
}

type State =
  | 'head'
  | 'fixed-body'
  | 'chunk-size'
  | 'chunk-data'
  | 'chunk-end'
  | 'trailers'
  | 'open-body'
  | 'lost'
  | 'tunnel'
  | 'upgraded';

const BETWEEN_MESSAGES: ReadonlySet<State> = new Set(['head', 'lost', 'tunnel', 'upgraded']);
const LF = 10;
const TLS_HANDSHAKE = 22;
/** A start line that is longer than this before it ends is examined when it has ended. */
const TRIED_BYTES = 256;
const CHUNK_SIZE = /^([0-9A-Fa-f]{1,13})[ \t]*(?:;.*)?$/;

export class Http1Decoder<Head> {
  readonly #handler: Http1Handler<Head>;
  readonly #role: Role<Head>;
  #state: State = 'head';
  /** The line being collected, and the finished lines of the head or trailers being collected. */
  #line: Buffer[] = [];
  #lineBytes = 0;
  #lines: string[] = [];
  #sectionBytes = 0;
  /** Bytes left of a fixed body or of the current chunk. */
  #left = 0;
  #missing = 0;

  constructor(handler: Http1Handler<Head>, role: Role<Head>) {
    this.#handler = handler;
    this.#role = role;
  }

  /** Takes the next bytes. Nothing is held back that can already be decoded. */
  data(bytes: Uint8Array): void {
    if (this.#state === 'lost' && this.#startsHere(bytes)) this.#state = 'head';
    let at = 0;
    while (at < bytes.length) {
      switch (this.#state) {
        case 'fixed-body':
        case 'chunk-data':
          at = this.#sizedBody(bytes, at);
          break;
        case 'open-body':
          this.#handler.body(at === 0 ? bytes : bytes.subarray(at));
          return;
        case 'tunnel':
          // TLS in it is seen where it is made.
          this.#state = bytes[at] === TLS_HANDSHAKE ? 'upgraded' : 'head';
          break;
        case 'lost':
        case 'upgraded':
          return;
        default:
          at = this.#collectLine(bytes, at);
          if (this.#isUpgraded()) this.#handler.upgraded(bytes.subarray(at));
      }
    }
  }

  /** `length` may be infinite: then nothing tells where the message goes on. */
  gap(length: number): void {
    switch (this.#state) {
      case 'open-body':
        this.#bodyGap(length);
        return;
      case 'fixed-body':
        this.#bodyGap(Math.min(length, this.#left));
        if (length > this.#left) {
          this.#end('whole');
          this.#lose('gap');
        } else {
          this.#left -= length;
          if (this.#left === 0) this.#end('whole');
        }
        return;
      case 'chunk-data':
        if (length < this.#left) {
          this.#bodyGap(length);
          this.#left -= length;
          return;
        }
        this.#bodyGap(this.#left);
        this.#lose('gap');
        return;
      case 'lost':
      case 'upgraded':
        return;
      default:
        this.#lose('gap');
    }
  }

  /**
   * The connection is over, and with it the message that is still open: one whose body goes on until the close is whole
   * when the close was `seen`. Harmless when called twice.
   */
  finish(close: Close = 'unseen'): void {
    const isWhole = close === 'seen' && this.#state === 'open-body';
    if (this.#inMessage()) this.#end(isWhole ? 'whole' : OPEN_MESSAGE[close]);
    this.#state = 'upgraded';
  }

  /** Whether there is the beginning of a start line, and not its end. */
  get isInStartLine(): boolean {
    return this.#state === 'head' && this.#lines.length === 0 && this.#lineBytes > 0;
  }

  /** Another protocol has taken over, as the other direction has seen. */
  upgrade(): void {
    this.#state = 'upgraded';
  }

  /** The server has made the connection a tunnel. */
  tunnel(): void {
    this.#state = 'tunnel';
  }

  #sizedBody(bytes: Uint8Array, at: number): number {
    const end = Math.min(bytes.length, at + this.#left);
    this.#left -= end - at;
    this.#handler.body(bytes.subarray(at, end));
    if (this.#left === 0) {
      if (this.#state === 'chunk-data') this.#state = 'chunk-end';
      else this.#end('whole');
    }
    return end;
  }

  #collectLine(bytes: Uint8Array, at: number): number {
    const found = bytes.indexOf(LF, at);
    const end = found === -1 ? bytes.length : found + 1;
    const isBeginning = this.#state === 'head' && this.#lines.length === 0 && this.#lineBytes < TRIED_BYTES;
    this.#lineBytes += end - at;
    this.#sectionBytes += end - at;
    const limit = this.#state === 'chunk-size' ? HTTP1_LIMITS.chunkLineBytes : HTTP1_LIMITS.headBytes;
    if (this.#sectionBytes > limit || this.#lines.length > HTTP1_LIMITS.headLines) {
      this.#lose('over-limit');
      return end;
    }
    this.#line.push(Buffer.from(bytes.subarray(at, end)));
    if (found !== -1) this.#takeLine();
    else if (isBeginning && !this.#mayBegin()) this.#lose('malformed');
    return end;
  }

  /** Asked before the line has ended: another protocol may have no lines, and would end without a word. */
  #mayBegin(): boolean {
    const part = Buffer.concat(this.#line, this.#lineBytes).toString('latin1');
    return part === '\r' || this.#role.mayBegin(part);
  }

  #takeLine(): void {
    const line = Buffer.concat(this.#line, this.#lineBytes)
      .toString('utf8')
      .replace(/\r?\n$/, '');
    this.#line = [];
    this.#lineBytes = 0;
    switch (this.#state) {
      case 'head':
        if (line !== '') this.#takeHeadLine(line);
        else if (this.#lines.length > 0) this.#takeHead();
        else this.#sectionBytes = 0;
        return;
      case 'chunk-size':
        this.#takeChunkSize(line);
        return;
      case 'chunk-end':
        this.#sectionBytes = 0;
        if (line === '') this.#state = 'chunk-size';
        else this.#lose('malformed');
        return;
      default:
        if (line !== '') this.#lines.push(line);
        else this.#takeTrailers();
    }
  }

  #takeHeadLine(line: string): void {
    if (this.#lines.length === 0 && this.#role.parseHead(line, []) === undefined) this.#lose('malformed');
    else this.#lines.push(line);
  }

  #takeHead(): void {
    const [startLine = '', ...fields] = this.#takeSection();
    const head = this.#role.parseHead(startLine, fields);
    const framing: Framing = head === undefined ? { kind: 'invalid' } : this.#role.framing(head);
    if (head === undefined || framing.kind === 'invalid') {
      this.#lose('malformed');
      return;
    }
    if (framing.kind === 'interim') return;
    this.#missing = 0;
    this.#handler.head(head);
    switch (framing.kind) {
      case 'none':
        this.#end('whole');
        return;
      case 'length':
        this.#left = framing.bytes;
        this.#state = 'fixed-body';
        if (framing.bytes === 0) this.#end('whole');
        return;
      case 'chunked':
        this.#state = 'chunk-size';
        return;
      case 'until-close':
        this.#state = 'open-body';
        return;
      case 'upgrade':
        this.#end('whole');
        this.#state = 'upgraded';
        return;
      case 'tunnel':
        this.#end('whole');
        this.#state = 'tunnel';
        this.#handler.tunnelled();
    }
  }

  #takeChunkSize(line: string): void {
    this.#sectionBytes = 0;
    const [, digits] = CHUNK_SIZE.exec(line) ?? [];
    if (digits === undefined) {
      this.#lose('malformed');
      return;
    }
    this.#left = Number.parseInt(digits, 16);
    this.#state = this.#left === 0 ? 'trailers' : 'chunk-data';
  }

  #takeTrailers(): void {
    this.#end('whole', parseFields(this.#takeSection()));
  }

  #takeSection(): string[] {
    const lines = this.#lines;
    this.#lines = [];
    this.#sectionBytes = 0;
    return lines;
  }

  #bodyGap(length: number): void {
    if (length === 0) return;
    this.#missing += length;
    this.#handler.bodyGap(length);
  }

  #end(how: MessageEnd['how'], trailers: HeaderFields = []): void {
    this.#state = 'head';
    const known = this.#missing === 0;
    this.#handler.end({ how: known ? how : 'damaged', missingBytes: this.#missing, trailers });
  }

  #lose(reason: LossReason): void {
    if (this.#inMessage()) this.#end('damaged');
    this.#line = [];
    this.#lineBytes = 0;
    this.#takeSection();
    this.#state = 'lost';
    this.#handler.lost(reason);
  }

  #isUpgraded(): boolean {
    return this.#state === 'upgraded';
  }

  #inMessage(): boolean {
    return !BETWEEN_MESSAGES.has(this.#state);
  }

  /** Only the start of a piece counts: a start line further in could be text inside a body. */
  #startsHere(bytes: Uint8Array): boolean {
    const line = firstLine(bytes);
    return line !== undefined && this.#role.parseHead(line, []) !== undefined;
  }
}

export function startsWithRequest(bytes: Uint8Array): boolean {
  return parseRequestLine(firstLine(bytes) ?? '') !== undefined;
}

export function startsWithResponse(bytes: Uint8Array): boolean {
  return parseStatusLine(firstLine(bytes) ?? '') !== undefined;
}

function firstLine(bytes: Uint8Array): string | undefined {
  const found = bytes.subarray(0, HTTP1_LIMITS.headBytes).indexOf(LF);
  if (found === -1) return undefined;
  return Buffer.from(bytes.subarray(0, found)).toString('utf8').replace(/\r$/, '');
}
