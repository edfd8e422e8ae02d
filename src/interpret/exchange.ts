// Exchanges as a summary lists them, whether or not they are in a bundle, and the choice of who follows one that
// begins.

import { ContentDecoders } from '../protocol/content-decoder.js';
import type { MessageEnd } from '../protocol/http1.js';
import { field, type RequestHead, type ResponseHead } from '../protocol/http1-head.js';
import type { Anomalies } from './anomalies.js';
import { Conversations } from './conversations.js';
import { HttpCallObserver } from './http-call.js';
import { apiOfPath } from './known-apis.js';
import type { ExchangeObserver, ExchangeRouter, SocketObserver, Where } from './observer.js';
import { type CallSink, ResponsesCall, type Transport } from './responses-call.js';
import { ResponsesSocket } from './responses-socket.js';
import { toMs } from './time.js';
import type { TokenUsage } from './token-usage.js';

export type Outcome = 'completed' | 'failed' | 'cancelled' | 'running' | 'unknown';

export interface Exchange {
  pid: number;
  method: string;
  host: string | undefined;
  /** The target without its query, which may hold a key. */
  path: string;
  status: number | undefined;
  startedAtUnixMs: number;
  /** When the last piece of the response was received. */
  lastAtUnixMs: number;
  /** The messages of a WebSocket count as exchanges of their own when they are calls of the Responses API. */
  transport: Transport;
  /** Of a call of a model, undefined for every other exchange. */
  call: CallSummary | undefined;
}

interface CallSummary {
  /** `responses`, or the API that the call was translated from. */
  api: string;
  /** False for what is no inference of a thread: compactions, calls without ids, requests not readable. */
  inTrace: boolean;
  outcome: Outcome;
  model: string | undefined;
  threadId: string | undefined;
  turnId: string | undefined;
  requestKind: string | undefined;
  responseId: string | undefined;
  usage: TokenUsage | undefined;
}

/**
 * Follows calls of models, and the frame of every other exchange: those of the Responses API, at `…/responses` and
 * `…/responses/compact` below any base path, of Chat Completions and of Anthropic's Messages. `begun` is told of each
 * one in the order of the requests, `ended` of the others' ends; those of calls `sink` is told.
 */
export function routeExchanges(
  sink: CallSink,
  anomalies: Anomalies,
  begun: (exchange: ResponsesCall | OtherExchange) => void,
  ended?: (exchange: OtherExchange) => void,
): ExchangeRouter {
  const decoders = new ContentDecoders();
  const told = withAllIds(sink, anomalies);
  return {
    exchange(head, where) {
      const path = pathOf(head.target);
      const isResponses = path.endsWith('/responses');
      const isCompaction = path.endsWith('/responses/compact');
      const reader = apiOfPath(path, head);
      // What cannot be told by its path is told by its body.
      const isUnknown = head.target === '' && head.isPartial === true;
      const isCall = isResponses || isCompaction || isUnknown || reader !== undefined;
      if (isCall && head.method === 'POST') {
        const call = new ResponsesCall(head, { ...where, transport: 'http' }, told, anomalies);
        call.reader = reader;
        begun(call);
        return new HttpCallObserver(call, decoders, anomalies);
      }
      const openSocket = () => new ResponsesSocket(head, where, told, anomalies, begun);
      const other = new OtherExchange(head, where, {
        openSocket: isResponses ? openSocket : undefined,
        ended,
      });
      begun(other);
      return other;
    },
    openSocket: (where) => new ResponsesSocket(UNSEEN_UPGRADE, where, told, anomalies, begun),
  };
}

/** Calls that do not name their thread or turn get ids before `sink` is told of them. */
function withAllIds(sink: CallSink, anomalies: Anomalies): CallSink {
  const conversations = new Conversations();
  return {
    requested(call, request) {
      if (conversations.complete(call, request)) anomalies.add('inferred-thread', call.where);
      sink.requested(call, request);
    },
    item: (call, item, timeNs) => sink.item(call, item, timeNs),
    ended(call, end, timeNs) {
      conversations.ended(call);
      sink.ended(call, end, timeNs);
    },
  };
}

const SWITCHING_PROTOCOLS = 101;

/** The request that opened a socket before the capture began. */
const UNSEEN_UPGRADE: RequestHead = { method: 'GET', target: '', headers: [] };

export function summarize(call: ResponsesCall, outcome: Outcome | undefined): Exchange {
  const { ids } = call;
  const ended = call.end?.kind === 'http-error' ? 'failed' : call.end?.kind;
  return {
    pid: call.pid,
    ...target(call.head),
    status: call.status,
    startedAtUnixMs: toMs(call.startedNs),
    lastAtUnixMs: toMs(call.lastNs),
    transport: call.transport,
    call: {
      api: call.reader?.name ?? 'responses',
      inTrace: outcome !== undefined,
      outcome: outcome ?? ended ?? 'unknown',
      model: call.model,
      threadId: ids?.threadId,
      turnId: ids?.turnId,
      requestKind: ids?.requestKind,
      responseId: call.responseId,
      usage: call.usage,
    },
  };
}

/** An exchange of which only the frame is kept. */
export class OtherExchange implements ExchangeObserver {
  readonly pid: number;
  readonly head: RequestHead;
  readonly #startedNs: bigint;
  #lastNs: bigint;
  /** Of the answer; undefined while there is none. */
  status: number | undefined;
  /** Of the bodies, in their content codings. */
  sentBytes = 0;
  receivedBytes = 0;
  /** The answer was seen to its end. */
  isWhole = false;
  /** The request has ended, which may be after its answer. */
  isSent = false;
  readonly openSocket: (() => SocketObserver) | undefined;
  readonly #ended: ((exchange: OtherExchange) => void) | undefined;

  constructor(
    head: RequestHead,
    where: Where,
    follow: {
      openSocket: (() => SocketObserver) | undefined;
      ended: ((exchange: OtherExchange) => void) | undefined;
    },
  ) {
    this.head = head;
    this.openSocket = follow.openSocket;
    this.#ended = follow.ended;
    this.pid = where.pid;
    this.#startedNs = where.timeNs;
    this.#lastNs = where.timeNs;
  }

  summary(): Exchange {
    return {
      pid: this.pid,
      ...target(this.head),
      status: this.status,
      startedAtUnixMs: toMs(this.#startedNs),
      lastAtUnixMs: toMs(this.#lastNs),
      transport: 'http',
      call: undefined,
    };
  }

  requestData(bytes: Uint8Array): void {
    this.sentBytes += bytes.length;
  }

  requestEnd(_end: MessageEnd, timeNs: bigint): void {
    this.isSent = true;
    this.#lastNs = timeNs;
  }

  responseHead(head: ResponseHead, timeNs: bigint): void {
    this.status = head.status;
    this.#lastNs = timeNs;
    if (head.status !== SWITCHING_PROTOCOLS) return;
    this.isWhole = true;
    this.#ended?.(this);
  }

  responseData(bytes: Uint8Array, timeNs: bigint): void {
    this.receivedBytes += bytes.length;
    this.#lastNs = timeNs;
  }

  responseGap(): void {}

  responseEnd({ how }: MessageEnd): void {
    this.isWhole = how === 'whole';
    this.#ended?.(this);
  }

  responseLost(): void {}
}

function pathOf(requestTarget: string): string {
  const [path = ''] = requestTarget.split(/[?#]/, 1);
  return path;
}

function target(head: RequestHead): Pick<Exchange, 'method' | 'host' | 'path'> {
  return { method: head.method, host: field(head.headers, 'host'), path: pathOf(head.target) };
}
