// Which request a response answers when the evidence holds each direction of a connection on its own. Exact where the
// protocol says it (the accept key of a WebSocket) or nothing else is possible; otherwise inferred, and counted.

import { field, type ResponseHead } from '../protocol/http1-head.js';
import { expectedAccept } from '../protocol/websocket-handshake.js';
import type { Anomalies } from './anomalies.js';
import type { Outstanding, RequestStream } from './request-stream.js';
import type { Answer, ResponseStream } from './response-stream.js';

/** The request streams of one process. */
export class Pairing {
  readonly #anomalies: Anomalies;
  readonly #partners = new WeakMap<RequestStream, ResponseStream>();
  /** By receiving context: whose connection it was opened for. */
  readonly #openedFor = new Map<bigint, { stream: RequestStream; isOnly: boolean }>();
  readonly #taken = new WeakSet<RequestStream>();
  /** Receiving contexts that were opened before their connection had sent anything. */
  #early: bigint[] = [];
  #requests: RequestStream[] = [];

  constructor(anomalies: Anomalies) {
    this.#anomalies = anomalies;
  }

  add(stream: RequestStream): RequestStream {
    this.#requests = this.#requests.filter((known) => !known.isFinished || known.isWaiting);
    this.#requests.push(stream);
    const early = this.#early.shift();
    if (early !== undefined) this.#take(early, [stream]);
    return stream;
  }

  /**
   * The server is heard for the first time in `context`. It answers a handshake at once, a request maybe long after:
   * connections are opened in the order in which their servers are first heard.
   */
  opened(context: bigint): void {
    const free = this.#requests.filter((stream) => !stream.isFinished && !this.#taken.has(stream));
    if (free.length === 0) this.#early.push(context);
    else this.#take(context, free);
  }

  #take(context: bigint, [stream, ...others]: RequestStream[]): void {
    if (stream === undefined) return;
    this.#taken.add(stream);
    this.#openedFor.set(context, { stream, isOnly: others.length === 0 });
  }

  /** Whose waiting request `answer` answers; undefined when none can be. */
  partner(responses: ResponseStream, answer: Answer): RequestStream | undefined {
    const found = answer === 'joined socket' ? this.#findJoined(responses) : this.#find(responses, answer);
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

  #find(responses: ResponseStream, { head, stream }: Exclude<Answer, string>): RequestStream | undefined {
    const { partner } = responses;
    const isKnown = partner !== undefined && this.#partners.get(partner) === responses;
    // One connection has both directions for as long as it lasts.
    if (isKnown && partner.isHttp2 && stream !== undefined) return partner;
    const waiting = this.#requests.flatMap((requests) => {
      const request = requests.waiting(stream);
      return request === undefined ? [] : [{ requests, request }];
    });
    const accept = field(head.headers, 'sec-websocket-accept');
    if (accept !== undefined) {
      return waiting.find(({ request }) => expectedAccept(request.head.headers) === accept)?.requests;
    }
    if (isKnown && partner.waiting(stream) !== undefined) return partner;
    const opened = this.#openedFor.get(responses.id);
    if (opened?.stream.waiting(stream) !== undefined && !this.#partners.has(opened.stream)) {
      if (!opened.isOnly) this.#inferred(responses, opened.stream);
      return opened.stream;
    }
    const free = waiting.filter(({ requests }) => this.#partners.get(requests)?.isFinished !== false);
    const possible = free.length > 0 ? free : waiting;
    const likely = possible.filter(({ request }) => expectsEvents(request) === isEventStream(head));
    const [first, ...others] = (likely.length > 0 ? likely : possible).sort(byAge);
    if (first === undefined) return undefined;
    if (others.length > 0 || free.length === 0) this.#inferred(responses, first.requests);
    return first.requests;
  }
}

function byAge(a: { request: Outstanding }, b: { request: Outstanding }): number {
  return Number(a.request.sinceNs - b.request.sinceNs);
}

function expectsEvents({ head }: Outstanding): boolean {
  return /\btext\/event-stream\b/i.test(field(head.headers, 'accept') ?? '');
}

function isEventStream(head: ResponseHead): boolean {
  return /^text\/event-stream\b/i.test(field(head.headers, 'content-type') ?? '');
}
