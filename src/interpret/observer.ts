// Who is told what happens on the connections, and when. The shapes only: request-stream.ts and response-stream.ts tell, and exchange.ts chooses
// who listens.

import type { MessageEnd } from '../protocol/http1.js';
import type { RequestHead, ResponseHead } from '../protocol/http1-head.js';
import type { MessageDamage, WebSocketMessage } from '../protocol/websocket.js';

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
  /** The exchange has opened a WebSocket: who follows it, if anyone does. */
  openSocket?: (() => SocketObserver) | undefined;
}

export type Sender = 'client' | 'server';

/** Follows the messages of a WebSocket. */
export interface SocketObserver {
  message(from: Sender, message: WebSocketMessage, timeNs: bigint): void;
  /** Messages that cannot be told: one, or with `lost` all until the next that is told. */
  damaged(from: Sender, why: MessageDamage | 'lost', timeNs: bigint): void;
  /** That side sends nothing more: it said so, or its process is gone. */
  closed(from: Sender, how: 'told' | 'gone', timeNs: bigint): void;
}

/** Where an exchange begins. */
export interface Where {
  pid: number;
  connection: bigint;
  timeNs: bigint;
  /** On the connection: the stream of HTTP/2, or how many calls came before on the same WebSocket. */
  place?: number;
}

/** Chooses who follows what begins. */
export interface ExchangeRouter {
  exchange(head: RequestHead, where: Where): ExchangeObserver;
  /** A WebSocket that was open before the capture began. */
  openSocket(where: Where): SocketObserver;
}
