// TLS records as an AEAD implementation sees them (RFC 8446 section 5, RFC 5246 section 6.2.3.3): the plaintext of
// one record with what is authenticated beside it. Owns content types, padding, and where one connection ends and
// the next begins in the same context. Which contexts belong together is not known here.

import type { ByteSink } from './byte-stream.js';

const TLS_RECORD_LIMITS = {
  /** Bytes of a handshake message; a longer one is no handshake, and its framing is given up. */
  handshakeBytes: 256 * 1024,
} as const;

/** Content types: RFC 8446 section 5.1. */
const CONTENT_TYPE = { alert: 21, handshake: 22, applicationData: 23 } as const;

/**
 * Handshake messages that are sent under keys of the handshake, or first of all under new ones. What may come
 * later on a connection (new_session_ticket, key_update) is not among them.
 */
const OPENING_MESSAGES: ReadonlySet<number> = new Set([
  8, // encrypted_extensions
  11, // certificate
  13, // certificate_request
  15, // certificate_verify
  20, // finished
  25, // compressed_certificate
]);

const NEW_SESSION_TICKET = 4;
const FINISHED = 20;
const KEY_UPDATE = 24;

const WARNING = 1;
const CLOSE_NOTIFY = 0;

interface TlsRecord {
  type: number;
  content: Uint8Array;
}

/**
 * @param plaintext what was encrypted: in TLS 1.3 with the content type and zero padding behind the content
 * @param additionalData TLS 1.3: the record header, 5 bytes; TLS 1.2: sequence number and header, 13 bytes
 * @returns undefined when these are not of a TLS record
 */
export function parseTlsRecord(plaintext: Uint8Array, additionalData: Uint8Array): TlsRecord | undefined {
  const type = outerType(additionalData);
  if (type === undefined) return undefined;
  if (additionalData.length === TLS12_ADDITIONAL_DATA) return { type, content: plaintext };
  let end = plaintext.length;
  while (end > 0 && plaintext[end - 1] === 0) end -= 1;
  const inner = plaintext[end - 1];
  return inner === undefined ? undefined : { type: inner, content: plaintext.subarray(0, end - 1) };
}

const TLS13_ADDITIONAL_DATA = 5;
const TLS12_ADDITIONAL_DATA = 13;

/** The content type that the record's header names; in TLS 1.3 that is always application data. */
function outerType(additionalData: Uint8Array): number | undefined {
  const at = additionalData.length === TLS12_ADDITIONAL_DATA ? 8 : 0;
  if (at === 0 && additionalData.length !== TLS13_ADDITIONAL_DATA) return undefined;
  const [type, major, minor] = additionalData.subarray(at);
  if (type === undefined || major !== 3 || minor === undefined || minor > 4) return undefined;
  const isKnown = at === 0 ? type === CONTENT_TYPE.applicationData : type >= 20 && type <= 24;
  return isKnown ? type : undefined;
}

export interface TlsStreamSink extends ByteSink {
  /** From here on the context carries another connection. */
  restart(): void;
  /** The sender has closed the connection; `clean` unless it was an error. */
  close(clean: boolean): void;
  /** A server offers to resume the session, as it does first of all on a new connection, and seldom later. */
  ticket?(): void;
  /** The sender's part of a handshake is done: in TLS 1.3, its data comes in another context. */
  handshake?(): void;
  /** What the sender says from here on comes in another context, with new keys. */
  rekey?(): void;
}

/** The application data of one AEAD context. */
export class TlsRecordStream {
  readonly #sink: TlsStreamSink;
  readonly #handshake = new HandshakeMessages();
  #next = 0;
  #gaps = 0;
  #gapBytes = 0;
  #repeatedBytes = 0;
  #foreign = 0;

  constructor(sink: TlsStreamSink) {
    this.#sink = sink;
  }

  /** Gaps so far and the bytes in them, content types and padding included. */
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

  /** Calls that were not of TLS; they are dropped. */
  get foreign(): number {
    return this.#foreign;
  }

  push(offset: number, plaintext: Uint8Array, additionalData: Uint8Array): void {
    if (!this.#moveTo(offset, plaintext.length)) return;
    const record = parseTlsRecord(plaintext, additionalData);
    if (record === undefined) {
      this.#foreign += 1;
      return;
    }
    const { type, content } = record;
    switch (type) {
      case CONTENT_TYPE.applicationData:
        if (content.length > 0) this.#sink.data(content);
        return;
      case CONTENT_TYPE.handshake:
        for (const message of this.#handshake.push(content)) {
          if (OPENING_MESSAGES.has(message)) this.#sink.restart();
          if (message === FINISHED) this.#sink.handshake?.();
          else if (message === NEW_SESSION_TICKET) this.#sink.ticket?.();
          else if (message === KEY_UPDATE) this.#sink.rekey?.();
        }
        return;
      case CONTENT_TYPE.alert:
        this.#alert(content);
        return;
      default:
    }
  }

  /** A record of `length` bytes crossed the connection and was not recorded. */
  missing(offset: number, length: number, additionalData: Uint8Array): void {
    if (!this.#moveTo(offset, length)) return;
    const type = outerType(additionalData);
    if (type === undefined) {
      this.#foreign += 1;
      return;
    }
    this.#gaps += 1;
    this.#gapBytes += length;
    // In TLS 1.3 the type and the padding are among the bytes that are not known.
    const isExact = additionalData.length === TLS12_ADDITIONAL_DATA;
    if (!isExact) this.#lost();
    else if (type === CONTENT_TYPE.applicationData) this.#sink.gap(length);
  }

  /** False when the bytes are old. */
  #moveTo(offset: number, length: number): boolean {
    if (offset === 0 && this.#next > 0) {
      this.#next = 0;
      this.#handshake.reset();
      this.#sink.restart();
    }
    if (offset < this.#next) {
      this.#repeatedBytes += length;
      return false;
    }
    if (offset > this.#next) {
      this.#gaps += 1;
      this.#gapBytes += offset - this.#next;
      this.#lost();
    }
    this.#next = offset + length;
    return true;
  }

  /** How many records the bytes were, and so how much was application data, is not known. */
  #lost(): void {
    this.#handshake.reset();
    this.#sink.gap(Number.POSITIVE_INFINITY);
  }

  #alert([level, description]: Uint8Array): void {
    if (description === CLOSE_NOTIFY) this.#sink.close(true);
    else if (level !== WARNING) this.#sink.close(false);
  }
}

const HANDSHAKE_HEADER = 4;

/** The types of handshake messages, which may share a record or span several. */
class HandshakeMessages {
  #header: number[] = [];
  #left = 0;

  reset(): void {
    this.#header = [];
    this.#left = 0;
  }

  /** Types of the messages that begin in `content`. */
  push(content: Uint8Array): number[] {
    const types: number[] = [];
    let at = 0;
    while (at < content.length) {
      if (this.#left > 0) {
        const taken = Math.min(this.#left, content.length - at);
        this.#left -= taken;
        at += taken;
        continue;
      }
      this.#header.push(content[at] ?? 0);
      at += 1;
      if (this.#header.length < HANDSHAKE_HEADER) continue;
      const [type = 0, high = 0, middle = 0, low = 0] = this.#header;
      this.#header = [];
      this.#left = (high << 16) | (middle << 8) | low;
      if (this.#left > TLS_RECORD_LIMITS.handshakeBytes) {
        this.#left = 0;
        return types;
      }
      types.push(type);
    }
    return types;
  }
}
