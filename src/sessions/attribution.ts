// Whose exchange was that? Owns the order of trust among the signs, and when none of them is enough.
import type { CapturedExchange } from './captured-exchanges.js';
import type { CapturedProcess } from './captured-processes.js';

/**
 * From the surest to the weakest:
 * - `header`: the request's header fields name the thread;
 * - `client_metadata`: its body does;
 * - `CODEX_THREAD_ID`: the environment of the process names the thread whose tool call it is part of;
 * - `rollout item id`: items of the exchange stand in the rollout file of one thread only;
 * - `pid`: the process has had exchanges of one thread, and of no other, by a better sign;
 * - `history`: nothing names a thread of the process; requests that go on with one conversation are of one thread.
 */
export type AttributionReason =
  | 'header'
  | 'client_metadata'
  | 'CODEX_THREAD_ID'
  | 'rollout item id'
  | 'pid'
  | 'history';

export interface Attribution {
  exchange: CapturedExchange;
  threadId: string | undefined;
  /** Undefined, like the thread, when no sign is enough. */
  by: AttributionReason | undefined;
  /** Why no thread was found. */
  why: string | undefined;
}

/** Threads by the ids of the items in their rollout files; undefined where several threads have the item. */
export class ItemOwners {
  readonly #owners = new Map<string, string | undefined>();

  add(threadId: string, itemIds: Iterable<string>): void {
    for (const id of itemIds) {
      const isShared = this.#owners.has(id) && this.#owners.get(id) !== threadId;
      this.#owners.set(id, isShared ? undefined : threadId);
    }
  }

  /** The one thread that all known items of `ids` are of. */
  ownerOf(ids: Iterable<string>): string | undefined {
    const owners = new Set<string>();
    for (const id of ids) {
      const owner = this.#owners.get(id);
      if (owner !== undefined) owners.add(owner);
    }
    const [owner, ...others] = owners;
    return others.length === 0 ? owner : undefined;
  }
}

/** Attributes each exchange, in the order given. */
export function attribute(exchanges: readonly CapturedExchange[], items: ItemOwners): Attribution[] {
  const found = exchanges.map((exchange) => ({ exchange, ...bySign(exchange, items) }));
  const threads = new Map<CapturedProcess, Set<string>>();
  for (const { exchange, threadId, by } of found) {
    // What a tool's process sends to others says nothing of the process that holds the thread.
    if (threadId === undefined || by === 'CODEX_THREAD_ID') continue;
    const known = threads.get(exchange.process);
    if (known === undefined) threads.set(exchange.process, new Set([threadId]));
    else known.add(threadId);
  }
  return found.map(({ exchange, threadId, by }) => {
    if (threadId !== undefined) return { exchange, threadId, by, why: undefined };
    const { pid } = exchange.process;
    const [only, ...others] = threads.get(exchange.process) ?? [];
    if (others.length > 0) {
      const why = `process ${pid} holds ${others.length + 1} threads and nothing says which one it was`;
      return { exchange, threadId: undefined, by: undefined, why };
    }
    if (only === undefined && exchange.ids.threadId !== undefined) {
      return { exchange, threadId: exchange.ids.threadId, by: 'history', why: undefined };
    }
    return only === undefined
      ? { exchange, threadId: undefined, by: undefined, why: `nothing names a thread of process ${pid}` }
      : { exchange, threadId: only, by: 'pid', why: undefined };
  });
}

/** Whether an exchange names its thread itself, or its process does. */
export function isNamed(exchange: CapturedExchange): boolean {
  return bySign(exchange, new ItemOwners()).threadId !== undefined;
}

function bySign(
  { header, ids, process, answered, repeated }: CapturedExchange,
  items: ItemOwners,
): { threadId: string | undefined; by: AttributionReason | undefined } {
  if (header.threadId !== undefined) return { threadId: header.threadId, by: 'header' };
  if (ids.threadId !== undefined && ids.isThreadInferred !== true)
    return { threadId: ids.threadId, by: 'client_metadata' };
  if (process.environmentThread !== undefined)
    return { threadId: process.environmentThread, by: 'CODEX_THREAD_ID' };
  const owner = items.ownerOf(answered) ?? items.ownerOf(repeated);
  return { threadId: owner, by: owner === undefined ? undefined : 'rollout item id' };
}
