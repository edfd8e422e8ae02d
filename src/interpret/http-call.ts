// A call of a model's API as one HTTP exchange: the body of the request, and a response that is an event stream, a JSON
// document or an error. Owns the bodies and how they end; what they mean is responses-call.ts.

import type { ContentDecoders } from '../protocol/content-decoder.js';
import type { MessageEnd } from '../protocol/http1.js';
import { field, type ResponseHead } from '../protocol/http1-head.js';
import { SseDecoder } from '../protocol/sse.js';
import type { Anomalies } from './anomalies.js';
import type { ReadRequest } from './api-reader.js';
import { HttpBody } from './http-body.js';
import { arrayAt, type JsonObject, parseObject } from './json.js';
import { apiOfBody } from './known-apis.js';
import type { ExchangeObserver } from './observer.js';
import type { CallRequest, ResponsesCall } from './responses-call.js';
import { withWholeInput } from './responses-input.js';

const CALL_LIMITS = {
  /** Bytes of a request body, and of a response that is not an event stream, decoded. */
  bodyBytes: 128 * 1024 * 1024,
  /** Characters of an error body that are kept. */
  errorChars: 2000,
} as const;

const FIRST_ERROR = 300;

export class HttpCallObserver implements ExchangeObserver {
  readonly #call: ResponsesCall;
  readonly #anomalies: Anomalies;
  readonly #decoders: ContentDecoders;
  readonly #requestBody: HttpBody;
  readonly #requestText = new CollectedText();
  #responseBody: HttpBody | undefined;
  /** Undefined when the head does not say. */
  #isStream: boolean | undefined;
  #stream: SseDecoder | undefined;
  readonly #responseText = new CollectedText();
  /** Bytes of the response are missing. */
  #hasGap = false;

  constructor(call: ResponsesCall, decoders: ContentDecoders, anomalies: Anomalies) {
    this.#call = call;
    this.#decoders = decoders;
    this.#anomalies = anomalies;
    this.#requestBody = new HttpBody(call.head, decoders, (bytes) => this.#requestText.add(bytes));
  }

  requestData(bytes: Uint8Array): void {
    this.#requestBody.data(bytes);
  }

  requestEnd(end: MessageEnd, timeNs: bigint): void {
    this.#requestBody.finish(end.how !== 'whole');
    const request = this.#readRequest(end);
    this.#requestText.drop();
    this.#call.requested(request, timeNs);
  }

  responseHead(head: ResponseHead, timeNs: bigint): void {
    const call = this.#call;
    call.lastNs = timeNs;
    call.status = head.status;
    call.upstreamRequestId = field(head.headers, 'x-request-id') ?? field(head.headers, 'request-id');
    const type = field(head.headers, 'content-type');
    const isSuccess = head.status < FIRST_ERROR;
    this.#isStream =
      isSuccess && type === undefined ? undefined : isSuccess && /^text\/event-stream\b/i.test(type ?? '');
    this.#responseBody = new HttpBody(head, this.#decoders, (bytes) => this.#decoded(bytes));
  }

  responseData(bytes: Uint8Array, timeNs: bigint): void {
    this.#call.lastNs = timeNs;
    this.#responseBody?.data(bytes);
  }

  responseGap(): void {
    this.#hasGap = true;
    this.#responseBody?.gap();
    this.#stream?.gap();
  }

  responseEnd(end: MessageEnd, timeNs: bigint): void {
    const call = this.#call;
    call.lastNs = timeNs;
    this.#responseBody?.finish(end.how !== 'whole');
    this.#stream?.finish();
    this.#reportLosses();
    if (call.end === undefined && this.#isStream !== true) this.#wholeBody(end);
    this.#stream = undefined;
    this.#responseText.drop();
    if (call.end !== undefined) return;
    if (end.how === 'unsure') call.cut('unsure');
    else if (this.#responseBody === undefined) {
      call.ended({ kind: 'http-error', error: 'stream was reset before its response' });
    } else if (this.#hasGap || end.how === 'damaged') call.lost();
    else if (end.how === 'cut') call.cut();
    else call.over(end.how === 'aborted' ? 'stream was reset' : 'stream ended without a final event');
  }

  responseLost(): void {
    this.#call.lost();
  }

  #decoded(bytes: Uint8Array): void {
    this.#isStream ??= looksLikeEvents(bytes);
    if (this.#isStream) {
      this.#stream ??= new SseDecoder(({ event, data }) => this.#call.event(event, data, this.#call.lastNs));
      this.#stream.data(bytes);
    } else {
      this.#responseText.add(bytes);
    }
  }

  /** What of the response is not told. */
  #reportLosses(): void {
    const { where } = this.#call;
    const body = this.#responseBody;
    if (body?.isOverLimit || this.#responseText.isOverLimit) {
      this.#anomalies.add('body-over-limit', `${where}, response`);
    } else if (body?.problem !== undefined) {
      this.#anomalies.add('undecoded-body', `${where}, response: ${body.problem}`);
    }
    this.#hasGap ||= body?.problem !== undefined || this.#responseText.isOverLimit;
    const dropped = this.#stream?.dropped ?? 0;
    if (dropped > 0) this.#anomalies.add('unreadable-event', `${where}: longer than the limit`, dropped);
  }

  #readRequest(end: MessageEnd): CallRequest | undefined {
    const { where } = this.#call;
    const { problem } = this.#requestBody;
    if (this.#requestBody.isOverLimit || this.#requestText.isOverLimit) {
      this.#anomalies.add('body-over-limit', `${where}, request`);
      return undefined;
    }
    if (problem !== undefined) {
      this.#anomalies.add('undecoded-body', `${where}, request: ${problem}`);
      return undefined;
    }
    const isWhole = end.how === 'whole';
    const text = isWhole ? this.#requestText.text : '';
    const sent = parseObject(text);
    if (sent !== undefined && this.#call.head.target === '') {
      this.#call.reader ??= apiOfBody(this.#call.head, sent);
    }
    const { reader } = this.#call;
    const read = sent === undefined ? undefined : reader?.request(sent);
    const body = reader === undefined ? sent && withWholeInput(sent) : read && translated(read, reader.name);
    const input = arrayAt(body, 'input');
    if (body === undefined || input === undefined) {
      const why = isWhole ? 'not a JSON object with an input list' : 'bytes are missing';
      this.#anomalies.add('unreadable-request', `${where}: ${why}`);
      return undefined;
    }
    if (body === sent) return { text, body, input };
    const turns = read === undefined ? {} : { userMessages: read.userMessages };
    return { text: JSON.stringify(body), body, input, ...turns };
  }

  #wholeBody(end: MessageEnd): void {
    const call = this.#call;
    const { text } = this.#responseText;
    if (call.status !== undefined && call.status >= FIRST_ERROR) {
      const body = text.slice(0, CALL_LIMITS.errorChars);
      call.ended({ kind: 'http-error', error: `HTTP ${call.status}${body === '' ? '' : `: ${body}`}` });
      return;
    }
    const response = end.how === 'damaged' || this.#hasGap ? undefined : parseObject(text);
    if (response !== undefined) call.response(response);
  }
}

/** The request of another API in the words of the Responses API. */
function translated({ input, sessionId, rest }: ReadRequest, from: string): JsonObject {
  const metadata = sessionId === undefined ? {} : { client_metadata: { session_id: sessionId } };
  return { ...rest, input, translated_from: from, ...metadata };
}

/** The first bytes of an event stream are a field or a comment; a JSON document begins otherwise. */
function looksLikeEvents(bytes: Uint8Array): boolean {
  return /^\uFEFF?(?:event|data|id|retry)?:/.test(Buffer.from(bytes.subarray(0, 16)).toString());
}

/** Text that is collected up to the limit; above it, nothing of it is kept. */
class CollectedText {
  #parts: Buffer[] = [];
  #bytes = 0;

  get isOverLimit(): boolean {
    return this.#bytes > CALL_LIMITS.bodyBytes;
  }

  get text(): string {
    return Buffer.concat(this.#parts).toString('utf8');
  }

  add(bytes: Uint8Array): void {
    this.#bytes += bytes.length;
    if (this.isOverLimit) this.#parts = [];
    else this.#parts.push(Buffer.from(bytes));
  }

  drop(): void {
    this.#parts = [];
  }
}
