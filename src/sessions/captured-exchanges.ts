// The HTTP exchanges in the evidence of a capture, with every id on the wire that tells whose they are. Owns
// this light pass over the evidence; the trace that is made of the same exchanges is src/interpret.
import type { EvidenceEvent } from '../evidence/event.js';
import type { EvidenceAnomaly } from '../evidence/reader.js';
import { readAgentEvidence } from '../interpret/agent-evidence.js';
import { Anomalies, type Anomaly } from '../interpret/anomalies.js';
import { Connections } from '../interpret/connections.js';
import { type Exchange, type OtherExchange, routeExchanges, summarize } from '../interpret/exchange.js';
import { isObject, type JsonObject, stringAt } from '../interpret/json.js';
import { ResponsesCall } from '../interpret/responses-call.js';
import { type WireIds, wireIds } from '../interpret/wire-ids.js';
import { type CapturedProcess, CapturedProcesses } from './captured-processes.js';

export interface CapturedExchange {
  process: CapturedProcess;
  exchange: Exchange;
  /** What the header fields say. */
  header: WireIds;
  /** What header fields and body say together. */
  ids: WireIds;
  /** Ids of the items that the model answered with. */
  answered: ReadonlySet<string>;
  /** Ids of the items of the conversation so far, as the request repeats them. */
  repeated: ReadonlySet<string>;
}

export interface Captured {
  /** Unix milliseconds of the first event; undefined when there is none. */
  startedMs: number | undefined;
  processes: readonly CapturedProcess[];
  /** In the order of the requests. */
  exchanges: CapturedExchange[];
  damage: EvidenceAnomaly[];
  anomalies: Anomaly[];
}

const NS_PER_MS = 1_000_000n;

/**
 * @param bundle the directory that holds `evidence/`
 * @throws AgsightError `no-evidence`
 */
export async function readCaptured(bundle: string): Promise<Captured> {
  const damage: EvidenceAnomaly[] = [];
  const reader = new ExchangeReader();
  for await (const event of readAgentEvidence(bundle, { onAnomaly: (found) => damage.push(found) })) {
    reader.push(event);
  }
  return { ...reader.finish(), damage };
}

interface Pending extends Omit<CapturedExchange, 'exchange' | 'ids'> {
  observed: ResponsesCall | OtherExchange;
  answered: Set<string>;
  repeated: Set<string>;
}

/** Push-style: the events of the evidence in, their exchanges at the end. */
class ExchangeReader {
  readonly #processes = new CapturedProcesses();
  readonly #anomalies = new Anomalies();
  readonly #pending: Pending[] = [];
  readonly #byExchange = new Map<ResponsesCall | OtherExchange, Pending>();
  readonly #connections = new Connections(
    routeExchanges(
      {
        requested: (call, { input }) => {
          if (!namesThread(call)) collectIds(input, this.#byExchange.get(call)?.repeated);
        },
        item: (call, item: JsonObject) => {
          if (!namesThread(call)) collectIds([item], this.#byExchange.get(call)?.answered);
        },
        ended: () => {},
      },
      this.#anomalies,
      (exchange) => this.#begun(exchange),
    ),
    this.#anomalies,
  );
  #startedMs: number | undefined;

  push(event: EvidenceEvent): void {
    this.#startedMs ??= Number(event.timeNs / NS_PER_MS);
    this.#connections.push(event);
    this.#processes.push(event);
  }

  finish(): Omit<Captured, 'damage'> {
    this.#connections.finish();
    return {
      startedMs: this.#startedMs,
      processes: this.#processes.all,
      exchanges: this.#pending.map(({ observed, ...found }) => ({
        ...found,
        exchange: observed instanceof ResponsesCall ? summarize(observed, undefined) : observed.summary(),
        ids: observed instanceof ResponsesCall ? (observed.ids ?? found.header) : found.header,
      })),
      anomalies: this.#anomalies.list(),
    };
  }

  #begun(observed: ResponsesCall | OtherExchange): void {
    const pending: Pending = {
      process: this.#processes.of(observed.pid),
      observed,
      header: wireIds(observed.head, {}),
      answered: new Set(),
      repeated: new Set(),
    };
    this.#pending.push(pending);
    this.#byExchange.set(observed, pending);
  }
}

/** What does not name its thread itself needs to be found by what it says. */
function namesThread(call: ResponsesCall): boolean {
  return call.ids?.threadId !== undefined && call.ids.isThreadInferred !== true;
}

function collectIds(items: readonly unknown[], ids: Set<string> | undefined): void {
  for (const item of items) {
    if (!isObject(item)) continue;
    for (const id of [stringAt(item, 'id'), stringAt(item, 'call_id')]) {
      if (id !== undefined) ids?.add(id);
    }
  }
}
