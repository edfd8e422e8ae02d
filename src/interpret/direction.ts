// One direction of a client's connection: which protocol its bytes are of. Owns finding that out, also where the
// capture began in the middle. What the messages are, and which belong together, is request-stream.ts and
// response-stream.ts.

import type { ByteSink } from '../protocol/byte-stream.js';
import type { Close, Http1Decoder, LossReason } from '../protocol/http1.js';
import type { Http2Decoder, Http2Flaw } from '../protocol/http2.js';
import { startsWithFrames } from '../protocol/http2-frame.js';
import { startsWithObject, WebSocketDecoder } from '../protocol/websocket.js';
import type { Compression } from '../protocol/websocket-handshake.js';
import type { Anomalies, AnomalyKind } from './anomalies.js';
import type { Sender, SocketObserver } from './observer.js';

/** What is taken for the compression of a socket that was open already. */
export const UNSEEN_HANDSHAKE: Compression = { contextTakeover: true, isJoined: true };

const FLAWS: Readonly<Record<Http2Flaw, AnomalyKind>> = {
  'unknown-field': 'unknown-header-fields',
  'no-head': 'unpaired-message',
  'malformed-headers': 'malformed-headers',
  'over-limit': 'headers-over-limit',
  push: 'server-push',
};

/** What the first bytes of a connection say of its protocol; undefined when there are too few. */
export type Beginning = 'http2' | 'other' | undefined;

/** Whose connection it is. */
export interface Place {
  pid: number;
  connection: bigint;
  /** The name of what the process runs; undefined when it is not known. */
  program: string | undefined;
}

export abstract class Direction implements ByteSink {
  readonly pid: number;
  readonly id: bigint;
  /** Of the evidence that is being read. */
  timeNs = 0n;
  protected readonly anomalies: Anomalies;
  protected socket: WebSocketDecoder | undefined;
  protected http2: Http2Decoder<unknown> | undefined;
  protected abstract readonly http1: ByteSink & Pick<Http1Decoder<never>, 'finish' | 'isInStartLine'>;
  protected abstract readonly direction: 'send' | 'receive';
  protected messages = 0;
  /** The first bytes, while it is not known what they begin; afterwards undefined. */
  #beginning: Uint8Array | undefined = new Uint8Array();
  #isFinished = false;
  readonly #program: string | undefined;
  #bytes = 0;
  /** What was lost before any message: bytes of another protocol, or the rest of a message, as will turn out. */
  #unknown: LossReason | undefined;
  #tellClose: ((how: 'told' | 'gone') => void) | undefined;

  constructor({ pid, connection, program }: Place, anomalies: Anomalies) {
    this.pid = pid;
    this.id = connection;
    this.#program = program;
    this.anomalies = anomalies;
  }

  get isFinished(): boolean {
    return this.#isFinished;
  }

  get isHttp2(): boolean {
    return this.http2 !== undefined;
  }

  get where(): string {
    return `connection ${this.id} of process ${this.pid}, ${this.direction}`;
  }

  data(bytes: Uint8Array): void {
    this.#bytes += bytes.length;
    if (this.#beginning === undefined) {
      this.#recognise(bytes, 'later');
      this.#decoder.data(bytes);
      return;
    }
    const beginning = this.#beginning.length === 0 ? bytes : Buffer.concat([this.#beginning, bytes]);
    const protocol = this.beginning(beginning);
    if (protocol === undefined) {
      this.#beginning = Uint8Array.from(beginning);
      return;
    }
    this.#beginning = undefined;
    if (protocol === 'http2') this.http2 = this.decodeHttp2('beginning');
    else this.#recognise(beginning, 'first');
    this.#decoder.data(beginning);
  }

  gap(length: number): void {
    this.#settle();
    this.#decoder.gap(length);
  }

  /** The connection is over, at the latest: what was under way ends here. */
  finish(close: Close = 'unseen'): void {
    this.#settle();
    this.#isFinished = true;
    this.#endBeginning();
    this.http1.finish(close);
    this.http2?.finish(close);
    this.socket?.finish();
    this.#tellClose?.(close === 'unseen' ? 'gone' : 'told');
    this.giveUp();
  }

  /** No more evidence comes. */
  giveUp(): void {
    this.#endBeginning();
    const reason = this.#unknown;
    if (reason === undefined) return;
    this.#unknown = undefined;
    if (this.#isRead) this.anomalies.add('framing-lost', `${this.where}: ${reason}`);
    else {
      const program = this.#program === undefined ? '' : ` (${this.#program})`;
      const where = `connection ${this.id} of process ${this.pid}${program}, ${this.direction}`;
      this.anomalies.add('not-http', `${where}: ${this.#bytes} bytes`);
    }
  }

  /** Whether `bytes` are the beginning of another connection, in the place of this one. */
  isReplacedBy(bytes: Uint8Array): boolean {
    const decoder = this.socket ?? this.http2;
    return (
      decoder?.isBetweenFrames === true && (this.startsMessage(bytes) || this.beginning(bytes) === 'http2')
    );
  }

  protected abstract beginning(bytes: Uint8Array): Beginning;

  /** Whether an HTTP/1.1 message begins with `bytes`. */
  protected abstract startsMessage(bytes: Uint8Array): boolean;

  /** The connection is a WebSocket that was open before. */
  protected abstract joinSocket(): void;

  protected abstract decodeHttp2(from: 'beginning' | 'middle'): Http2Decoder<unknown>;

  protected lost(reason: LossReason): void {
    if (reason !== 'gap' && !this.#isRead) this.#unknown = reason;
    else this.anomalies.add('framing-lost', `${this.where}: ${reason}`);
  }

  protected flaw(what: Http2Flaw, count: number): void {
    this.anomalies.add(FLAWS[what], this.where, count);
  }

  protected decodeSocket(observer: SocketObserver, from: Sender, compression: Compression | undefined): void {
    this.#tellClose = (how) => observer.closed(from, how, this.timeNs);
    this.socket = new WebSocketDecoder(
      {
        message: (message) => observer.message(from, message, this.timeNs),
        damaged: (why) => observer.damaged(from, why, this.timeNs),
        closed: () => observer.closed(from, 'told', this.timeNs),
        lost: (reason) => {
          this.lost(reason);
          observer.damaged(from, 'lost', this.timeNs);
        },
      },
      from,
      compression,
    );
  }

  /** Whether it is known what the bytes are. */
  get #isRead(): boolean {
    return this.messages > 0 || this.socket !== undefined || this.http2 !== undefined;
  }

  get #decoder(): ByteSink {
    return this.socket ?? this.http2 ?? this.http1;
  }

  /** The little that came may well begin HTTP, and the kernel took it for that: as long as it is not, nothing else tells of it. */
  #endBeginning(): void {
    const isShort = this.http1.isInStartLine || (this.#beginning?.length ?? 0) > 0;
    if (isShort && !this.#isRead) this.#unknown ??= 'malformed';
  }

  /** Too few bytes for HTTP/2 are none of it. */
  #settle(): void {
    const beginning = this.#beginning;
    this.#beginning = undefined;
    if (beginning !== undefined && beginning.length > 0) this.#decoder.data(beginning);
  }

  /** While no message was found: whether `bytes` begin one of a connection that was open before the capture. */
  #recognise(bytes: Uint8Array, when: 'first' | 'later'): void {
    if (this.#isRead) return;
    const sender = this.direction === 'send' ? 'client' : 'server';
    const isSocket = startsWithObject(bytes, sender, UNSEEN_HANDSHAKE);
    if (!isSocket && !startsWithFrames(bytes)) return;
    // What came before was the end of a message.
    if (when === 'later') this.http1.gap(Number.POSITIVE_INFINITY);
    if (isSocket) this.joinSocket();
    else this.http2 = this.decodeHttp2('middle');
  }
}
