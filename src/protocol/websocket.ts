// WebSocket messages of one direction of a connection, decoded incrementally (RFC 6455), also compressed ones
// (RFC 7692). Owns frames, masking, fragmentation, the compression context, and what a loss of bytes does to them:
// a gap of known length inside a frame damages that message, any other loses the framing until a piece begins
// with a frame that can only be one. The opening handshake is websocket-handshake.ts.

import { constants, inflateRawSync } from 'node:zlib';
import type { ByteSink } from './byte-stream.js';
import { GrowingBuffer } from './growing-buffer.js';
import { type FrameHeader, isControl, OPCODE, parseFrameHeader } from './websocket-frame.js';
import type { Compression } from './websocket-handshake.js';

export const WEBSOCKET_LIMITS = {
  /** Bytes that a frame may claim; more is taken for lost framing. */
  frameBytes: 1024 * 1024 * 1024,
  /** Bytes of a message on the wire. A longer one is skipped. */
  messageBytes: 128 * 1024 * 1024,
  /** Bytes of a message after decompression. A longer one is skipped. */
  inflatedBytes: 128 * 1024 * 1024,
} as const;

export interface WebSocketMessage {
  kind: 'text' | 'binary';
  bytes: Buffer;
}

/**
 * Why a message cannot be told, with the framing intact. `unseen-context`: it is compressed by reference to messages that
 * came before the first one, or that are missing.
 */
export type MessageDamage = 'gap' | 'over-limit' | 'undecodable' | 'unseen-context';

export interface WebSocketHandler {
  message(message: WebSocketMessage): void;
  damaged(why: MessageDamage): void;
  /** A close frame: nothing comes after it. */
  closed(code: number | undefined): void;
  /** Not WebSocket, or no longer in step with it. Messages until it is found again are missing. */
  lost(reason: 'gap' | 'malformed' | 'over-limit'): void;
}

const WINDOW_BYTES = 32 * 1024;
/** Stands for a byte that is not known: none that a text has. */
const UNKNOWN = 0xff;
const UNKNOWN_WINDOW = Buffer.alloc(WINDOW_BYTES, UNKNOWN);
/** What a sender leaves off the end of each compressed message. */
const DEFLATE_TAIL = Buffer.from([0, 0, 0xff, 0xff]);
/** `{"` */
const OBJECT_START = [0x7b, 0x22] as const;
/** The first character that JSON may have within strings; between them it may have line breaks too, but messages have none. */
const SPACE = 0x20;
/** Bytes of a compressed message that are tried to find the framing again. */
const TRIAL_BYTES = 512;

type State = 'header' | 'payload' | 'lost' | 'closed';

export class WebSocketDecoder implements ByteSink {
  readonly #handler: WebSocketHandler;
  readonly #from: 'client' | 'server';
  readonly #compression: Compression | undefined;
  readonly #limits: Record<keyof typeof WEBSOCKET_LIMITS, number>;
  #state: State = 'header';
  #header: number[] = [];
  #frame: FrameHeader | undefined;
  #left = 0;
  #message = new GrowingBuffer();
  /** Of the message being collected; undefined between messages. */
  #kind: WebSocketMessage['kind'] | undefined;
  #isCompressed = false;
  #damage: MessageDamage | undefined;
  #control = new GrowingBuffer();
  /** The end of what was decompressed so far. */
  #window: Buffer;
  /** Whether the window has ever held bytes that are not known. */
  #hasUnseen: boolean;

  /**
   * @param from whose frames they are: a client masks, a server does not
   * @param compression what the handshake agreed on for this direction
   */
  constructor(
    handler: WebSocketHandler,
    from: 'client' | 'server',
    compression: Compression | undefined,
    limits: Record<keyof typeof WEBSOCKET_LIMITS, number> = WEBSOCKET_LIMITS,
  ) {
    this.#handler = handler;
    this.#from = from;
    this.#compression = compression;
    this.#limits = limits;
    this.#hasUnseen = compression?.isJoined === true;
    this.#window = this.#hasUnseen ? UNKNOWN_WINDOW : Buffer.alloc(0);
  }

  /** No frame is begun: another protocol may start with the next byte, if the connection was replaced. */
  get isBetweenFrames(): boolean {
    return this.#state !== 'payload' && this.#header.length === 0;
  }

  data(bytes: Uint8Array): void {
    if (this.#state === 'lost' && startsWithObject(bytes, this.#from, this.#compression)) {
      this.#state = 'header';
    }
    let at = 0;
    while (at < bytes.length) {
      if (this.#state === 'payload') at = this.#payload(bytes, at);
      else if (this.#state === 'header') at = this.#collectHeader(bytes, at);
      else return;
    }
  }

  /** `length` may be infinite. */
  gap(length: number): void {
    if (this.#state === 'closed' || this.#state === 'lost') return;
    if (this.#state !== 'payload' || length > this.#left) {
      this.#lose('gap');
      return;
    }
    if (!isControl(this.#frame)) this.#damage ??= 'gap';
    this.#left -= length;
    if (this.#left === 0) this.#endFrame();
  }

  /** The connection is over: a message that is still open is damaged. */
  finish(): void {
    if (this.#kind !== undefined) this.#handler.damaged(this.#damage ?? 'gap');
    this.#kind = undefined;
    this.#state = 'closed';
  }

  #collectHeader(bytes: Uint8Array, from: number): number {
    let at = from;
    while (at < bytes.length) {
      this.#header.push(bytes[at] ?? 0);
      at += 1;
      const frame = parseFrameHeader(this.#header);
      if (frame === undefined) continue;
      this.#header = [];
      this.#begin(frame);
      return at;
    }
    return at;
  }

  #begin(frame: FrameHeader | 'malformed'): void {
    if (frame === 'malformed' || !this.#fits(frame)) {
      this.#lose('malformed');
      return;
    }
    if (frame.length > this.#limits.frameBytes) {
      this.#lose('over-limit');
      return;
    }
    if (!isControl(frame) && frame.opcode !== OPCODE.continuation) {
      this.#kind = frame.opcode === OPCODE.text ? 'text' : 'binary';
      this.#isCompressed = frame.isCompressed;
    }
    this.#frame = frame;
    this.#left = frame.length;
    this.#state = 'payload';
    if (this.#left === 0) this.#endFrame();
  }

  /** Whether such a frame may come now. */
  #fits(frame: FrameHeader): boolean {
    if ((frame.mask !== undefined) !== (this.#from === 'client')) return false;
    if (frame.isCompressed && this.#compression === undefined) return false;
    if (isControl(frame)) return true;
    return (frame.opcode === OPCODE.continuation) === (this.#kind !== undefined);
  }

  #payload(bytes: Uint8Array, at: number): number {
    const frame = this.#frame;
    if (frame === undefined) return bytes.length;
    const part = bytes.subarray(at, at + this.#left);
    const target = isControl(frame) ? this.#control : this.#message;
    if (target === this.#message && target.length + part.length > this.#limits.messageBytes) {
      this.#damage ??= 'over-limit';
    }
    if (target === this.#control || this.#damage === undefined) {
      target.append(part, frame.mask, frame.length - this.#left);
    }
    this.#left -= part.length;
    if (this.#left === 0) this.#endFrame();
    return at + part.length;
  }

  #endFrame(): void {
    const frame = this.#frame;
    this.#frame = undefined;
    this.#state = 'header';
    if (frame === undefined) return;
    if (isControl(frame)) this.#endControl(frame);
    else if (frame.isFinal) this.#endMessage();
  }

  #endControl({ opcode }: FrameHeader): void {
    const payload = this.#control.take();
    if (opcode !== OPCODE.close) return;
    if (this.#kind !== undefined) this.#dropMessage(this.#damage ?? 'gap');
    this.#state = 'closed';
    this.#handler.closed(payload.length >= 2 ? payload.readUInt16BE(0) : undefined);
  }

  #endMessage(): void {
    const kind = this.#kind ?? 'binary';
    const bytes =
      this.#damage ?? (this.#isCompressed ? this.#inflate(this.#message.take()) : this.#message.take());
    if (typeof bytes === 'string') {
      this.#dropMessage(bytes);
      return;
    }
    this.#kind = undefined;
    if (this.#isCompressed && !this.#isKnown(kind, bytes)) this.#handler.damaged('unseen-context');
    else this.#handler.message({ kind, bytes });
  }

  /** Of other data than text, any byte may be one that is not known. */
  #isKnown(kind: WebSocketMessage['kind'], bytes: Buffer): boolean {
    return !this.#hasUnseen || !(kind === 'text' ? bytes : this.#window).includes(UNKNOWN);
  }

  #dropMessage(why: MessageDamage): void {
    // Later messages may refer to what this one would have been.
    if (this.#isCompressed) this.#forget();
    this.#message.take();
    this.#kind = undefined;
    this.#damage = undefined;
    this.#handler.damaged(why);
  }

  #inflate(compressed: Buffer): Buffer | MessageDamage {
    try {
      const bytes = inflateRawSync(Buffer.concat([compressed, DEFLATE_TAIL]), {
        finishFlush: constants.Z_SYNC_FLUSH,
        maxOutputLength: this.#limits.inflatedBytes,
        ...(this.#window.length > 0 ? { dictionary: this.#window } : {}),
      });
      if (this.#compression?.contextTakeover === true) {
        this.#window = Buffer.concat([this.#window, bytes.subarray(-WINDOW_BYTES)]).subarray(-WINDOW_BYTES);
      }
      return bytes;
    } catch (error) {
      const isTooLong = error instanceof RangeError || Object(error).code === 'ERR_BUFFER_TOO_LARGE';
      return isTooLong ? 'over-limit' : 'undecodable';
    }
  }

  #lose(reason: 'gap' | 'malformed' | 'over-limit'): void {
    this.#message.take();
    this.#control.take();
    this.#kind = undefined;
    this.#damage = undefined;
    this.#frame = undefined;
    this.#header = [];
    this.#state = 'lost';
    this.#forget();
    this.#handler.lost(reason);
  }

  #forget(): void {
    if (this.#compression?.contextTakeover !== true) return;
    this.#window = UNKNOWN_WINDOW;
    this.#hasUnseen = true;
  }
}

/**
 * Whether `bytes` begin with a text frame that holds a JSON object, whole or its beginning: little else that fits
 * could be one. Of a compressed one as much has to fit as does not refer to what came before it.
 */
export function startsWithObject(
  bytes: Uint8Array,
  from: 'client' | 'server',
  compression: Compression | undefined,
): boolean {
  const header: number[] = [];
  for (const byte of bytes) {
    header.push(byte);
    const frame = parseFrameHeader(header);
    if (frame === undefined) continue;
    if (frame === 'malformed' || frame.opcode !== OPCODE.text) return false;
    if ((frame.mask !== undefined) !== (from === 'client')) return false;
    if (frame.isCompressed && compression === undefined) return false;
    const end = header.length + Math.min(frame.length, TRIAL_BYTES);
    const beginning = new GrowingBuffer();
    beginning.append(bytes.subarray(header.length, end), frame.mask, 0);
    const text = beginning.take();
    if (!frame.isCompressed) return text[0] === OBJECT_START[0] && text[1] === OBJECT_START[1];
    const next = bytes.subarray(header.length + frame.length, header.length + frame.length + 1);
    return parseFrameHeader([...next]) !== 'malformed' && maybeObject(tryInflate(text, compression));
  }
  return false;
}

/** Whether it may be the beginning of an object, as far as its bytes are known. */
function maybeObject(text: Uint8Array): boolean {
  const fits = (wanted: number, at: number): boolean => text[at] === wanted || text[at] === UNKNOWN;
  return OBJECT_START.every(fits) && !text.some((byte) => byte < SPACE);
}

/** The beginning of what a compressed message holds, as far as it refers to nothing before it; empty when it holds nothing. */
function tryInflate(compressed: Buffer, compression: Compression | undefined): Uint8Array {
  try {
    return inflateRawSync(compressed, {
      finishFlush: constants.Z_SYNC_FLUSH,
      ...(compression?.contextTakeover === true ? { dictionary: UNKNOWN_WINDOW } : {}),
    });
  } catch {
    return new Uint8Array();
  }
}
