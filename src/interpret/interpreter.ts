// Evidence events in, trace bundles out. Owns the dispatch: bytes to connections, processes to the process
// table, calls to the thread that they belong to. Where bundles are put on disk is interpret-bundle.ts.

import type { CaptureStartEvent, EvidenceEvent, ExitEvent } from '../evidence/event.js';
import type { TraceBundleWriter } from '../trace/bundle-writer.js';
import type { Manifest } from '../trace/raw-event.js';
import { Anomalies, type Anomaly } from './anomalies.js';
import { Connections } from './connections.js';
import { derivedUuid } from './derived-id.js';
import { type Exchange, type OtherExchange, routeExchanges, summarize } from './exchange.js';
import type { JsonObject } from './json.js';
import { Processes } from './processes.js';
import { Redactor } from './redact.js';
import { type CallEnd, type CallRequest, type CallSink, ResponsesCall } from './responses-call.js';
import { Rollout, type Shared } from './rollout.js';
import type { Thread } from './thread.js';
import { toMs } from './time.js';

export interface InterpretResult {
  /** Root thread ids of the bundles, in the order in which they began. */
  rootThreadIds: string[];
  /** Every exchange seen, in the order of the requests. */
  exchanges: Exchange[];
  anomalies: Anomaly[];
  /** Secrets replaced in what was written. */
  redactions: number;
}

/** The schema of the trace bundles that are written. */
const SCHEMA_VERSION = 2;
/** Other kinds, such as warm-ups, are no part of a thread's story. */
const TOLD_KINDS = new Set(['turn', 'compaction']);

export class Interpreter {
  readonly #open: (rootThreadId: string, manifest: Manifest) => TraceBundleWriter;
  readonly #options: { keepsSecrets?: boolean };
  readonly #anomalies = new Anomalies();
  readonly #processes = new Processes();
  readonly #rollouts = new Map<string, Rollout>();
  readonly #threadOf = new Map<ResponsesCall, Thread>();
  readonly #exchanges: (ResponsesCall | OtherExchange)[] = [];
  readonly #connections: Connections;
  #shared: Shared | undefined;
  #lastNs = 0n;
  #captureEndNs: bigint | undefined;

  /**
   * `open` makes the writer of a bundle when the first call of its root thread has been read. With `keepsSecrets`, what is
   * written holds them.
   */
  constructor(
    open: (rootThreadId: string, manifest: Manifest) => TraceBundleWriter,
    options: { keepsSecrets?: boolean } = {},
  ) {
    this.#open = open;
    this.#options = options;
    const begun = (exchange: ResponsesCall | OtherExchange) => this.#exchanges.push(exchange);
    this.#connections = new Connections(routeExchanges(this.#sink, this.#anomalies, begun), this.#anomalies);
  }

  /** Takes the next event. Events come in the order of the evidence. */
  push(event: EvidenceEvent): void {
    this.#shared ??= this.#begin(event.kind === 'capture-start' ? event : undefined);
    switch (event.kind) {
      case 'tls':
        this.#processes.talks(event.pid);
        this.#connections.push(this.#inOrder(event));
        return;
      case 'socket':
        if (event.operation === 'close') this.#connections.push(this.#inOrder(event));
        return;
      case 'exec':
        this.#connections.push(event);
        this.#processes.exec(this.#inOrder(event));
        return;
      case 'running':
        this.#connections.push(event);
        return;
      case 'exit':
        this.#exit(this.#inOrder(event));
        return;
      case 'capture-end':
        this.#captureEndNs = event.timeNs;
        return;
      default:
    }
  }

  /** The order of the evidence counts: what processors recorded at once, or a stranger wrote, may have times against it. */
  #inOrder<T extends EvidenceEvent>(event: T): T {
    if (event.timeNs >= this.#lastNs) {
      this.#lastNs = event.timeNs;
      return event;
    }
    this.#lastNs += 1n;
    return { ...event, timeNs: this.#lastNs };
  }

  /** Writes the bundles. Nothing may be pushed afterwards. */
  finish(): InterpretResult {
    this.#connections.finish();
    for (const rollout of this.#rollouts.values()) rollout.finish(this.#captureEndNs);
    const redactor = this.#shared?.redactor;
    return {
      rootThreadIds: [...this.#rollouts.keys()],
      exchanges: this.#exchanges.map((exchange) =>
        exchange instanceof ResponsesCall
          ? summarize(exchange, this.#threadOf.get(exchange)?.outcomeOf(exchange))
          : exchange.summary(),
      ),
      anomalies: this.#anomalies
        .list()
        .map((anomaly) => ({ ...anomaly, example: redactor?.text(anomaly.example) ?? anomaly.example })),
      redactions: redactor?.count ?? 0,
    };
  }

  #begin(start: CaptureStartEvent | undefined): Shared {
    if (start === undefined) this.#anomalies.add('no-capture-start', 'the first event is another one');
    const salt = start?.salt ?? new Uint8Array();
    return {
      salt,
      redactor: new Redactor(salt, this.#options),
      processes: this.#processes,
      anomalies: this.#anomalies,
    };
  }

  readonly #sink: CallSink = {
    requested: (call, request) => this.#requested(call, request),
    item: (call: ResponsesCall, item: JsonObject, timeNs: bigint) =>
      this.#threadOf.get(call)?.item(call, item, timeNs),
    ended: (call: ResponsesCall, end: CallEnd, timeNs: bigint) =>
      this.#threadOf.get(call)?.ended(call, end, timeNs),
  };

  #requested(call: ResponsesCall, request: CallRequest): void {
    const { ids } = call;
    if (ids === undefined || this.#shared === undefined) return;
    const { threadId, turnId, sessionId, subagentKind, requestKind } = ids;
    if (call.isWarmUp || (requestKind !== undefined && !TOLD_KINDS.has(requestKind))) return;
    if (threadId === undefined || turnId === undefined) {
      this.#anomalies.add('no-thread', `process ${call.pid}, model ${call.model ?? 'unknown'}`);
      return;
    }
    // Only agents that a thread spawned share its bundle; a review, say, is a rollout of its own.
    const root = subagentKind === 'thread_spawn' ? (sessionId ?? threadId) : threadId;
    const thread = this.#rollout(root, call.startedNs, this.#shared).thread(threadId, ids, call, request);
    this.#threadOf.set(call, thread);
    thread.requested(call, request, turnId);
  }

  #rollout(root: string, startedNs: bigint, shared: Shared): Rollout {
    const known = this.#rollouts.get(root);
    if (known !== undefined) return known;
    const traceId = derivedUuid(shared.salt, 'trace', root);
    const writer = this.#open(root, {
      schema_version: SCHEMA_VERSION,
      trace_id: traceId,
      rollout_id: root,
      root_thread_id: root,
      started_at_unix_ms: toMs(startedNs),
      raw_event_log: 'trace.jsonl',
      payloads_dir: 'payloads',
    });
    const rollout = new Rollout(root, traceId, startedNs, writer, shared);
    this.#rollouts.set(root, rollout);
    return rollout;
  }

  #exit(event: ExitEvent): void {
    const exit = this.#processes.exit(event);
    this.#connections.push(event);
    for (const rollout of this.#rollouts.values()) {
      for (const thread of rollout.threads) thread.exited(event.pid, exit);
    }
  }
}
