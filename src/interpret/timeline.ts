// The events of one bundle until they are written. An ending is often known only from what came later, so
// events are collected with the time of their evidence and put into order at the end.

import type { RawEventPayload } from '../trace/raw-event.js';

/**
 * Where an event stands among those of the same nanosecond. What a new request ends comes before what it
 * begins; what follows from a response comes after it.
 */
export type Place = 'before' | 'at' | 'after';

export interface TimedEvent {
  timeNs: bigint;
  payload: RawEventPayload;
  threadId: string | null;
  codexTurnId: string | null;
}

export class Timeline {
  readonly #events: Record<Place, TimedEvent[]> = { before: [], at: [], after: [] };

  add(event: TimedEvent, place: Place = 'at'): void {
    this.#events[place].push(event);
  }

  /** All events by time; those of one time and place in the order in which they were added. */
  sorted(): TimedEvent[] {
    const { before, at, after } = this.#events;
    // Array.prototype.sort is stable.
    return [...before, ...at, ...after].sort((a, b) =>
      a.timeNs < b.timeNs ? -1 : a.timeNs > b.timeNs ? 1 : 0,
    );
  }
}
