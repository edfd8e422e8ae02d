// What a capture has seen so far, while it runs: numbers, and each exchange as it ends. A view only: where it cannot
// keep up it leaves evidence out and says how much, and the interpretation of the whole evidence comes later.

import type { EvidenceEvent, ExitEvent, SocketEvent, TlsEvent } from '../evidence/event.js';
import { Anomalies } from './anomalies.js';
import { Connections } from './connections.js';
import { type Exchange, OtherExchange, routeExchanges, summarize } from './exchange.js';
import { ResponsesCall } from './responses-call.js';

export interface LiveCounts {
  /** Running now, as far as their starts were seen. */
  processes: number;
  /** Programs that the captured processes have started. */
  commands: number;
  /** That were written to, or whose names or attributes were changed. */
  files: number;
  requests: number;
  /** Of all model requests that have ended. */
  tokens: number;
  /** Bytes that were not looked at. */
  skippedBytes: number;
}

const LIVE_LIMITS = {
  /** Memory of the events that wait to be looked at. */
  waitingBytes: 4 * 1024 * 1024,
  /** Connections after which all are forgotten, those that are open too: nobody tells of their ends. */
  connections: 2048,
  /** Names of changed files; more are not counted. */
  files: 32_768,
} as const;

/** What an event takes beside its bytes, about. */
const eventBytes = 256;

/** How long looking at the evidence may keep what records it from its work. */
const sliceMs = 4;

type Waiting = TlsEvent | SocketEvent | ExitEvent;

export class LiveView {
  readonly #ended: (exchange: Exchange) => void;
  readonly #running = new Set<number>();
  readonly #files = new Set<string>();
  readonly #open = new Set<ResponsesCall | OtherExchange>();
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #isScheduled = false;
  #seen = new Set<string>();
  #connections = this.#begin();
  #commands = 0;
  #requests = 0;
  #tokens = 0;
  #skippedBytes = 0;

  /** `ended` is told of each exchange when it has ended. */
  constructor(ended: (exchange: Exchange) => void) {
    this.#ended = ended;
  }

  get counts(): LiveCounts {
    return {
      processes: this.#running.size,
      commands: this.#commands,
      files: this.#files.size,
      requests: this.#requests,
      tokens: this.#tokens,
      skippedBytes: this.#skippedBytes,
    };
  }

  /** A process that was running before the capture is followed. */
  follow(pid: number): void {
    this.#running.add(pid);
  }

  /** Takes the next event; what it needs of it is copied, and looked at when nothing else is to be done. */
  push(event: EvidenceEvent): void {
    switch (event.kind) {
      case 'tls':
        this.#running.add(event.pid);
        this.#pushTls(event);
        return;
      case 'fork':
        this.#running.add(event.pid);
        return;
      case 'exec':
        this.#running.add(event.pid);
        if (event.pid !== event.rootPid) this.#commands += 1;
        return;
      case 'file-op':
        if (event.errno === 0) this.#change(event.path);
        return;
      case 'file-io':
        if (event.operation === 'write') this.#change(event.path);
        return;
      case 'socket':
        if (event.operation === 'close') this.#wait(event);
        return;
      case 'exit':
        this.#running.delete(event.pid);
        this.#wait(event);
        return;
      default:
    }
  }

  /** Looks at all that waits and tells of the exchanges that have not ended. */
  finish(): void {
    for (const event of this.#waiting) this.#look(event);
    this.#waiting = [];
    this.#connections.finish();
    this.#endAll();
  }

  #change(path: string): void {
    if (this.#files.size < LIVE_LIMITS.files) this.#files.add(path);
  }

  #pushTls(event: TlsEvent): void {
    if (this.#waitingBytes + event.data.length + eventBytes > LIVE_LIMITS.waitingBytes) {
      this.#skippedBytes += event.data.length;
      return;
    }
    this.#waitingBytes += event.data.length + eventBytes;
    const { additionalData } = event;
    this.#wait({
      ...event,
      data: Buffer.from(event.data),
      ...(additionalData === undefined ? {} : { additionalData: Buffer.from(additionalData) }),
    });
  }

  #wait(event: Waiting): void {
    this.#waiting.push(event);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.#lookForAWhile());
  }

  #lookForAWhile(): void {
    const endMs = performance.now() + sliceMs;
    let looked = 0;
    for (const event of this.#waiting) {
      this.#look(event);
      looked += 1;
      if (performance.now() >= endMs) break;
    }
    this.#waiting.splice(0, looked);
    this.#isScheduled = this.#waiting.length > 0;
    if (this.#isScheduled) setImmediate(() => this.#lookForAWhile());
  }

  #look(event: Waiting): void {
    if (event.kind === 'tls') {
      this.#waitingBytes -= event.data.length + eventBytes;
      this.#seen.add(`${event.connection}`);
      if (this.#seen.size > LIVE_LIMITS.connections) {
        this.#endAll();
        this.#seen = new Set();
        this.#connections = this.#begin();
      }
    }
    this.#connections.push(event);
    if (event.kind === 'exit') this.#endAll(event.pid);
  }

  #begin(): Connections {
    const anomalies = new Anomalies();
    const sink = {
      requested: (call: ResponsesCall) => {
        if (!call.isWarmUp) this.#requests += 1;
      },
      item: () => {},
      ended: (call: ResponsesCall) => this.#end(call),
    };
    const begun = (exchange: ResponsesCall | OtherExchange) => {
      this.#open.add(exchange);
      if (exchange instanceof OtherExchange) this.#requests += 1;
    };
    return new Connections(
      routeExchanges(sink, anomalies, begun, (exchange) => this.#end(exchange)),
      anomalies,
    );
  }

  /** Those of a process, or all. */
  #endAll(pid?: number): void {
    for (const exchange of this.#open) {
      if (pid === undefined || exchange.pid === pid) this.#end(exchange);
    }
  }

  #end(exchange: ResponsesCall | OtherExchange): void {
    if (!this.#open.delete(exchange)) return;
    if (exchange instanceof ResponsesCall) this.#tokens += exchange.usage?.total_tokens ?? 0;
    this.#ended(exchange instanceof ResponsesCall ? summarize(exchange, undefined) : exchange.summary());
  }
}
