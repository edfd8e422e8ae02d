// What one event has changed, so that an event that turns out to be wrong leaves nothing behind. Maps and sets
// of the graph note their changes themselves; changes of objects and lists go through the journal.

export class Journal {
  readonly #undo: (() => void)[] = [];

  /** Off where the first wrong event ends everything anyway. */
  enabled = true;

  note(undo: () => void): void {
    if (this.enabled) this.#undo.push(undo);
  }

  /** What was changed since the last call stays. */
  commit(): void {
    this.#undo.length = 0;
  }

  /** Takes back what was changed since the last commit. */
  rollback(): void {
    for (let undo = this.#undo.pop(); undo !== undefined; undo = this.#undo.pop()) undo();
  }

  assign<T extends object>(target: T, change: Partial<T>): void {
    if (this.enabled) {
      const before: Partial<T> = {};
      for (const key in change) before[key] = target[key];
      this.#undo.push(() => Object.assign(target, before));
    }
    Object.assign(target, change);
  }

  push<T>(list: T[], value: T): void {
    list.push(value);
    if (this.enabled) this.#undo.push(() => list.pop());
  }

  /** Appends `value` unless it is there. For lists that stay short. */
  addUnique(list: string[], value: string): void {
    if (!list.includes(value)) this.push(list, value);
  }
}

/** A map that notes its changes. What comes back after a deletion comes back at the end. */
export class TrackedMap<K, V> extends Map<K, V> {
  constructor(private readonly journal: Journal) {
    super();
  }

  override set(key: K, value: V): this {
    if (!this.journal.enabled) return super.set(key, value);
    const before = super.get(key);
    const { size } = this;
    super.set(key, value);
    // Mostly the key is new; asking for that beforehand would be one lookup more.
    if (this.size > size) this.journal.note(() => super.delete(key));
    else this.journal.note(() => super.set(key, before as V));
    return this;
  }

  override delete(key: K): boolean {
    if (!this.journal.enabled) return super.delete(key);
    const before = super.get(key);
    const deleted = super.delete(key);
    if (deleted) this.journal.note(() => super.set(key, before as V));
    return deleted;
  }
}

/** A set that notes its changes and keeps its order. For sets that stay small. */
export class TrackedSet<T> extends Set<T> {
  constructor(private readonly journal: Journal) {
    super();
  }

  override add(value: T): this {
    if (this.journal.enabled && !super.has(value)) this.journal.note(() => super.delete(value));
    return super.add(value);
  }

  override delete(value: T): boolean {
    if (this.journal.enabled && super.has(value)) this.#noteOrder();
    return super.delete(value);
  }

  override clear(): void {
    if (this.journal.enabled) this.#noteOrder();
    super.clear();
  }

  #noteOrder(): void {
    const before = [...this];
    this.journal.note(() => {
      super.clear();
      for (const value of before) super.add(value);
    });
  }
}
