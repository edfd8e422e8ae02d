// Which request a response answers when the evidence holds each direction of a connection on its own. Exact where the
// protocol says it (the accept key of a WebSocket) or nothing else is possible; otherwise inferred, and counted.

import { field, type ResponseHead } from '../protocol/http1-head.js';
import { expectedAccept } from '../protocol/websocket-handshake.js';
import type { Anomalies } from './anomalies.js';
import type { RequestStream, ResponseStream } from './connection.js';

/** The request streams of one process. */
export class Pairing {
  readonly #anomalies: Anomalies;
  readonly #partners = new WeakMap<RequestStream, ResponseStream>();
  #requests: RequestStream[] = [];

  constructor(anomalies: Anomalies) {
    this.#anomalies = anomalies;
  }

  add(stream: RequestStream): RequestStream {
    this.#requests = this.#requests.filter((known) => !known.isFinished || known.waiting !== undefined);
    this.#requests.push(stream);
    return stream;
  }

  /**
   * Whose oldest waiting request `head` answers, or without a head whose socket was open before the capture;
   * undefined when none can be.
   */
  partner(responses: ResponseStream, head: ResponseHead | undefined): RequestStream | undefined {
    const found = head === undefined ? this.#findJoined(responses) : this.#find(responses, head);
    if (found !== undefined) this.#partners.set(found, responses);
    return found;
  }

  /** No more evidence of the process comes. */
  giveUp(): void {
    for (const stream of this.#requests) stream.giveUp();
  }

  /** Nothing names the partner of a socket that was open already: it is the one that was sent on last. */
  #findJoined(responses: ResponseStream): RequestStream | undefined {
    const joined = this.#requests.filter(
      (stream) => stream.joinedSocket !== undefined && !this.#partners.has(stream),
    );
    const sentNs = (stream: RequestStream) => stream.joinedSocket?.lastNs ?? 0n;
    const [last, ...others] = joined.sort((a, b) => Number(sentNs(b) - sentNs(a)));
    if (last !== undefined && others.length > 0) this.#inferred(responses, last);
    return last;
  }

  #inferred(responses: ResponseStream, found: RequestStream): void {
    this.#anomalies.add('inferred-pairing', `${responses.where}: answers ${found.where}, by their order`);
  }

  #find(responses: ResponseStream, head: ResponseHead): RequestStream | undefined {
    const waiting = this.#requests.filter((stream) => stream.waiting !== undefined);
    const accept = field(head.headers, 'sec-websocket-accept');
    if (accept !== undefined) {
      return waiting.find(({ waiting: request }) => expectedAccept(request?.head.headers ?? []) === accept);
    }
    const { partner } = responses;
    if (partner?.waiting !== undefined && this.#partners.get(partner) === responses) return partner;
    const free = waiting.filter((stream) => this.#partners.get(stream)?.isFinished !== false);
    const possible = free.length > 0 ? free : waiting;
    const likely = possible.filter((stream) => expectsEvents(stream) === isEventStream(head));
    const [first, ...others] = (likely.length > 0 ? likely : possible).sort(byAge);
    if (first !== undefined && (others.length > 0 || free.length === 0)) this.#inferred(responses, first);
    return first;
  }
}

function byAge(a: RequestStream, b: RequestStream): number {
  return Number((a.waiting?.sinceNs ?? 0n) - (b.waiting?.sinceNs ?? 0n));
}

function expectsEvents(stream: RequestStream): boolean {
  return /\btext\/event-stream\b/i.test(field(stream.waiting?.head.headers ?? [], 'accept') ?? '');
}

function isEventStream(head: ResponseHead): boolean {
  return /^text\/event-stream\b/i.test(field(head.headers, 'content-type') ?? '');
}
