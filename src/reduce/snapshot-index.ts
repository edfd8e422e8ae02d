// Finds, for the items of a new snapshot, the ones of the last snapshot that they repeat: each at most once,
// the earliest first, in constant time. It creates nothing.

import type { ItemRecord } from './graph.js';
import type { NormalizedItem } from './normalized-item.js';
import { reach } from './pair-map.js';

/** Same content, and no two different wire ids. */
export function matches({ item, content }: ItemRecord, sighted: NormalizedItem): boolean {
  if (content !== sighted.content) return false;
  return (
    item.responses_item_id === undefined ||
    sighted.responsesItemId === undefined ||
    item.responses_item_id === sighted.responsesItemId
  );
}

/** Positions in the snapshot, of which those before `next` are known to be used. */
interface Queue {
  positions: number[];
  next: number;
}

export class SnapshotIndex {
  readonly #used = new Set<ItemRecord>();
  #byContent: Map<string, Queue> | undefined;
  #byWireId: Map<string, Queue> | undefined;

  /** @param singleUse whether an item that was used is not taken again at its own position either. */
  constructor(
    private readonly snapshot: readonly ItemRecord[],
    private readonly singleUse: boolean,
  ) {}

  /** The record at `position` when it matches and is unused. */
  at(position: number, sighted: NormalizedItem): ItemRecord | undefined {
    const record = this.snapshot[position];
    if (record === undefined || (this.singleUse && this.#used.has(record))) return undefined;
    return matches(record, sighted) ? record : undefined;
  }

  /** The first unused record that matches. */
  take(sighted: NormalizedItem): ItemRecord | undefined {
    const { content, responsesItemId } = sighted;
    const { byContent, byWireId } = this.#index();
    if (responsesItemId === undefined) return this.snapshot[this.#first(byContent.get(content))];
    const same = this.#first(byWireId.get(wireKey(content, responsesItemId)));
    const unnamed = this.#first(byWireId.get(wireKey(content, undefined)));
    return this.snapshot[Math.min(same, unnamed)];
  }

  use(record: ItemRecord): void {
    this.#used.add(record);
  }

  #first(queue: Queue | undefined): number {
    if (queue === undefined) return this.snapshot.length;
    for (; ; queue.next++) {
      const position = queue.positions[queue.next];
      const record = position === undefined ? undefined : this.snapshot[position];
      if (position === undefined || record === undefined) return this.snapshot.length;
      if (!this.#used.has(record)) return position;
    }
  }

  #index(): { byContent: Map<string, Queue>; byWireId: Map<string, Queue> } {
    if (this.#byContent === undefined || this.#byWireId === undefined) {
      this.#byContent = new Map();
      this.#byWireId = new Map();
      const queue = (): Queue => ({ positions: [], next: 0 });
      for (const [position, record] of this.snapshot.entries()) {
        // Mostly all but what is new were found at their place.
        if (this.#used.has(record)) continue;
        const { item, content } = record;
        reach(this.#byContent, content, queue).positions.push(position);
        reach(this.#byWireId, wireKey(content, item.responses_item_id), queue).positions.push(position);
      }
    }
    return { byContent: this.#byContent, byWireId: this.#byWireId };
  }
}

function wireKey(content: string, wireId: string | undefined): string {
  return wireId === undefined ? content : `${content} ${JSON.stringify(wireId)}`;
}
