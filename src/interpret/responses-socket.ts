// Calls of the Responses API over a WebSocket: each `response.create` of the client begins one, and the server's
// messages are its events until it ends. Owns which message belongs to which call, and what a warm-up leaves out of
// the request that follows it.

import type { RequestHead } from '../protocol/http1-head.js';
import type { MessageDamage, WebSocketMessage } from '../protocol/websocket.js';
import type { Anomalies } from './anomalies.js';
import { arrayAt, type JsonObject, objectAt, parseObject, stringAt } from './json.js';
import type { Sender, SocketObserver, Where } from './observer.js';
import { type CallRequest, type CallSink, ResponsesCall } from './responses-call.js';

const SWITCHING_PROTOCOLS = 101;

/** Fields of the opening request that tell of its own moment, not of the calls that come later. */
const MOMENTARY_FIELDS = new Set(['x-codex-turn-metadata', 'x-codex-inference-call-id']);
/** What the client adds for the transport. */
const TRANSPORT_METADATA = 'x-codex-ws-stream-request-start-ms';

/** A call that made the server read the beginning of a request ahead. */
interface WarmUp {
  call: ResponsesCall;
  input: readonly unknown[];
}

export class ResponsesSocket implements SocketObserver {
  readonly #head: RequestHead;
  readonly #where: Where;
  readonly #sink: CallSink;
  readonly #anomalies: Anomalies;
  readonly #begun: (call: ResponsesCall) => void;
  /** The call whose events come now; undefined when that cannot be told. */
  #call: ResponsesCall | undefined;
  /** Messages of the server are missing since the call began. */
  #isIncomplete = false;
  #calls = 0;
  #warmUp: WarmUp | undefined;

  constructor(
    head: RequestHead,
    where: Where,
    sink: CallSink,
    anomalies: Anomalies,
    begun: (call: ResponsesCall) => void,
  ) {
    this.#head = { ...head, headers: head.headers.filter(([name]) => !MOMENTARY_FIELDS.has(name)) };
    this.#where = where;
    this.#sink = sink;
    this.#anomalies = anomalies;
    this.#begun = begun;
  }

  message(from: Sender, { kind, bytes }: WebSocketMessage, timeNs: bigint): void {
    if (kind !== 'text') return;
    const text = bytes.toString('utf8');
    if (from === 'client') this.#sent(text, timeNs);
    else this.#call?.event(undefined, text, timeNs);
  }

  damaged(from: Sender, why: MessageDamage | 'lost'): void {
    if (why === 'unseen-context') {
      const what = 'a message is compressed by reference to others, which were not seen';
      this.#anomalies.add(why, `${this.#name()}: ${what} (begin the capture before the agent connects)`);
    } else if (from === 'client') {
      this.#anomalies.add('unreadable-request', `${this.#name()}: a message, ${why}`);
    } else if (why !== 'lost') {
      this.#anomalies.add('unreadable-event', `${this.#name()}: a message, ${why}`);
    }
    if (from === 'server') {
      this.#isIncomplete = true;
      return;
    }
    this.#endIncomplete();
    this.#call = undefined;
  }

  /** A server that closes has ended the call; a client that closes, or is gone, has given it up. */
  closed(from: Sender, how: 'told' | 'gone', timeNs: bigint): void {
    const call = this.#call;
    if (from === 'client' || call === undefined || call.end !== undefined) return;
    this.#endIncomplete();
    if (how === 'gone' || call.end !== undefined) return;
    call.lastNs = timeNs;
    call.ended({ kind: 'failed', error: 'connection closed without a final event' });
  }

  /** A message that is missing may have been the end. */
  #endIncomplete(): void {
    if (this.#isIncomplete) this.#call?.lost();
    this.#isIncomplete = false;
  }

  #sent(text: string, timeNs: bigint): void {
    const body = parseObject(text);
    if (body !== undefined && stringAt(body, 'type') !== 'response.create') return;
    this.#endIncomplete();
    const where = { ...this.#where, timeNs, transport: 'websocket' as const, place: this.#calls };
    const call = new ResponsesCall(this.#head, where, this.#sink, this.#anomalies);
    call.status = SWITCHING_PROTOCOLS;
    this.#calls += 1;
    this.#call = call;
    this.#begun(call);
    call.requested(this.#request(text, body), timeNs);
    const input = arrayAt(body, 'input');
    if (call.isWarmUp && input !== undefined) this.#warmUp = { call, input };
  }

  #request(text: string, body: JsonObject | undefined): CallRequest | undefined {
    const input = arrayAt(body, 'input');
    if (body === undefined || input === undefined) {
      this.#anomalies.add('unreadable-request', `${this.#name()}: not a JSON object with an input list`);
      return undefined;
    }
    const previous = stringAt(body, 'previous_response_id');
    if (previous === undefined || previous !== this.#warmUp?.call.responseId) return { text, body, input };
    const whole = [...this.#warmUp.input, ...input];
    const restored = { ...withoutTransport(body), input: whole };
    return { text: JSON.stringify(restored), body: restored, input: whole };
  }

  #name(): string {
    const { method, target } = this.#head;
    const what = target === '' ? 'a WebSocket that was open before' : `${method} ${target}`;
    return `${what}, of process ${this.#where.pid}`;
  }
}

/** Codex records the request after a warm-up, which it does not record, as it would have been without one. */
function withoutTransport(body: JsonObject): JsonObject {
  const { type: _type, previous_response_id: _previous, ...request } = body;
  const metadata = objectAt(body, 'client_metadata');
  if (metadata === undefined) return request;
  const { [TRANSPORT_METADATA]: _start, ...kept } = metadata;
  return { ...request, client_metadata: kept };
}
