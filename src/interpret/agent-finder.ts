// Which processes of a machine are agents: those that send requests to AI endpoints of their own accord. Owns the rule
// for who only passes on what others ask; needs all of the evidence, since a later request makes an agent of a
// process from its start on.

import type { EvidenceEvent, SocketAddress, SocketEvent } from '../evidence/event.js';
import type { RequestHead } from '../protocol/http1-head.js';
import { Anomalies } from './anomalies.js';
import { Connections } from './connections.js';
import { routeExchanges } from './exchange.js';
import type { ExchangeObserver, ExchangeRouter, Where } from './observer.js';
import { ProcessTree, type TreeProcess } from './process-tree.js';

/** DeepFlow's, and the two under which agents reach ChatGPT and Anthropic. */
export const defaultEndpoints = [
  '/v1/chat/completions',
  '/v1/embeddings',
  '/v1/responses',
  '/backend-api/codex/responses',
  '/v1/messages',
] as const;

/** Ends of connections; of those met longest ago it is no longer known who was behind them. */
const maxSockets = 131_072;

interface Call {
  process: TreeProcess;
  connection: bigint;
  timeNs: bigint;
}

interface Socket {
  processNumber: number;
  /** Of this side and the other. */
  ends: string;
  otherEnds: string;
  connection: bigint;
  carries: bigint;
  openedNs: bigint;
  closedNs: bigint | undefined;
}

export class AgentFinder {
  readonly #endpoints: readonly string[];
  readonly #tree = new ProcessTree();
  readonly #connections: Connections;
  readonly #calls: Call[] = [];
  readonly #sockets = new Map<string, Socket[]>();
  /** The process that the current event is of. */
  #process: TreeProcess | undefined;

  /** @param endpoints beginnings of the paths of requests that only agents send */
  constructor(endpoints: readonly string[]) {
    this.#endpoints = endpoints;
    const anomalies = new Anomalies();
    this.#connections = new Connections(this.#router(anomalies), anomalies);
  }

  /** Takes the next event, in the order of the evidence. */
  push(event: EvidenceEvent): void {
    this.#process = this.#tree.push(event);
    this.#connections.push(event);
    if (event.kind === 'socket') this.#socket(event);
  }

  /** The numbers of the agents in a `ProcessTree`. Nothing may be pushed afterwards. */
  finish(): ReadonlySet<number> {
    this.#process = undefined;
    this.#connections.finish();
    const callsOn = new Map<bigint, Call[]>();
    for (const call of this.#calls) {
      const others = callsOn.get(call.connection);
      if (others === undefined) callsOn.set(call.connection, [call]);
      else others.push(call);
    }
    const served = this.#servedCalls(callsOn);
    const agents = new Set<number>();
    for (const { process, timeNs } of this.#calls) {
      const isRelayed = served
        .get(process.number)
        ?.some(({ fromNs, toNs }) => fromNs <= timeNs && (toNs === undefined || timeNs <= toNs));
      if (isRelayed !== true) agents.add(process.number);
    }
    return agents;
  }

  /** By the number of the process that they were sent to: from when to when it may have passed on what others asked. */
  #servedCalls(
    callsOn: ReadonlyMap<bigint, readonly Call[]>,
  ): Map<number, { fromNs: bigint; toNs: bigint | undefined }[]> {
    const served = new Map<number, { fromNs: bigint; toNs: bigint | undefined }[]>();
    for (const sockets of this.#sockets.values()) {
      for (const client of sockets) {
        const calls = callsOn.get(client.carries === 0n ? client.connection : client.carries) ?? [];
        const [first] = calls;
        if (first === undefined || client.connection === 0n) continue;
        for (const server of this.#sockets.get(client.otherEnds) ?? []) {
          if (server.processNumber === client.processNumber || !overlap(client, server)) continue;
          const spans = served.get(server.processNumber) ?? [];
          served.set(server.processNumber, spans);
          spans.push({ fromNs: first.timeNs, toNs: client.closedNs });
        }
      }
    }
    return served;
  }

  /** Only the head of a request counts, unless it was not seen: then its body tells whether it is of a model. */
  #router(anomalies: Anomalies): ExchangeRouter {
    const inner = routeExchanges(
      {
        requested: (call) => {
          const { model, connection, startedNs: timeNs } = call;
          if (model !== undefined) this.#called({ connection, timeNs });
        },
        item: () => {},
        ended: () => {},
      },
      anomalies,
      () => {},
    );
    return {
      exchange: (head: RequestHead, where: Where) => {
        if (head.target === '') return inner.exchange(head, where);
        const path = pathOf(head.target);
        if (this.#endpoints.some((endpoint) => path.startsWith(endpoint))) this.#called(where);
        return unobserved;
      },
      openSocket: (where) => inner.openSocket(where),
    };
  }

  #forgetOldest(): void {
    if (this.#sockets.size <= maxSockets) return;
    for (const oldest of this.#sockets.keys()) {
      this.#sockets.delete(oldest);
      return;
    }
  }

  #called({ connection, timeNs }: Pick<Where, 'connection' | 'timeNs'>): void {
    const process = this.#process;
    if (process !== undefined) this.#calls.push({ process, connection, timeNs });
  }

  #socket(event: SocketEvent): void {
    const process = this.#process;
    if (process === undefined || event.operation === 'listen') return;
    const { local, remote, connection, carries, operation, timeNs } = event;
    const ends = `${endOf(local)} ${endOf(remote)}`;
    const known = this.#sockets.get(ends) ?? [];
    this.#sockets.set(ends, known);
    const same = known.find(
      (socket) => socket.connection === connection && socket.processNumber === process.number,
    );
    const socket: Socket = same ?? {
      processNumber: process.number,
      ends,
      otherEnds: `${endOf(remote)} ${endOf(local)}`,
      connection,
      carries,
      // Of what was open before, only the end is told.
      openedNs: operation === 'close' || operation === 'open' ? 0n : timeNs,
      closedNs: undefined,
    };
    if (same === undefined) known.push(socket);
    this.#forgetOldest();
    if (carries !== 0n) socket.carries = carries;
    if (operation === 'close') socket.closedNs = timeNs;
  }
}

const unobserved: ExchangeObserver = {
  requestData() {},
  requestEnd() {},
  responseHead() {},
  responseData() {},
  responseGap() {},
  responseEnd() {},
  responseLost() {},
};

function overlap(a: Socket, b: Socket): boolean {
  return (
    (a.closedNs === undefined || b.openedNs <= a.closedNs) &&
    (b.closedNs === undefined || a.openedNs <= b.closedNs)
  );
}

function endOf({ address, port }: SocketAddress): string {
  return `${address.replace(/^::ffff:/, '')}:${port}`;
}

/** The path of a request's target, which a proxy is given with scheme and host before it. */
function pathOf(target: string): string {
  return target.replace(/^[a-z]+:\/\/[^/]*/i, '');
}
