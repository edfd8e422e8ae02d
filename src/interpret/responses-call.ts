// One call of the Responses API, or of another that is read as such, over whatever carried it: the request as sent, the output items as they are
// finished, and how it ended. Owns the meaning of requests and events; how they are found on the wire is
// http-call.ts and responses-socket.ts, and what a call means for its thread is thread.ts.

import type { RequestHead } from '../protocol/http1-head.js';
import type { Anomalies } from './anomalies.js';
import type { ApiReader } from './api-reader.js';
import { arrayAt, isObject, type JsonObject, objectAt, parseObject, stringAt } from './json.js';
import { echoed } from './model-item.js';
import type { Where } from './observer.js';
import { type TokenUsage, tokenUsage } from './token-usage.js';
import { type WireIds, wireIds } from './wire-ids.js';

/** How a call ended, as the wire shows it. */
export type CallEnd =
  | { kind: 'completed' }
  /** The server ended it without success, or the stream ended without a final event. */
  | { kind: 'failed'; error: string }
  /** An HTTP error, or no response at all: the client may send the same request again. */
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
  /** The body as it was on the wire, but for what stands in for a warm-up. */
  text: string;
  body: JsonObject;
  input: readonly unknown[];
  /** Messages of the user so far, where these are not the items with that role. */
  userMessages?: number;
}

export type Transport = 'http' | 'websocket';

const CALL_LIMITS = {
  /** Characters of the events that hold the items of one response. */
  itemChars: 256 * 1024 * 1024,
} as const;

const TERMINAL = new Set(['response.completed', 'response.failed', 'response.incomplete', 'error']);
const RELEVANT = new Set([...TERMINAL, 'response.created', 'response.output_item.done']);

export class ResponsesCall {
  /** Of the HTTP request, or of the one that opened the WebSocket. */
  readonly head: RequestHead;
  readonly transport: Transport;
  readonly pid: number;
  readonly connection: bigint;
  /** On the connection: the stream of HTTP/2, or how many calls came before on the same WebSocket. */
  readonly place: number;
  /** When the request began, and when the last piece of the response was received. */
  readonly startedNs: bigint;
  lastNs: bigint;
  /** Undefined until the request has been read, and for good when it cannot be. */
  ids: WireIds | undefined;
  model: string | undefined;
  /** It only prepares the server for the call that follows; the model is not asked for anything. */
  isWarmUp = false;
  status: number | undefined;
  responseId: string | undefined;
  upstreamRequestId: string | undefined;
  usage: TokenUsage | undefined;
  /** Finished output items, as the client will echo them. */
  items: JsonObject[] = [];
  end: CallEnd | undefined;
  /** Its connection ended before, and it may have been the server that ended it. */
  isPerhapsBroken = false;
  /** Of an API other than the Responses API. */
  reader: ApiReader | undefined;
  readonly #sink: CallSink;
  readonly #anomalies: Anomalies;
  readonly #limits: Record<keyof typeof CALL_LIMITS, number>;
  #isRequestRead = false;
  #itemChars = 0;

  constructor(
    head: RequestHead,
    where: Where & { transport: Transport },
    sink: CallSink,
    anomalies: Anomalies,
    limits: Record<keyof typeof CALL_LIMITS, number> = CALL_LIMITS,
  ) {
    this.#limits = limits;
    this.head = head;
    this.transport = where.transport;
    this.pid = where.pid;
    this.connection = where.connection;
    this.place = where.place ?? 0;
    this.startedNs = where.timeNs;
    this.lastNs = where.timeNs;
    this.#sink = sink;
    this.#anomalies = anomalies;
  }

  get where(): string {
    return `${this.head.method} ${this.head.target} of process ${this.pid}`;
  }

  /** The request is over; `request` is undefined when it cannot be told. */
  requested(request: CallRequest | undefined, timeNs: bigint): void {
    this.lastNs = timeNs;
    this.#isRequestRead = true;
    if (request !== undefined) {
      this.ids = wireIds(this.head, request.body);
      this.model = stringAt(request.body, 'model');
      this.isWarmUp = request.body.generate === false;
      this.#sink.requested(this, request);
    }
    // A server may answer before it has read all.
    if (this.end !== undefined) this.#tellEnd(this.end);
  }

  /** One event of the response as JSON text; `name` is its type where the transport tells it beside the text. */
  event(name: string | undefined, data: string, timeNs: bigint): void {
    this.lastNs = timeNs;
    if (this.end !== undefined) return;
    if (this.reader === undefined && name !== undefined && !RELEVANT.has(name)) return;
    this.#itemChars += data.length;
    if (this.#itemChars > this.#limits.itemChars) {
      this.#anomalies.add('body-over-limit', `${this.where}, response`);
      this.lost();
      return;
    }
    const body = parseObject(data);
    if (body === undefined) {
      if (data === '[DONE]') this.#applyAll(this.reader?.end() ?? []);
      else this.#anomalies.add('unreadable-event', `${this.where}: not a JSON object`);
    } else if (this.reader === undefined) this.#apply(stringAt(body, 'type') ?? name ?? '', body);
    else this.#applyAll(this.reader.event(name, body));
  }

  #applyAll(events: readonly JsonObject[]): void {
    for (const event of events) this.#apply(stringAt(event, 'type') ?? '', event);
  }

  #apply(type: string, body: JsonObject): void {
    if (type === 'response.created') this.responseId = stringAt(body.response, 'id');
    else if (type === 'response.output_item.done') this.#item(objectAt(body, 'item'));
    else if (TERMINAL.has(type)) this.#final(type, type === 'error' ? body : objectAt(body, 'response'));
  }

  /** The response came as a whole. */
  response(sent: JsonObject): void {
    const body = this.reader?.response(sent) ?? sent;
    this.#final(`response.${stringAt(body, 'status') ?? 'completed'}`, body);
  }

  /** Nothing more comes, and no final event was among what came; `why` says what happened instead. */
  over(why: string): void {
    this.cut();
    if (this.end === undefined) this.ended({ kind: 'failed', error: why });
  }

  /** The connection ended first: how it would have gone on is not known, nor if `unsure` whether the server ended it. */
  cut(by: 'unsure' | 'client' = 'client'): void {
    this.isPerhapsBroken = by === 'unsure';
    if (this.end === undefined) this.#applyAll(this.reader?.end() ?? []);
  }

  /** `response` is the response object, or the error itself when the server sent only that. */
  #final(type: string, response: JsonObject | undefined): void {
    this.responseId = stringAt(response, 'id') ?? this.responseId;
    this.usage = tokenUsage(response);
    this.#addMissingItems(arrayAt(response, 'output') ?? []);
    switch (type) {
      case 'response.completed':
        this.ended({ kind: 'completed' });
        return;
      case 'response.incomplete': {
        const reason = stringAt(objectAt(response, 'incomplete_details'), 'reason') ?? 'unknown';
        this.ended({ kind: 'failed', error: `incomplete response: ${reason}` });
        return;
      }
      default:
        this.ended({ kind: 'failed', error: errorText(objectAt(response, 'error') ?? response) });
    }
  }

  /** Bytes are missing, so that its outcome will not be known. */
  lost(): void {
    if (this.end !== undefined) return;
    this.#anomalies.add('incomplete-response', this.where);
    this.ended({ kind: 'unknown' });
  }

  ended(end: CallEnd): void {
    this.end = end;
    if (this.#isRequestRead) this.#tellEnd(end);
  }

  #item(item: JsonObject | undefined): void {
    if (item === undefined) return;
    const kept = echoed(item);
    this.items.push(kept);
    this.#sink.item(this, kept, this.lastNs);
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

  #tellEnd(end: CallEnd): void {
    this.#sink.ended(this, end, this.lastNs);
    this.items = [];
  }
}

function errorText(error: JsonObject | undefined): string {
  const parts = [stringAt(error, 'code') ?? stringAt(error, 'type'), stringAt(error, 'message')];
  return parts.filter((part) => part !== undefined).join(': ') || 'no reason given';
}
