// A map whose keys are pairs of strings, because ids are unique only within their thread or turn.

import { type Journal, TrackedMap } from './journal.js';

export class PairMap<V> {
  readonly #journal: Journal;
  readonly #outer: TrackedMap<string, TrackedMap<string, V>>;

  constructor(journal: Journal) {
    this.#journal = journal;
    this.#outer = new TrackedMap(journal);
  }

  get(first: string, second: string): V | undefined {
    return this.#outer.get(first)?.get(second);
  }

  set(first: string, second: string, value: V): void {
    let inner = this.#outer.get(first);
    if (inner === undefined) {
      inner = new TrackedMap(this.#journal);
      this.#outer.set(first, inner);
    }
    inner.set(second, value);
  }

  delete(first: string, second: string): void {
    this.#outer.get(first)?.delete(second);
  }

  /** Forgets every pair that begins with `first`. */
  deleteAll(first: string): void {
    this.#outer.delete(first);
  }

  /** The value under the pair, made with `create` when there is none. */
  reach(first: string, second: string, create: () => V): V {
    const found = this.get(first, second);
    if (found !== undefined) return found;
    const created = create();
    this.set(first, second, created);
    return created;
  }
}

/** The value under `key`, made with `create` when there is none. */
export function reach<K, V>(map: Map<K, V>, key: K, create: () => V): V {
  const found = map.get(key);
  if (found !== undefined) return found;
  const created = create();
  map.set(key, created);
  return created;
}
