// The two directions of a client's connection: the HTTP/1.1 messages on them, which response answers which request,
// and the WebSocket that one of them may open. What a message means is the observer's business; how bytes get here,
// and which directions belong together, is connections.ts.

import type { ByteSink } from '../protocol/byte-stream.js';
import {
  type Http1Decoder,
  type Http1Handler,
  type LossReason,
  requestDecoder,
  responseDecoder,
  startsWithRequest,
  startsWithResponse,
} from '../protocol/http1.js';
import { field, type RequestHead, type ResponseHead } from '../protocol/http1-head.js';
import { startsWithObject, WebSocketDecoder } from '../protocol/websocket.js';
import { type Compression, webSocketParameters } from '../protocol/websocket-handshake.js';
import type { Anomalies } from './anomalies.js';
import type { ExchangeObserver, ExchangeRouter, Sender, SocketObserver } from './observer.js';

/**
 * What is taken for the compression of a socket that was open already: messages that refer to others cannot be read,
 * because those others were not seen.
 */
const UNSEEN_HANDSHAKE: Compression = { contextTakeover: false };

interface Outstanding {
  head: RequestHead;
  sinceNs: bigint;
  observer: ExchangeObserver;
}

/** What both directions share. */
abstract class DirectionOfConnection implements ByteSink {
  readonly pid: number;
  readonly id: bigint;
  /** Of the evidence that is being read. */
  timeNs = 0n;
  protected readonly anomalies: Anomalies;
  protected socket: WebSocketDecoder | undefined;
  protected abstract readonly http: ByteSink & Pick<Http1Decoder<never>, 'finish'>;
  protected abstract readonly direction: 'send' | 'receive';
  protected messages = 0;
  #hasBegun = false;
  #isFinished = false;
  #tellClose: ((how: 'told' | 'gone') => void) | undefined;

  constructor({ pid, connection }: { pid: number; connection: bigint }, anomalies: Anomalies) {
    this.pid = pid;
    this.id = connection;
    this.anomalies = anomalies;
  }

  get isFinished(): boolean {
    return this.#isFinished;
  }

  get where(): string {
    return `connection ${this.id} of process ${this.pid}, ${this.direction}`;
  }

  data(bytes: Uint8Array): void {
    const sender = this.direction === 'send' ? 'client' : 'server';
    const isUnknown = this.messages === 0 && this.socket === undefined;
    if (isUnknown && startsWithObject(bytes, sender, UNSEEN_HANDSHAKE)) {
      // What came before was the end of a message.
      if (this.#hasBegun) this.http.gap(Number.POSITIVE_INFINITY);
      this.join();
    }
    this.#hasBegun = true;
    (this.socket ?? this.http).data(bytes);
  }

  gap(length: number): void {
    (this.socket ?? this.http).gap(length);
  }

  /** The connection is over, at the latest: what was under way ends here. */
  finish(close: 'seen' | 'unseen' = 'unseen'): void {
    this.#isFinished = true;
    this.http.finish(close);
    this.socket?.finish();
    this.#tellClose?.(close === 'seen' ? 'told' : 'gone');
  }

  /** Whether `bytes` are the beginning of another connection, in the place of this one. */
  isReplacedBy(bytes: Uint8Array): boolean {
    return this.socket?.isBetweenFrames === true && this.begins(bytes);
  }

  protected abstract begins(bytes: Uint8Array): boolean;

  /** The connection is a WebSocket that was open before. */
  protected abstract join(): void;

  protected lost(reason: LossReason): void {
    if (reason !== 'gap' && this.messages === 0) this.anomalies.add('not-http1', this.where);
    else this.anomalies.add('framing-lost', `${this.where}: ${reason}`);
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
}

/** What a client sends. */
export class RequestStream extends DirectionOfConnection {
  protected readonly http: Http1Decoder<RequestHead>;
  protected readonly direction = 'send';
  readonly #route: ExchangeRouter;
  /** Requests without a whole response, oldest first. */
  readonly #outstanding: Outstanding[] = [];
  #sending: ExchangeObserver | undefined;
  /** The framing of the responses is lost: they cannot be told from each other any more. */
  #areResponsesLost = false;
  #joined: SocketObserver | undefined;

  constructor(place: { pid: number; connection: bigint }, route: ExchangeRouter, anomalies: Anomalies) {
    super(place, anomalies);
    this.#route = route;
    this.http = requestDecoder(this.#handler());
  }

  /** Of a socket that was open before the capture began: when the client last sent a piece of a message. */
  get joinedSocket(): { observer: SocketObserver; lastNs: bigint } | undefined {
    return this.#joined === undefined ? undefined : { observer: this.#joined, lastNs: this.timeNs };
  }

  /** The oldest request that has no response yet. */
  get waiting(): Outstanding | undefined {
    return this.#outstanding[0];
  }

  /** The response to the oldest request begins. */
  answered(): ExchangeObserver | undefined {
    this.#areResponsesLost = false;
    return this.#outstanding.shift()?.observer;
  }

  /** The framing of the responses is lost. Only the newest request can still get one that is told. */
  responsesLost(): void {
    this.#areResponsesLost = true;
    if (this.#outstanding.length > 1) this.#dropOutstanding(1);
  }

  /** Another protocol has taken over, as the other direction has seen. */
  upgraded(): void {
    this.http.upgrade();
  }

  openSocket(observer: SocketObserver, head: ResponseHead): void {
    this.decodeSocket(observer, 'client', webSocketParameters(head.headers).client);
  }

  /** No more evidence comes. */
  giveUp(): void {
    if (this.#areResponsesLost) this.#dropOutstanding(0);
  }

  protected begins(bytes: Uint8Array): boolean {
    return startsWithRequest(bytes);
  }

  protected join(): void {
    this.#joined = this.#route.openSocket({ pid: this.pid, connection: this.id, timeNs: this.timeNs });
    this.decodeSocket(this.#joined, 'client', UNSEEN_HANDSHAKE);
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
    };
  }

  /**
   * After a loss: the responses to all but the newest `kept` requests are gone. Agents do not pipeline, so one
   * that sends its next request has done with the responses before it.
   */
  #dropOutstanding(kept: 0 | 1): void {
    if (kept === 0) this.#areResponsesLost = false;
    for (const { observer } of this.#outstanding.splice(0, this.#outstanding.length - kept)) {
      this.anomalies.add('unpaired-message', `a request on connection ${this.id} of process ${this.pid}`);
      observer.responseLost();
    }
  }
}

/** Finds whose request a response answers, or without a head whose socket was open already. */
export type PartnerFinder = (
  responses: ResponseStream,
  head: ResponseHead | undefined,
) => RequestStream | undefined;

/** What a client receives. */
export class ResponseStream extends DirectionOfConnection {
  protected readonly http: Http1Decoder<ResponseHead>;
  protected readonly direction = 'receive';
  readonly #findPartner: PartnerFinder;
  #partner: RequestStream | undefined;
  /** Responses were lost before it was known whose they were. */
  #areOthersLost = false;
  #head: ResponseHead | undefined;
  /** Of the response that is being received, or was last. */
  #receiving: ExchangeObserver | undefined;

  /** `partner` is who sends the requests, if that is known from the start. */
  constructor(
    place: { pid: number; connection: bigint },
    findPartner: PartnerFinder,
    anomalies: Anomalies,
    partner?: RequestStream,
  ) {
    super(place, anomalies);
    this.#partner = partner;
    this.#findPartner = findPartner;
    this.http = responseDecoder(this.#handler(), (head) => {
      this.#partner = findPartner(this, head);
      if (this.#areOthersLost) this.#partner?.responsesLost();
      this.#areOthersLost = false;
      return this.#partner?.waiting?.head.method;
    });
  }

  /** Who sent the request that was answered last. */
  get partner(): RequestStream | undefined {
    return this.#partner;
  }

  protected begins(bytes: Uint8Array): boolean {
    return startsWithResponse(bytes);
  }

  protected join(): void {
    // The server may be heard first: whose socket it is turns out when the client sends.
    const client = (): SocketObserver | undefined => {
      if (this.#partner?.joinedSocket === undefined) this.#partner = this.#findPartner(this, undefined);
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

  #handler(): Http1Handler<ResponseHead> {
    return {
      head: (head) => {
        this.messages += 1;
        this.#head = head;
        this.#receiving = this.#partner?.answered();
        if (this.#receiving === undefined) {
          this.anomalies.add(
            'unpaired-message',
            `a response on connection ${this.id} of process ${this.pid}`,
          );
        }
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
    };
  }

  #upgraded(rest: Uint8Array): void {
    this.#partner?.upgraded();
    const head = this.#head;
    if (head?.status !== 101 || field(head.headers, 'sec-websocket-accept') === undefined) return;
    const observer = this.#receiving?.openSocket?.() ?? unobserved;
    this.#partner?.openSocket(observer, head);
    this.decodeSocket(observer, 'server', webSocketParameters(head.headers).server);
    this.socket?.data(rest);
  }
}

const unobserved: SocketObserver = { message() {}, damaged() {}, closed() {} };
