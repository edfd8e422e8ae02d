// One TLS connection of a client: its two byte streams, the HTTP/1.1 messages on them, and which response
// answers which request. What a message means is the observer's business.

import type { TlsEvent } from '../evidence/event.js';
import { ByteStream } from '../protocol/byte-stream.js';
import {
  type Http1Decoder,
  type Http1Handler,
  type LossReason,
  type MessageEnd,
  requestDecoder,
  responseDecoder,
} from '../protocol/http1.js';
import type { RequestHead, ResponseHead } from '../protocol/http1-head.js';
import type { Anomalies } from './anomalies.js';

/** Follows one request and its response. Every call tells the time of the evidence that it rests on. */
export interface ExchangeObserver {
  requestData(bytes: Uint8Array): void;
  requestEnd(end: MessageEnd, timeNs: bigint): void;
  responseHead(head: ResponseHead, timeNs: bigint): void;
  responseData(bytes: Uint8Array, timeNs: bigint): void;
  responseGap(): void;
  responseEnd(end: MessageEnd, timeNs: bigint): void;
  /** No more of the response will be told: the evidence of it is lost. */
  responseLost(): void;
}

/** Chooses the observer of an exchange that begins. */
export type ExchangeRouter = (
  connection: HttpConnection,
  head: RequestHead,
  timeNs: bigint,
) => ExchangeObserver;

interface Outstanding {
  method: string;
  observer: ExchangeObserver;
}

export class HttpConnection {
  /** The process that used the connection first. */
  readonly pid: number;
  readonly id: bigint;
  readonly #anomalies: Anomalies;
  readonly #route: ExchangeRouter;
  readonly #streams: Record<TlsEvent['direction'], ByteStream>;
  readonly #requests: Http1Decoder<RequestHead>;
  readonly #responses: Http1Decoder<ResponseHead>;
  /** Requests without a whole response, oldest first. */
  readonly #outstanding: Outstanding[] = [];
  #sending: ExchangeObserver | undefined;
  #receiving: ExchangeObserver | undefined;
  #responseFramingLost = false;
  #messages = 0;
  #timeNs = 0n;

  constructor(first: TlsEvent, route: ExchangeRouter, anomalies: Anomalies) {
    this.pid = first.pid;
    this.id = first.connection;
    this.#route = route;
    this.#anomalies = anomalies;
    this.#requests = requestDecoder(this.#requestHandler());
    this.#responses = responseDecoder(this.#responseHandler(), () => this.#outstanding[0]?.method);
    this.#streams = {
      send: new ByteStream(this.#requests),
      receive: new ByteStream(this.#responses),
    };
  }

  push(event: TlsEvent): void {
    this.#timeNs = event.timeNs;
    const stream = this.#streams[event.direction];
    if (event.missing > 0) stream.missing(event.offset, event.missing);
    else stream.push(event.offset, event.data);
  }

  /** The process is gone: what was under way ends here. */
  finish(timeNs: bigint): void {
    this.#timeNs = timeNs;
    this.#requests.finish();
    this.#responses.finish();
    if (this.#responseFramingLost) this.#dropOutstanding(0);
  }

  /** Adds what the streams lost to the anomalies; called once, when no more events come. */
  reportLosses(): void {
    if (this.#responseFramingLost) this.#dropOutstanding(0);
    for (const [direction, stream] of Object.entries(this.#streams)) {
      const where = `connection ${this.id} of process ${this.pid}, ${direction}`;
      if (stream.gaps > 0) {
        this.#anomalies.add('stream-gap', `${where}: ${stream.gapBytes} bytes`, stream.gaps);
      }
      if (stream.repeatedBytes > 0) {
        this.#anomalies.add('repeated-bytes', `${where}: ${stream.repeatedBytes} bytes`);
      }
    }
  }

  #requestHandler(): Http1Handler<RequestHead> {
    return {
      head: (head) => {
        if (this.#responseFramingLost) this.#dropOutstanding(0);
        this.#messages += 1;
        this.#sending = this.#route(this, head, this.#timeNs);
        this.#outstanding.push({ method: head.method, observer: this.#sending });
      },
      body: (bytes) => this.#sending?.requestData(bytes),
      bodyGap: () => {},
      end: (end) => {
        this.#sending?.requestEnd(end, this.#timeNs);
        this.#sending = undefined;
      },
      lost: (reason) => this.#lost('send', reason),
      upgraded: () => {},
    };
  }

  #responseHandler(): Http1Handler<ResponseHead> {
    return {
      head: (head) => {
        this.#messages += 1;
        this.#responseFramingLost = false;
        this.#receiving = this.#outstanding.shift()?.observer;
        if (this.#receiving === undefined) {
          this.#anomalies.add(
            'unpaired-message',
            `a response on connection ${this.id} of process ${this.pid}`,
          );
        }
        this.#receiving?.responseHead(head, this.#timeNs);
      },
      body: (bytes) => this.#receiving?.responseData(bytes, this.#timeNs),
      bodyGap: () => this.#receiving?.responseGap(),
      end: (end) => {
        this.#receiving?.responseEnd(end, this.#timeNs);
        this.#receiving = undefined;
      },
      lost: (reason) => {
        this.#responseFramingLost = true;
        if (this.#outstanding.length > 1) this.#dropOutstanding(1);
        this.#lost('receive', reason);
      },
      upgraded: () => this.#requests.upgrade(),
    };
  }

  #lost(direction: TlsEvent['direction'], reason: LossReason): void {
    const where = `connection ${this.id} of process ${this.pid}, ${direction}`;
    if (reason !== 'gap' && this.#messages === 0) this.#anomalies.add('not-http1', where);
    else this.#anomalies.add('framing-lost', `${where}: ${reason}`);
  }

  /**
   * After a loss: the responses to all but the newest `kept` requests are gone. Agents do not pipeline, so one
   * that sends its next request has done with the responses before it.
   */
  #dropOutstanding(kept: 0 | 1): void {
    if (kept === 0) this.#responseFramingLost = false;
    for (const { observer } of this.#outstanding.splice(0, this.#outstanding.length - kept)) {
      this.#anomalies.add('unpaired-message', `a request on connection ${this.id} of process ${this.pid}`);
      observer.responseLost();
    }
  }
}
