// What a client receives on a connection: the responses over HTTP/1.1 or HTTP/2, each told to who follows its request,
// and the WebSocket that one of them may open.

import {
  type Close,
  type Http1Decoder,
  type Http1Handler,
  type MessageEnd,
  OPEN_MESSAGE,
  responseDecoder,
  startsWithResponse,
} from '../protocol/http1.js';
import { field, type ResponseHead } from '../protocol/http1-head.js';
import { type Http2Decoder, http2ResponseDecoder } from '../protocol/http2.js';
import { FRAME, FRAME_HEADER_BYTES, readFrameHeader, startsWithFrames } from '../protocol/http2-frame.js';
import { webSocketParameters } from '../protocol/websocket-handshake.js';
import type { Anomalies } from './anomalies.js';
import { type Beginning, Direction, type Place, UNSEEN_HANDSHAKE } from './direction.js';
import type { ExchangeObserver, SocketObserver } from './observer.js';
import type { RequestStream } from './request-stream.js';

/** What looks for its partner: a response, of HTTP/2 with its stream, or a socket that was open already. */
export type Answer = { head: ResponseHead; stream?: number } | 'joined socket';

/** Finds whose request a response answers. */
export type PartnerFinder = (responses: ResponseStream, answer: Answer) => RequestStream | undefined;

const NO_MESSAGE: MessageEnd = { how: 'aborted', missingBytes: 0, trailers: [] };

export class ResponseStream extends Direction {
  protected readonly http1: Http1Decoder<ResponseHead>;
  protected readonly direction = 'receive';
  readonly #findPartner: PartnerFinder;
  #partner: RequestStream | undefined;
  /** Responses were lost before it was known whose they were. */
  #areOthersLost = false;
  #head: ResponseHead | undefined;
  /** Of the response that is being received, or was last. */
  #receiving: ExchangeObserver | undefined;
  readonly #receivingOn = new Map<number, ExchangeObserver>();

  /** `partner` is who sends the requests, if that is known from the start. */
  constructor(place: Place, findPartner: PartnerFinder, anomalies: Anomalies, partner?: RequestStream) {
    super(place, anomalies);
    this.#partner = partner;
    this.#findPartner = findPartner;
    this.http1 = responseDecoder(this.#handler(), (head) => {
      this.#partner = findPartner(this, { head });
      if (this.#areOthersLost) this.#partner?.responsesLost();
      this.#areOthersLost = false;
      return this.#partner?.waiting(undefined)?.head.method;
    });
  }

  /** Who sent the request that was answered last. */
  get partner(): RequestStream | undefined {
    return this.#partner;
  }

  /** A server that is gone answers none of the requests that wait for it. */
  override finish(close: Close = 'unseen'): void {
    const isFirst = !this.isFinished;
    super.finish(close);
    if (close === 'unseen' || !isFirst) return;
    this.#partner?.unanswered({ ...NO_MESSAGE, how: OPEN_MESSAGE[close] });
  }

  /** The first frame of a server are its settings. */
  protected beginning(bytes: Uint8Array): Beginning {
    if (bytes[0] === 0 && bytes.length < FRAME_HEADER_BYTES) return undefined;
    const first = readFrameHeader(bytes);
    const isSettings = first?.type === FRAME.settings && first.flags === 0;
    return isSettings && startsWithFrames(bytes) ? 'http2' : 'other';
  }

  protected startsMessage(bytes: Uint8Array): boolean {
    return startsWithResponse(bytes);
  }

  protected joinSocket(): void {
    // The server may be heard first: whose socket it is turns out when the client sends.
    const client = (): SocketObserver | undefined => {
      if (this.#partner?.joinedSocket === undefined) this.#partner = this.#findPartner(this, 'joined socket');
      return this.#partner?.joinedSocket?.observer;
    };
    const observer: SocketObserver = {
      message: (...args) => {
        const found = client();
        if (found === undefined) this.anomalies.add('unpaired-message', `a message on ${this.where}`);
        found?.message(...args);
      },
      damaged: (...args) => client()?.damaged(...args),
      closed: (...args) => client()?.closed(...args),
    };
    this.decodeSocket(observer, 'server', UNSEEN_HANDSHAKE);
  }

  protected decodeHttp2(from: 'beginning' | 'middle'): Http2Decoder<unknown> {
    return http2ResponseDecoder(
      {
        head: (stream, head) => {
          this.messages += 1;
          this.#partner = this.#findPartner(this, { head, stream });
          const observer = this.#answered(stream);
          if (observer !== undefined) this.#receivingOn.set(stream, observer);
          observer?.responseHead(head, this.timeNs);
        },
        body: (stream, bytes) => this.#receivingOn.get(stream)?.responseData(bytes, this.timeNs),
        bodyGap: (stream) => this.#receivingOn.get(stream)?.responseGap(),
        end: (stream, end) => {
          this.#receivingOn.get(stream)?.responseEnd(end, this.timeNs);
          this.#receivingOn.delete(stream);
        },
        // A stream that is reset before its response has begun was refused.
        reset: (stream) => this.#partner?.answered(stream)?.responseEnd(NO_MESSAGE, this.timeNs),
        flaw: (what, count) => this.flaw(what, count),
        lost: (reason) => this.lost(reason),
      },
      from,
    );
  }

  #handler(): Http1Handler<ResponseHead> {
    return {
      head: (head) => {
        this.messages += 1;
        this.#head = head;
        this.#receiving = this.#answered(undefined);
        this.#receiving?.responseHead(head, this.timeNs);
      },
      body: (bytes) => this.#receiving?.responseData(bytes, this.timeNs),
      bodyGap: () => this.#receiving?.responseGap(),
      end: (end) => this.#receiving?.responseEnd(end, this.timeNs),
      lost: (reason) => {
        if (this.#partner === undefined) this.#areOthersLost = true;
        else this.#partner.responsesLost();
        this.lost(reason);
      },
      upgraded: (rest) => this.#upgraded(rest),
      tunnelled: () => this.#partner?.tunnelled(),
    };
  }

  #answered(stream: number | undefined): ExchangeObserver | undefined {
    const observer = this.#partner?.answered(stream);
    if (observer === undefined) {
      this.anomalies.add('unpaired-message', `a response on connection ${this.id} of process ${this.pid}`);
    }
    return observer;
  }

  #upgraded(rest: Uint8Array): void {
    this.#partner?.upgraded();
    const head = this.#head;
    if (head?.status !== 101) return;
    if (field(head.headers, 'sec-websocket-accept') === undefined) {
      this.anomalies.add('not-http', `${this.where}: upgraded to ${field(head.headers, 'upgrade')}`);
      return;
    }
    const observer = this.#receiving?.openSocket?.() ?? unobserved;
    this.#partner?.openSocket(observer, head);
    this.decodeSocket(observer, 'server', webSocketParameters(head.headers).server);
    this.socket?.data(rest);
  }
}

const unobserved: SocketObserver = { message() {}, damaged() {}, closed() {} };
