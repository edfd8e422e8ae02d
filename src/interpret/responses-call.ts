// One call of the Responses API: the request as sent, the output items as they are finished, and how it
// ended. Owns the reading of the event stream; what a call means for its thread is thread.ts.

import type { MessageEnd } from '../protocol/http1.js';
import { bodyCodings, field, type RequestHead, type ResponseHead } from '../protocol/http1-head.js';
import { SseDecoder, type SseEvent } from '../protocol/sse.js';
import type { Anomalies } from './anomalies.js';
import type { ExchangeObserver } from './connection.js';
import { arrayAt, isObject, type JsonObject, objectAt, parseObject, stringAt } from './json.js';
import { echoed } from './model-item.js';
import { type TokenUsage, tokenUsage } from './token-usage.js';
import { type WireIds, wireIds } from './wire-ids.js';

const CALL_LIMITS = {
  /** Bytes of a request body, and of a response that is not an event stream. */
  bodyBytes: 128 * 1024 * 1024,
  /** Characters of an error body that are kept. */
  errorChars: 2000,
} as const;

/** How a call ended, as the wire shows it. */
export type CallEnd =
  | { kind: 'completed' }
  /** The server ended it without success, or the stream ended without a final event. */
  | { kind: 'failed'; error: string }
  /** An HTTP error: the client may send the same request again. */
  | { kind: 'http-error'; error: string }
  /** Bytes of the response are missing or cannot be read. */
  | { kind: 'unknown' };

export interface CallSink {
  /** The request is whole. What it holds is not kept: take what is needed. */
  requested(call: ResponsesCall, request: CallRequest): void;
  /** The model has finished an output item. */
  item(call: ResponsesCall, item: JsonObject, timeNs: bigint): void;
  /** Afterwards the call forgets its items. */
  ended(call: ResponsesCall, end: CallEnd, timeNs: bigint): void;
}

/** A request that can be told: its body is known and has a list of input items. */
export interface CallRequest {
  /** The body as it was on the wire. */
  text: string;
  body: JsonObject;
  input: readonly unknown[];
}

const TERMINAL = new Set(['response.completed', 'response.failed', 'response.incomplete', 'error']);
const RELEVANT = new Set([...TERMINAL, 'response.created', 'response.output_item.done']);

export class ResponsesCall implements ExchangeObserver {
  readonly head: RequestHead;
  readonly pid: number;
  readonly connection: bigint;
  /** When the request's head had been sent, and when the last piece of the response was received. */
  readonly startedNs: bigint;
  lastNs: bigint;
  /** Undefined until the request has been read, and for good when it cannot be. */
  ids: WireIds | undefined;
  model: string | undefined;
  status: number | undefined;
  responseId: string | undefined;
  upstreamRequestId: string | undefined;
  usage: TokenUsage | undefined;
  /** Finished output items, as the client will echo them. */
  items: JsonObject[] = [];
  end: CallEnd | undefined;
  readonly #sink: CallSink;
  readonly #anomalies: Anomalies;
  #requestBody: Buffer[] = [];
  #isRequestRead = false;
  #requestBytes = 0;
  #stream: SseDecoder | undefined;
  #responseBody: Buffer[] | undefined;
  #responseBytes = 0;
  #gap = false;

  constructor(
    head: RequestHead,
    where: { pid: number; connection: bigint; timeNs: bigint },
    sink: CallSink,
    anomalies: Anomalies,
  ) {
    this.head = head;
    this.pid = where.pid;
    this.connection = where.connection;
    this.startedNs = where.timeNs;
    this.lastNs = where.timeNs;
    this.#sink = sink;
    this.#anomalies = anomalies;
  }

  requestData(bytes: Uint8Array): void {
    this.#requestBytes += bytes.length;
    if (this.#requestBytes <= CALL_LIMITS.bodyBytes) this.#requestBody.push(Buffer.from(bytes));
    else this.#requestBody = [];
  }

  requestEnd(end: MessageEnd, timeNs: bigint): void {
    this.lastNs = timeNs;
    const request = this.#readRequest(end);
    this.#requestBody = [];
    this.#isRequestRead = true;
    if (request !== undefined) {
      this.ids = wireIds(this.head, request.body);
      this.model = stringAt(request.body, 'model');
      this.#sink.requested(this, request);
    }
    // A server may answer before it has read all.
    if (this.end !== undefined) this.#tellEnd(this.end, timeNs);
  }

  responseHead(head: ResponseHead, timeNs: bigint): void {
    this.lastNs = timeNs;
    this.status = head.status;
    this.upstreamRequestId = field(head.headers, 'x-request-id');
    const codings = bodyCodings(head.headers);
    if (codings.length > 0) {
      this.#anomalies.add('undecoded-body', `${this.#where()}, response: ${codings.join(', ')}`);
      this.#gap = true;
    } else if (
      head.status < 300 &&
      /^text\/event-stream\b/i.test(field(head.headers, 'content-type') ?? '')
    ) {
      this.#stream = new SseDecoder((event) => this.#event(event));
    } else {
      this.#responseBody = [];
    }
  }

  responseData(bytes: Uint8Array, timeNs: bigint): void {
    this.lastNs = timeNs;
    this.#stream?.data(bytes);
    if (this.#responseBody === undefined) return;
    this.#responseBytes += bytes.length;
    if (this.#responseBytes <= CALL_LIMITS.bodyBytes) this.#responseBody.push(Buffer.from(bytes));
    else this.#overLimit('response');
  }

  responseGap(): void {
    this.#gap = true;
    this.#stream?.gap();
  }

  responseEnd(end: MessageEnd, timeNs: bigint): void {
    this.lastNs = timeNs;
    this.#stream?.finish();
    if (this.end === undefined && this.#responseBody !== undefined) this.#wholeBody(this.#responseBody, end);
    const dropped = this.#stream?.dropped ?? 0;
    this.#responseBody = undefined;
    this.#stream = undefined;
    if (dropped > 0) {
      this.#anomalies.add('unreadable-event', `${this.#where()}: longer than the limit`, dropped);
    }
    if (this.end !== undefined) return;
    if (this.#gap || end.how === 'damaged') this.#unknown();
    else if (end.how === 'whole')
      this.#ended({ kind: 'failed', error: 'stream ended without a final event' });
  }

  responseLost(): void {
    if (this.end === undefined) this.#unknown();
  }

  #readRequest(end: MessageEnd): CallRequest | undefined {
    const codings = bodyCodings(this.head.headers);
    if (codings.length > 0) {
      this.#anomalies.add('undecoded-body', `${this.#where()}, request: ${codings.join(', ')}`);
      return undefined;
    }
    if (this.#requestBytes > CALL_LIMITS.bodyBytes) return this.#overLimit('request');
    const text = Buffer.concat(this.#requestBody).toString('utf8');
    const whole = end.how === 'whole';
    const body = whole ? parseObject(text) : undefined;
    const input = arrayAt(body, 'input');
    if (body === undefined || input === undefined) {
      const why = whole ? 'not a JSON object with an input list' : 'bytes are missing';
      this.#anomalies.add('unreadable-request', `${this.#where()}: ${why}`);
      return undefined;
    }
    return { text, body, input };
  }

  #event({ event, data }: SseEvent): void {
    if (this.end !== undefined || (event !== undefined && !RELEVANT.has(event))) return;
    const body = parseObject(data);
    if (body === undefined) {
      if (data !== '[DONE]') this.#anomalies.add('unreadable-event', `${this.#where()}: not a JSON object`);
      return;
    }
    const type = stringAt(body, 'type') ?? event ?? '';
    if (type === 'response.created') this.responseId = stringAt(body.response, 'id');
    else if (type === 'response.output_item.done') this.#item(objectAt(body, 'item'));
    else if (TERMINAL.has(type)) this.#final(type, type === 'error' ? body : objectAt(body, 'response'));
  }

  #item(item: JsonObject | undefined): void {
    if (item === undefined) return;
    const kept = echoed(item);
    this.items.push(kept);
    this.#sink.item(this, kept, this.lastNs);
  }

  /** `response` is the response object, or the error itself when the server sent only that. */
  #final(type: string, response: JsonObject | undefined): void {
    this.responseId = stringAt(response, 'id') ?? this.responseId;
    this.usage = tokenUsage(response);
    this.#addMissingItems(arrayAt(response, 'output') ?? []);
    switch (type) {
      case 'response.completed':
        this.#ended({ kind: 'completed' });
        return;
      case 'response.incomplete': {
        const reason = stringAt(objectAt(response, 'incomplete_details'), 'reason') ?? 'unknown';
        this.#ended({ kind: 'failed', error: `incomplete response: ${reason}` });
        return;
      }
      default:
        this.#ended({ kind: 'failed', error: errorText(objectAt(response, 'error') ?? response) });
    }
  }

  /** The final response repeats all items: those whose own event was lost or never sent come from there. */
  #addMissingItems(output: readonly unknown[]): void {
    const known = new Set(this.items.map((item) => stringAt(item, 'id')));
    const anonymous = this.items.length === 0;
    for (const item of output) {
      const id = stringAt(item, 'id');
      if (isObject(item) && (id === undefined ? anonymous : !known.has(id))) this.#item(item);
    }
    const order = output.map((item) => stringAt(item, 'id'));
    const rank = (item: JsonObject) => order.indexOf(stringAt(item, 'id'));
    if (this.items.every((item) => rank(item) >= 0)) this.items.sort((a, b) => rank(a) - rank(b));
  }

  #wholeBody(parts: readonly Buffer[], end: MessageEnd): void {
    const text = Buffer.concat(parts).toString('utf8');
    if (this.status !== undefined && this.status >= 300) {
      const body = text.slice(0, CALL_LIMITS.errorChars);
      this.#ended({ kind: 'http-error', error: `HTTP ${this.status}${body === '' ? '' : `: ${body}`}` });
      return;
    }
    const response = end.how === 'damaged' ? undefined : parseObject(text);
    if (response !== undefined)
      this.#final(`response.${stringAt(response, 'status') ?? 'completed'}`, response);
  }

  #unknown(): void {
    this.#anomalies.add('incomplete-response', this.#where());
    this.#ended({ kind: 'unknown' });
  }

  #ended(end: CallEnd): void {
    this.end = end;
    if (this.#isRequestRead) this.#tellEnd(end, this.lastNs);
  }

  #tellEnd(end: CallEnd, timeNs: bigint): void {
    this.#sink.ended(this, end, timeNs);
    this.items = [];
  }

  #overLimit(which: string): undefined {
    if (which === 'response') this.#responseBody = undefined;
    this.#gap ||= which === 'response';
    this.#anomalies.add('body-over-limit', `${this.#where()}, ${which}`);
    return undefined;
  }

  #where(): string {
    return `${this.head.method} ${this.head.target} of process ${this.pid}`;
  }
}

function errorText(error: JsonObject | undefined): string {
  const parts = [stringAt(error, 'code') ?? stringAt(error, 'type'), stringAt(error, 'message')];
  return parts.filter((part) => part !== undefined).join(': ') || 'no reason given';
}
