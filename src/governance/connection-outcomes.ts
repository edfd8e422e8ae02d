// What became of connections that a call only began, as those of non-blocking sockets are: the kernel tells it later, or,
// on one host, even before the call has returned.

import type { ConnectEvent, SocketEvent } from '../evidence/event.js';

/** Of Linux: the host that reads may be another system. */
export const EINPROGRESS = 115;
/** Of processes and addresses; the oldest make room. */
const maxWaiting = 4096;

interface Outcome {
  timeNs: bigint;
  errno: number;
}

/** Joins calls of connect(2) to the ends of their attempts, by process and remote address, in the order of both. */
export class ConnectionOutcomes {
  readonly #calls = new Map<string, ((errno: number) => void)[]>();
  readonly #early = new Map<string, Outcome[]>();
  /** Connections that exist: what ends them is no outcome of an attempt. */
  readonly #made = new Set<bigint>();

  /** @param settle is told the error number, now or later, where the call itself had none to tell */
  begun({ pid, address, port, timeNs, errno }: ConnectEvent, settle: (errno: number) => void): void {
    const key = `${pid} ${address} ${port}`;
    const [outcome, ...others] = (this.#early.get(key) ?? []).filter((early) => early.timeNs >= timeNs);
    set(this.#early, key, others);
    if (errno !== EINPROGRESS) return;
    if (outcome !== undefined) settle(outcome.errno);
    else set(this.#calls, key, [...(this.#calls.get(key) ?? []), settle]);
  }

  /** Takes part in the life of connections. */
  push({ operation, connection, pid, remote, timeNs, errno }: SocketEvent): void {
    const isAttempt = !this.#made.has(connection);
    if (operation === 'close') this.#made.delete(connection);
    else this.#made.add(connection);
    if (operation !== 'connect' && !(operation === 'close' && isAttempt && errno !== 0)) return;
    const key = `${pid} ${remote.address} ${remote.port}`;
    const [settle, ...others] = this.#calls.get(key) ?? [];
    set(this.#calls, key, others);
    if (settle !== undefined) settle(errno);
    else set(this.#early, key, [...(this.#early.get(key) ?? []), { timeNs, errno }]);
  }
}

function set<T>(waiting: Map<string, T[]>, key: string, values: T[]): void {
  waiting.delete(key);
  if (values.length > 0) waiting.set(key, values);
  if (waiting.size <= maxWaiting) return;
  for (const oldest of waiting.keys()) {
    waiting.delete(oldest);
    return;
  }
}
