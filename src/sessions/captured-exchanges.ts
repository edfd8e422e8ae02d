// The HTTP exchanges in the evidence of a capture, with every id on the wire that tells whose they are. Owns
// this light pass over the evidence; the trace that is made of the same exchanges is src/interpret.
import type { EvidenceEvent, TlsEvent } from '../evidence/event.js';
import { type EvidenceAnomaly, readEvidence } from '../evidence/reader.js';
import { Anomalies, type Anomaly } from '../interpret/anomalies.js';
import { HttpConnection } from '../interpret/connection.js';
import { type Exchange, isResponsesCall, OtherExchange, summarize } from '../interpret/exchange.js';
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
  for await (const event of readEvidence(bundle, { onAnomaly: (found) => damage.push(found) })) {
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
export class ExchangeReader {
  readonly #connections = new Map<bigint, HttpConnection>();
  readonly #processes = new CapturedProcesses();
  readonly #anomalies = new Anomalies();
  readonly #pending: Pending[] = [];
  #startedMs: number | undefined;

  push(event: EvidenceEvent): void {
    this.#startedMs ??= Number(event.timeNs / NS_PER_MS);
    if (event.kind === 'tls') this.#connection(event).push(event);
    if (event.kind === 'exit') this.#finish(event.pid, event.timeNs);
    this.#processes.push(event);
  }

  finish(): Omit<Captured, 'damage'> {
    for (const connection of this.#connections.values()) connection.reportLosses();
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

  #connection(event: TlsEvent): HttpConnection {
    const known = this.#connections.get(event.connection);
    if (known !== undefined) return known;
    const process = this.#processes.of(event.pid);
    const connection = new HttpConnection(
      event,
      ({ pid, id }, head, timeNs) => {
        const [answered, repeated] = [new Set<string>(), new Set<string>()];
        const observed = isResponsesCall(head)
          ? new ResponsesCall(
              head,
              { pid, connection: id, timeNs },
              {
                // Only what bears no thread id itself needs to be found by what it says.
                requested: ({ ids }, { input }) => ids?.threadId ?? collectIds(input, repeated),
                item: ({ ids }, item: JsonObject) => ids?.threadId ?? collectIds([item], answered),
                ended: () => {},
              },
              this.#anomalies,
            )
          : new OtherExchange(head, { pid, timeNs });
        this.#pending.push({ process, observed, header: wireIds(head, {}), answered, repeated });
        return observed;
      },
      this.#anomalies,
    );
    this.#connections.set(event.connection, connection);
    return connection;
  }

  #finish(pid: number, timeNs: bigint): void {
    for (const [id, connection] of this.#connections) {
      if (connection.pid !== pid) continue;
      connection.finish(timeNs);
      connection.reportLosses();
      this.#connections.delete(id);
    }
  }
}

function collectIds(items: readonly unknown[], ids: Set<string>): void {
  for (const item of items) {
    if (!isObject(item)) continue;
    for (const id of [stringAt(item, 'id'), stringAt(item, 'call_id')]) {
      if (id !== undefined) ids.add(id);
    }
  }
}
