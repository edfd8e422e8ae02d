// One trace bundle in the making: a root thread with the agents that it started. Owns the bundle's writer,
// the order of its events and the rule that nothing is written before secrets are taken out.

import type { EventContext, TraceBundleWriter } from '../trace/bundle-writer.js';
import type { RawEventPayload, RawPayloadKind, RawPayloadRef, RolloutStatus } from '../trace/raw-event.js';
import { Agents } from './agents.js';
import type { Anomalies } from './anomalies.js';
import { wellFormed } from './json.js';
import type { Processes } from './processes.js';
import type { Redactor } from './redact.js';
import type { CallRequest, ResponsesCall } from './responses-call.js';
import { Thread } from './thread.js';
import { later, toMs } from './time.js';
import { type Place, Timeline } from './timeline.js';
import type { WireIds } from './wire-ids.js';

/** What all bundles of one interpretation share. */
export interface Shared {
  salt: Uint8Array;
  redactor: Redactor;
  processes: Processes;
  anomalies: Anomalies;
}

export class Rollout {
  readonly rootThreadId: string;
  readonly shared: Shared;
  readonly agents = new Agents(this);
  readonly #traceId: string;
  readonly #writer: TraceBundleWriter;
  readonly #startedNs: bigint;
  readonly #timeline = new Timeline();
  readonly #threads = new Map<string, Thread>();
  /** Ids taken by an inference, a turn or a tool call: the reference refuses a second use. */
  readonly #claimed = new Set<string>();
  #compactionRequests = 0;

  constructor(
    rootThreadId: string,
    traceId: string,
    startedNs: bigint,
    writer: TraceBundleWriter,
    shared: Shared,
  ) {
    this.rootThreadId = rootThreadId;
    this.shared = shared;
    this.#traceId = traceId;
    this.#startedNs = startedNs;
    this.#writer = writer;
  }

  get threads(): Iterable<Thread> {
    return this.#threads.values();
  }

  /** The thread of `call`. */
  thread(threadId: string, ids: WireIds, call: ResponsesCall, request: CallRequest): Thread {
    let thread = this.#threads.get(threadId);
    if (thread === undefined) {
      thread = new Thread(this, threadId, ids, call, request);
      this.#threads.set(threadId, thread);
    }
    return thread;
  }

  /** False when the id has been used for another thing of that kind in this bundle. */
  claim(kind: 'inference' | 'turn' | 'tool call', id: string): boolean {
    const key = `${kind} ${id}`;
    if (this.#claimed.has(key)) {
      this.shared.anomalies.add('duplicate-id', key);
      return false;
    }
    this.#claimed.add(key);
    return true;
  }

  /** Codex numbers its requests for a shorter history within a bundle. */
  nextCompactionRequestId(): string {
    this.#compactionRequests += 1;
    return `compaction_request:${this.#compactionRequests}`;
  }

  /** Writes a payload file. A string is JSON text to keep as it is. */
  payload(kind: RawPayloadKind, value: object | string): RawPayloadRef {
    const text = typeof value === 'string' ? value : JSON.stringify(value, null, 2);
    return this.#writer.payload(kind, Buffer.from(this.#writable(text)));
  }

  event(timeNs: bigint, payload: RawEventPayload, thread?: string, turn?: string, place?: Place): void {
    this.#timeline.add({ timeNs, payload, threadId: thread ?? null, codexTurnId: turn ?? null }, place);
  }

  /**
   * Ends what has ended and writes the event log. `captureEndNs` is undefined when the evidence breaks off:
   * then the bundle does not say that its recording is complete.
   */
  finish(captureEndNs: bigint | undefined): void {
    for (const thread of this.#threads.values()) thread.finish();
    this.agents.finish([...this.#threads.values()]);
    this.#write(this.#startedNs, {
      type: 'rollout_started',
      trace_id: this.#traceId,
      root_thread_id: this.rootThreadId,
    });
    let lastNs = this.#startedNs;
    for (const { timeNs, payload, threadId, codexTurnId } of this.#timeline.sorted()) {
      this.#write(timeNs, payload, threadId, codexTurnId);
      lastNs = timeNs;
    }
    const status = this.#endStatus();
    if (status !== undefined) this.#write(lastNs, { type: 'rollout_ended', status });
    if (captureEndNs !== undefined) {
      this.#write(later(captureEndNs, lastNs), { type: 'recording_completed' });
    }
    this.#writer.finish();
  }

  /** The root thread's status once every thread has ended. */
  #endStatus(): RolloutStatus | undefined {
    const threads = [...this.#threads.values()];
    if (threads.some((thread) => thread.endStatus === undefined)) return undefined;
    return (this.#threads.get(this.rootThreadId) ?? threads[0])?.endStatus;
  }

  #write(
    timeNs: bigint,
    payload: RawEventPayload,
    threadId: string | null = null,
    turn: string | null = null,
  ) {
    const context: EventContext = { wallTimeUnixMs: toMs(timeNs), threadId, codexTurnId: turn };
    this.#writer.event(this.#redacted(payload), context);
  }

  #redacted(payload: RawEventPayload): RawEventPayload {
    const text = JSON.stringify(payload);
    const safe = this.#writable(text);
    return safe === text ? payload : JSON.parse(safe);
  }

  #writable(text: string): string {
    return this.shared.redactor.text(wellFormed(text));
  }
}
