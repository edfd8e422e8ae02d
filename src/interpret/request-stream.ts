// What a client sends on a connection: its requests over HTTP/1.1 or HTTP/2, and those that still wait for their
// response.

import {
  type Http1Decoder,
  type Http1Handler,
  type MessageEnd,
  requestDecoder,
  startsWithRequest,
} from '../protocol/http1.js';
import { mayBecomeRequestLine, type RequestHead, type ResponseHead } from '../protocol/http1-head.js';
import { HTTP2_LIMITS, type Http2Decoder, http2RequestDecoder } from '../protocol/http2.js';
import { PREFACE } from '../protocol/http2-frame.js';
import { webSocketParameters } from '../protocol/websocket-handshake.js';
import type { Anomalies } from './anomalies.js';
import { type Beginning, Direction, type Place, UNSEEN_HANDSHAKE } from './direction.js';
import type { ExchangeObserver, ExchangeRouter, SocketObserver } from './observer.js';

export interface Outstanding {
  head: RequestHead;
  sinceNs: bigint;
  observer: ExchangeObserver;
}

/** An exchange on a stream of HTTP/2; it is kept until both sides have ended. */
interface StreamExchange extends Outstanding {
  isSent: boolean;
  isAnswered: boolean;
}

export class RequestStream extends Direction {
  protected readonly http1: Http1Decoder<RequestHead>;
  protected readonly direction = 'send';
  readonly #route: ExchangeRouter;
  /** Requests of HTTP/1.1 without a whole response, oldest first. */
  readonly #outstanding: Outstanding[] = [];
  readonly #streams = new Map<number, StreamExchange>();
  #sending: ExchangeObserver | undefined;
  /** The framing of the responses is lost: they cannot be told from each other any more. */
  #areResponsesLost = false;
  #joined: SocketObserver | undefined;

  constructor(place: Place, route: ExchangeRouter, anomalies: Anomalies) {
    super(place, anomalies);
    this.#route = route;
    this.http1 = requestDecoder(this.#handler());
  }

  /** Of a socket that was open before the capture began: when the client last sent a piece of a message. */
  get joinedSocket(): { observer: SocketObserver; lastNs: bigint } | undefined {
    return this.#joined === undefined ? undefined : { observer: this.#joined, lastNs: this.timeNs };
  }

  get isWaiting(): boolean {
    return this.#outstanding.length > 0 || this.#streams.size > 0;
  }

  /** The request that a response on `stream` answers; of HTTP/1.1, without streams, the oldest. */
  waiting(stream: number | undefined): Outstanding | undefined {
    if (stream === undefined) return this.#outstanding[0];
    const found = this.#streams.get(stream);
    return found?.isAnswered ? undefined : found;
  }

  /** The response to that request begins. */
  answered(stream: number | undefined): ExchangeObserver | undefined {
    if (stream === undefined) {
      this.#areResponsesLost = false;
      return this.#outstanding.shift()?.observer;
    }
    const found = this.#streams.get(stream);
    if (found === undefined || found.isAnswered) return undefined;
    found.isAnswered = true;
    if (found.isSent) this.#streams.delete(stream);
    return found.observer;
  }

  /** The framing of the responses is lost. Only the newest request can still get one that is told. */
  responsesLost(): void {
    this.#areResponsesLost = true;
    if (this.#outstanding.length > 1) this.#dropOutstanding(1);
  }

  /** The server is gone: the requests whose responses have not begun get none. */
  unanswered(end: MessageEnd): void {
    const waiting = [...this.#outstanding.splice(0), ...this.#streams.values()];
    for (const exchange of waiting) {
      if ('isAnswered' in exchange && exchange.isAnswered) continue;
      exchange.observer.responseEnd(end, this.timeNs);
    }
    this.#streams.clear();
  }

  /** Another protocol has taken over, as the other direction has seen. */
  upgraded(): void {
    this.http1.upgrade();
  }

  /** The connection is one to somebody else from here on. */
  tunnelled(): void {
    this.http1.tunnel();
  }

  openSocket(observer: SocketObserver, head: ResponseHead): void {
    this.decodeSocket(observer, 'client', webSocketParameters(head.headers).client);
  }

  override giveUp(): void {
    super.giveUp();
    if (this.#areResponsesLost) this.#dropOutstanding(0);
  }

  protected beginning(bytes: Uint8Array): Beginning {
    const isHttp2 = startsWithPreface(bytes);
    if (isHttp2 === undefined) return undefined;
    return isHttp2 ? 'http2' : 'other';
  }

  protected startsMessage(bytes: Uint8Array): boolean {
    return startsWithRequest(bytes);
  }

  protected joinSocket(): void {
    this.#joined = this.#route.openSocket({ pid: this.pid, connection: this.id, timeNs: this.timeNs });
    this.decodeSocket(this.#joined, 'client', UNSEEN_HANDSHAKE);
  }

  protected decodeHttp2(from: 'beginning' | 'middle'): Http2Decoder<unknown> {
    return http2RequestDecoder(
      {
        head: (stream, head) => this.#beginOn(stream, head),
        body: (stream, bytes) => this.#streams.get(stream)?.observer.requestData(bytes),
        bodyGap: () => {},
        end: (stream, end) => {
          const found = this.#streams.get(stream);
          if (found === undefined || found.isSent) return;
          found.isSent = true;
          if (found.isAnswered) this.#streams.delete(stream);
          found.observer.requestEnd(end, this.timeNs);
        },
        // A response that has begun is heard to its end: the client may have what it waited for.
        reset: (stream) => this.#streams.delete(stream),
        flaw: (what, count) => this.flaw(what, count),
        lost: (reason) => this.lost(reason),
      },
      from,
    );
  }

  #beginOn(stream: number, head: RequestHead): void {
    this.messages += 1;
    const { pid, id: connection, timeNs } = this;
    const observer = this.#route.exchange(head, { pid, connection, timeNs, place: stream });
    const [oldest] = this.#streams;
    if (oldest !== undefined && this.#streams.size >= HTTP2_LIMITS.streams) {
      this.#streams.delete(oldest[0]);
      this.#unanswered(oldest[1]);
    }
    this.#streams.set(stream, { head, sinceNs: timeNs, observer, isSent: false, isAnswered: false });
  }

  #handler(): Http1Handler<RequestHead> {
    return {
      head: (head) => {
        if (this.#areResponsesLost) this.#dropOutstanding(0);
        this.messages += 1;
        const { pid, id: connection, timeNs } = this;
        this.#sending = this.#route.exchange(head, { pid, connection, timeNs });
        this.#outstanding.push({ head, sinceNs: timeNs, observer: this.#sending });
      },
      body: (bytes) => this.#sending?.requestData(bytes),
      bodyGap: () => {},
      end: (end) => {
        this.#sending?.requestEnd(end, this.timeNs);
        this.#sending = undefined;
      },
      lost: (reason) => this.lost(reason),
      upgraded: () => {},
      tunnelled: () => {},
    };
  }

  /**
   * After a loss: the responses to all but the newest `kept` requests are gone. Agents do not pipeline, so one
   * that sends its next request has done with the responses before it.
   */
  #dropOutstanding(kept: 0 | 1): void {
    if (kept === 0) this.#areResponsesLost = false;
    for (const one of this.#outstanding.splice(0, this.#outstanding.length - kept)) this.#unanswered(one);
  }

  #unanswered({ observer }: Outstanding): void {
    this.anomalies.add('unpaired-message', `a request on connection ${this.id} of process ${this.pid}`);
    observer.responseLost();
  }
}

/** Undefined while `bytes` are a part of it only. */
function startsWithPreface(bytes: Uint8Array): boolean | undefined {
  const length = Math.min(bytes.length, PREFACE.length);
  if (PREFACE.compare(bytes, 0, length, 0, length) !== 0) return false;
  return length === PREFACE.length ? true : undefined;
}

const MAX_LINE_BYTES = 8192;

/** Whether `bytes` begin with a request; undefined while more bytes are needed to tell. */
export function beginsRequest(bytes: Uint8Array): boolean | undefined {
  if (startsWithRequest(bytes)) return true;
  const isHttp2 = startsWithPreface(bytes);
  if (isHttp2 !== false) return isHttp2;
  if (bytes.length > MAX_LINE_BYTES) return false;
  return mayBecomeRequestLine(Buffer.from(bytes).toString('latin1')) ? undefined : false;
}
