// A call of the Responses API as one HTTP exchange: the body of the request, and a response that is an event stream,
// a JSON document or an error.

import type { MessageEnd } from '../protocol/http1.js';
import { bodyCodings, field, type ResponseHead } from '../protocol/http1-head.js';
import { SseDecoder } from '../protocol/sse.js';
import type { Anomalies } from './anomalies.js';
import { arrayAt, parseObject, stringAt } from './json.js';
import type { ExchangeObserver } from './observer.js';
import type { CallRequest, ResponsesCall } from './responses-call.js';

const CALL_LIMITS = {
  /** Bytes of a request body, and of a response that is not an event stream. */
  bodyBytes: 128 * 1024 * 1024,
  /** Characters of an error body that are kept. */
  errorChars: 2000,
} as const;

export class HttpCallObserver implements ExchangeObserver {
  readonly #call: ResponsesCall;
  readonly #anomalies: Anomalies;
  #requestBody: Buffer[] = [];
  #requestBytes = 0;
  #stream: SseDecoder | undefined;
  #responseBody: Buffer[] | undefined;
  #responseBytes = 0;
  #gap = false;

  constructor(call: ResponsesCall, anomalies: Anomalies) {
    this.#call = call;
    this.#anomalies = anomalies;
  }

  requestData(bytes: Uint8Array): void {
    this.#requestBytes += bytes.length;
    if (this.#requestBytes <= CALL_LIMITS.bodyBytes) this.#requestBody.push(Buffer.from(bytes));
    else this.#requestBody = [];
  }

  requestEnd(end: MessageEnd, timeNs: bigint): void {
    const request = this.#readRequest(end);
    this.#requestBody = [];
    this.#call.requested(request, timeNs);
  }

  responseHead(head: ResponseHead, timeNs: bigint): void {
    this.#call.lastNs = timeNs;
    this.#call.status = head.status;
    this.#call.upstreamRequestId = field(head.headers, 'x-request-id');
    const codings = bodyCodings(head.headers);
    if (codings.length > 0) {
      this.#anomalies.add('undecoded-body', `${this.#call.where}, response: ${codings.join(', ')}`);
      this.#gap = true;
    } else if (
      head.status < 300 &&
      /^text\/event-stream\b/i.test(field(head.headers, 'content-type') ?? '')
    ) {
      this.#stream = new SseDecoder(({ event, data }) => this.#call.event(event, data, this.#call.lastNs));
    } else {
      this.#responseBody = [];
    }
  }

  responseData(bytes: Uint8Array, timeNs: bigint): void {
    this.#call.lastNs = timeNs;
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
    const call = this.#call;
    call.lastNs = timeNs;
    this.#stream?.finish();
    if (call.end === undefined && this.#responseBody !== undefined) this.#wholeBody(this.#responseBody, end);
    const dropped = this.#stream?.dropped ?? 0;
    this.#responseBody = undefined;
    this.#stream = undefined;
    if (dropped > 0) {
      this.#anomalies.add('unreadable-event', `${call.where}: longer than the limit`, dropped);
    }
    if (call.end !== undefined) return;
    if (this.#gap || end.how === 'damaged') call.lost();
    else if (end.how === 'whole') {
      call.ended({ kind: 'failed', error: 'stream ended without a final event' });
    }
  }

  responseLost(): void {
    this.#call.lost();
  }

  #readRequest(end: MessageEnd): CallRequest | undefined {
    const codings = bodyCodings(this.#call.head.headers);
    if (codings.length > 0) {
      this.#anomalies.add('undecoded-body', `${this.#call.where}, request: ${codings.join(', ')}`);
      return undefined;
    }
    if (this.#requestBytes > CALL_LIMITS.bodyBytes) return this.#overLimit('request');
    const text = Buffer.concat(this.#requestBody).toString('utf8');
    const whole = end.how === 'whole';
    const body = whole ? parseObject(text) : undefined;
    const input = arrayAt(body, 'input');
    if (body === undefined || input === undefined) {
      const why = whole ? 'not a JSON object with an input list' : 'bytes are missing';
      this.#anomalies.add('unreadable-request', `${this.#call.where}: ${why}`);
      return undefined;
    }
    return { text, body, input };
  }

  #wholeBody(parts: readonly Buffer[], end: MessageEnd): void {
    const call = this.#call;
    const text = Buffer.concat(parts).toString('utf8');
    if (call.status !== undefined && call.status >= 300) {
      const body = text.slice(0, CALL_LIMITS.errorChars);
      call.ended({ kind: 'http-error', error: `HTTP ${call.status}${body === '' ? '' : `: ${body}`}` });
      return;
    }
    const response = end.how === 'damaged' ? undefined : parseObject(text);
    if (response !== undefined)
      call.final(`response.${stringAt(response, 'status') ?? 'completed'}`, response);
  }

  #overLimit(which: string): undefined {
    if (which === 'response') this.#responseBody = undefined;
    this.#gap ||= which === 'response';
    this.#anomalies.add('body-over-limit', `${this.#call.where}, ${which}`);
    return undefined;
  }
}
