// HTTP/2 messages of one direction of a connection, decoded incrementally (RFC 9113). Owns frames, padding, header
// blocks, the streams that are open, and what a loss of bytes does to them: a gap inside the data of a stream damages
// that stream's message; any other one damages all that are open and loses the framing until a piece begins with frames.
// Flow control, priorities and settings do not matter to who only reads; what a server pushes is counted.

import type { ByteSink } from './byte-stream.js';
import { GrowingBuffer } from './growing-buffer.js';
import { type HeaderBlock, HpackDecoder } from './hpack.js';
import { type Close, type LossReason, type MessageEnd, OPEN_MESSAGE } from './http1.js';
import { field, type HeaderFields, type RequestHead, type ResponseHead } from './http1-head.js';
import {
  FLAG,
  FRAME,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  isValidFrame,
  PREFACE,
  readFrameHeader,
  startsWithFrames,
} from './http2-frame.js';

export const HTTP2_LIMITS = {
  /** Bytes that a frame may claim; more is taken for lost framing. The protocol ends at 16 MiB. */
  frameBytes: 1024 * 1024,
  /** Bytes of a header block on the wire, with those of its continuations. After a longer one the table is not known. */
  headerBlockBytes: 256 * 1024,
  /** Streams open at once, of which servers allow some hundred. The oldest is given up for a new one. */
  streams: 1000,
} as const;

/** What could not be told of a connection whose framing is intact. */
export type Http2Flaw =
  /** Fields of a head that stand in the part of the compression table that was not seen. */
  | 'unknown-field'
  /** A message without its head, or with one that is none. */
  | 'no-head'
  | 'malformed-headers'
  | 'over-limit'
  /** A push that was promised. */
  | 'push';

export interface Http2Handler<Head> {
  head(stream: number, head: Head): void;
  /** The view is reused: copy to keep. */
  body(stream: number, bytes: Uint8Array): void;
  bodyGap(stream: number, length: number): void;
  end(stream: number, end: MessageEnd): void;
  /** The sender wants nothing more of the stream, in either direction. Comes after the end of its own message. */
  reset(stream: number, code: number): void;
  flaw(what: Http2Flaw, count: number): void;
  /** Not HTTP/2, or no longer in step with it. */
  lost(reason: LossReason): void;
}

type HeadParser<Head> = (block: HeaderBlock) => Head | 'interim' | undefined;

/** Decodes the requests that a client sends. Seen from the beginning, they start with the preface. */
export function http2RequestDecoder(
  handler: Http2Handler<RequestHead>,
  from: 'beginning' | 'middle',
): Http2Decoder<RequestHead> {
  return new Http2Decoder(handler, requestHead, from, from === 'beginning' ? PREFACE.length : 0);
}

export function http2ResponseDecoder(
  handler: Http2Handler<ResponseHead>,
  from: 'beginning' | 'middle',
): Http2Decoder<ResponseHead> {
  return new Http2Decoder(handler, responseHead, from, 0);
}

/** A message that is being received. */
interface Message {
  hasHead: boolean;
  missing: number;
}

interface Block {
  stream: number;
  /** The frame that began it ends its message. */
  endStream: boolean;
  isPush: boolean;
  isOverLimit: boolean;
}

/** Bytes of other frames that matter: an error code behind the last stream. */
const CONTROL_BYTES = 8;

export class Http2Decoder<Head> implements ByteSink {
  readonly #handler: Http2Handler<Head>;
  readonly #parseHead: HeadParser<Head>;
  readonly #limits: Record<keyof typeof HTTP2_LIMITS, number>;
  readonly #hpack: HpackDecoder;
  readonly #messages = new Map<number, Message>();
  #state: 'preface' | 'header' | 'payload' | 'lost' | 'over' = 'header';
  /** Bytes left of the preface. */
  #preface: number;
  readonly #header = Buffer.alloc(FRAME_HEADER_BYTES);
  #headerBytes = 0;
  #frame: FrameHeader = { length: 0, type: FRAME.ping, flags: 0, stream: 0 };
  /** Bytes left of the frame, padding included, and bytes of padding; the latter undefined until it is known. */
  #left = 0;
  #padding: number | undefined = 0;
  /** A header block that is not whole yet. */
  #block: Block | undefined;
  readonly #blockBytes = new GrowingBuffer();
  readonly #control = new GrowingBuffer();

  constructor(
    handler: Http2Handler<Head>,
    parseHead: HeadParser<Head>,
    from: 'beginning' | 'middle',
    prefaceBytes: number,
    limits: Record<keyof typeof HTTP2_LIMITS, number> = HTTP2_LIMITS,
  ) {
    this.#handler = handler;
    this.#parseHead = parseHead;
    this.#limits = limits;
    this.#hpack = new HpackDecoder(from);
    this.#preface = prefaceBytes;
    if (prefaceBytes > 0) this.#state = 'preface';
  }

  /** No frame is begun: another protocol may start with the next byte, if the connection was replaced. */
  get isBetweenFrames(): boolean {
    return this.#state !== 'payload' && this.#headerBytes === 0;
  }

  data(bytes: Uint8Array): void {
    if (this.#state === 'lost' && startsWithFrames(bytes)) this.#state = 'header';
    let at = 0;
    while (at < bytes.length) {
      switch (this.#state) {
        case 'preface':
          at = this.#skipPreface(bytes, at);
          break;
        case 'header':
          at = this.#collectHeader(bytes, at);
          break;
        case 'payload':
          at = this.#payload(bytes, at);
          break;
        default:
          return;
      }
    }
  }

  /** `length` may be infinite. */
  gap(length: number): void {
    if (this.#state === 'lost' || this.#state === 'over') return;
    const { type, stream } = this.#frame;
    const isInData = this.#state === 'payload' && type === FRAME.data && this.#padding === 0;
    if (!isInData || length > this.#left) {
      this.#lose('gap');
      return;
    }
    this.#bodyGap(stream, length);
    this.#left -= length;
    if (this.#left === 0) this.#endFrame();
  }

  /** The connection is over, and with it the messages that are still open. */
  finish(close: Close = 'unseen'): void {
    for (const stream of [...this.#messages.keys()]) this.#end(stream, OPEN_MESSAGE[close]);
    this.#state = 'over';
  }

  #skipPreface(bytes: Uint8Array, at: number): number {
    const taken = Math.min(this.#preface, bytes.length - at);
    this.#preface -= taken;
    if (this.#preface === 0) this.#state = 'header';
    return at + taken;
  }

  #collectHeader(bytes: Uint8Array, at: number): number {
    const taken = Math.min(FRAME_HEADER_BYTES - this.#headerBytes, bytes.length - at);
    this.#header.set(bytes.subarray(at, at + taken), this.#headerBytes);
    this.#headerBytes += taken;
    if (this.#headerBytes === FRAME_HEADER_BYTES) {
      this.#headerBytes = 0;
      const frame = readFrameHeader(this.#header);
      if (frame !== undefined) this.#begin(frame);
    }
    return at + taken;
  }

  #begin(frame: FrameHeader): void {
    const isContinuation = frame.type === FRAME.continuation;
    const fits = isContinuation ? this.#block?.stream === frame.stream : this.#block === undefined;
    if (!fits || !isValidFrame(frame)) {
      this.#lose('malformed');
      return;
    }
    if (frame.length > this.#limits.frameBytes) {
      this.#lose('over-limit');
      return;
    }
    this.#frame = frame;
    this.#left = frame.length;
    this.#padding = isPadded(frame) ? undefined : 0;
    this.#state = 'payload';
    if (frame.type === FRAME.headers || frame.type === FRAME.pushPromise) {
      this.#block = {
        stream: frame.stream,
        endStream: frame.type === FRAME.headers && (frame.flags & FLAG.endStream) !== 0,
        isPush: frame.type === FRAME.pushPromise,
        isOverLimit: false,
      };
    }
    if (this.#left === 0) this.#endFrame();
  }

  #payload(bytes: Uint8Array, at: number): number {
    if (this.#padding === undefined) {
      this.#padding = bytes[at] ?? 0;
      this.#left -= 1;
      if (this.#padding > this.#left) this.#lose('malformed');
      else if (this.#left === 0) this.#endFrame();
      return at + 1;
    }
    const part = bytes.subarray(at, at + this.#left);
    const content = part.subarray(0, Math.max(0, this.#left - this.#padding));
    this.#left -= part.length;
    this.#content(content);
    if (this.#left === 0) this.#endFrame();
    return at + part.length;
  }

  #content(bytes: Uint8Array): void {
    const { type, stream } = this.#frame;
    if (bytes.length === 0) return;
    if (type === FRAME.data) {
      if (this.#message(stream).hasHead) this.#handler.body(stream, bytes);
    } else if (this.#block !== undefined) {
      if (this.#blockBytes.length + bytes.length > this.#limits.headerBlockBytes) {
        this.#block.isOverLimit = true;
        this.#blockBytes.take();
      }
      if (!this.#block.isOverLimit) this.#blockBytes.append(bytes, undefined, 0);
    } else if (this.#control.length < CONTROL_BYTES) {
      this.#control.append(bytes.subarray(0, CONTROL_BYTES), undefined, 0);
    }
  }

  #endFrame(): void {
    const { type, flags, stream } = this.#frame;
    const control = this.#control.take();
    this.#state = 'header';
    if (type === FRAME.data) {
      if ((flags & FLAG.endStream) !== 0) this.#end(stream, 'whole');
    } else if (type === FRAME.rstStream) {
      if (this.#messages.has(stream)) this.#end(stream, 'aborted');
      this.#handler.reset(stream, control.readUInt32BE(0));
    } else if (this.#block !== undefined) {
      this.#trimBlock();
      if ((flags & FLAG.endHeaders) !== 0) this.#endBlock(this.#block);
    }
  }

  /** What stands in front of the block in the frame that begins it. */
  #trimBlock(): void {
    const { type, flags } = this.#frame;
    const priority = type === FRAME.headers && (flags & FLAG.priority) !== 0 ? 5 : 0;
    const inFront = type === FRAME.pushPromise ? 4 : priority;
    if (inFront === 0) return;
    const bytes = this.#blockBytes.take();
    this.#blockBytes.append(bytes.subarray(inFront), undefined, 0);
  }

  #endBlock({ stream, endStream, isPush, isOverLimit }: Block): void {
    this.#block = undefined;
    const bytes = this.#blockBytes.take();
    if (isOverLimit) {
      this.#hpack.lost();
      this.#handler.flaw('over-limit', 1);
    }
    const block = isOverLimit ? undefined : this.#hpack.decode(bytes);
    if (block === undefined && !isOverLimit) this.#handler.flaw('malformed-headers', 1);
    if (block !== undefined && block.overLimit > 0) this.#handler.flaw('over-limit', block.overLimit);
    if (isPush) {
      this.#handler.flaw('push', 1);
      return;
    }
    this.#fields(stream, block, endStream);
  }

  /** @param block undefined when it cannot be read */
  #fields(stream: number, block: HeaderBlock | undefined, endStream: boolean): void {
    if (this.#messages.get(stream)?.hasHead) {
      if (endStream) this.#end(stream, 'whole', block?.fields);
      return;
    }
    const head = block === undefined ? undefined : this.#parseHead(block);
    if (head === 'interim') return;
    if (block !== undefined && block.unknownFields > 0) {
      this.#handler.flaw('unknown-field', block.unknownFields);
    }
    if (head === undefined) {
      this.#message(stream);
    } else {
      this.#messages.delete(stream);
      this.#open(stream, { hasHead: true, missing: 0 });
      this.#handler.head(stream, head);
    }
    if (endStream) this.#end(stream, 'whole');
  }

  /** The open message of a stream; one without a head when none has come. */
  #message(stream: number): Message {
    const known = this.#messages.get(stream);
    if (known !== undefined) return known;
    this.#handler.flaw('no-head', 1);
    return this.#open(stream, { hasHead: false, missing: 0 });
  }

  #open(stream: number, message: Message): Message {
    const [oldest] = this.#messages.keys();
    if (oldest !== undefined && this.#messages.size >= this.#limits.streams) {
      this.#handler.flaw('over-limit', 1);
      this.#end(oldest, 'damaged');
    }
    this.#messages.set(stream, message);
    return message;
  }

  #bodyGap(stream: number, length: number): void {
    const message = this.#messages.get(stream);
    if (message === undefined || !message.hasHead) return;
    message.missing += length;
    this.#handler.bodyGap(stream, length);
  }

  #end(stream: number, how: MessageEnd['how'], trailers: HeaderFields = []): void {
    const message = this.#messages.get(stream);
    if (message === undefined) return;
    this.#messages.delete(stream);
    if (!message.hasHead) return;
    const { missing } = message;
    this.#handler.end(stream, { how: missing === 0 ? how : 'damaged', missingBytes: missing, trailers });
  }

  #lose(reason: LossReason): void {
    this.#block = undefined;
    this.#blockBytes.take();
    this.#control.take();
    this.#headerBytes = 0;
    this.#state = 'lost';
    this.#hpack.lost();
    // What they carry may go on when the framing is found again.
    for (const stream of this.#messages.keys()) this.#bodyGap(stream, Number.POSITIVE_INFINITY);
    this.#handler.lost(reason);
  }
}

function isPadded({ type, flags }: FrameHeader): boolean {
  if ((flags & FLAG.padded) === 0) return false;
  return type === FRAME.data || type === FRAME.headers || type === FRAME.pushPromise;
}

/** A method or a path that may be among the unknown fields is an empty string. */
function requestHead({ fields, unknownFields }: HeaderBlock): RequestHead | undefined {
  const isHead = fields.some(([name]) => name.startsWith(':'));
  const unknown = isHead && unknownFields > 0 ? '' : undefined;
  const method = field(fields, ':method') ?? unknown;
  const target = field(fields, ':path') ?? (method === 'CONNECT' ? '' : unknown);
  if (method === undefined || target === undefined) return undefined;
  const authority = field(fields, ':authority');
  const headers = regularFields(fields);
  const isNamed = authority === undefined || field(headers, 'host') !== undefined;
  return {
    method,
    target,
    headers: isNamed ? headers : [['host', authority], ...headers],
    ...(unknownFields > 0 ? { isPartial: true } : {}),
  };
}

function responseHead({ fields, unknownFields }: HeaderBlock): ResponseHead | 'interim' | undefined {
  const status = field(fields, ':status');
  if (status === undefined || !/^[1-9]\d\d$/.test(status)) return undefined;
  if (status.startsWith('1')) return 'interim';
  const head = { status: Number(status), reason: '', headers: regularFields(fields) };
  return unknownFields > 0 ? { ...head, isPartial: true } : head;
}

function regularFields(fields: HeaderFields): HeaderFields {
  return fields.filter(([name]) => !name.startsWith(':'));
}
