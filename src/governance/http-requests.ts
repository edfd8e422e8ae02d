// The requests over HTTP that are no calls of models: those stand in the runs. Where a request belongs is for others to say.

import type { EvidenceEvent } from '../evidence/event.js';
import { Anomalies } from '../interpret/anomalies.js';
import { Connections } from '../interpret/connections.js';
import { OtherExchange, routeExchanges } from '../interpret/exchange.js';

/** What was asked, as soon as that is known; `answer` is told how it went, once, at the latest when the evidence ends. */
export interface HttpRequest {
  pid: number;
  method: string;
  host: string | undefined;
  /** The target without its query, which may hold a key. */
  path: string;
  onAnswer(answer: (answer: HttpAnswer) => void): void;
}

export type HttpAnswer = Pick<OtherExchange, 'status' | 'sentBytes' | 'receivedBytes' | 'isWhole'>;

const calls = { requested() {}, item() {}, ended() {} };

export class HttpRequests {
  readonly #connections: Connections;
  readonly #waiting = new Map<OtherExchange, (answer: HttpAnswer) => void>();

  /** @param begun is told of each request, in the call of `push` that completes its head */
  constructor(begun: (request: HttpRequest) => void) {
    // What cannot be read is told by the interpretation of the same evidence.
    const anomalies = new Anomalies();
    const route = routeExchanges(
      calls,
      anomalies,
      (exchange) => {
        if (!(exchange instanceof OtherExchange)) return;
        const { pid, method, host, path } = exchange.summary();
        const onAnswer = (answer: (answer: HttpAnswer) => void) => this.#waiting.set(exchange, answer);
        begun({ pid, method, host, path, onAnswer });
      },
      // Of a request that goes on after its answer more is to be counted.
      (exchange) => {
        if (exchange.isSent) this.#end(exchange);
      },
    );
    this.#connections = new Connections(route, anomalies);
  }

  /** Takes the next event, of whatever kind. */
  push(event: EvidenceEvent): void {
    this.#connections.push(event);
  }

  /** No more events come. */
  end(): void {
    this.#connections.finish();
    for (const exchange of this.#waiting.keys()) this.#end(exchange);
  }

  #end(exchange: OtherExchange): void {
    this.#waiting.get(exchange)?.(exchange);
    this.#waiting.delete(exchange);
  }
}
