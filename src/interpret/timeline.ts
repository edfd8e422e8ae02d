// The events of one bundle until they are written. An ending is often known only from what came later, so
// events are collected with the time of their evidence and put into order at the end.

import type { RawEventPayload } from '../trace/raw-event.js';

/**
 * Where an event stands among those of the same nanosecond. What a new request ends comes before what it
 * begins; what the model says in a response comes after it, and then what follows from that.
 */
export type Place = (typeof PLACES)[number];
const PLACES = ['before', 'at', 'said', 'after'] as const;

export interface TimedEvent {
  timeNs: bigint;
  payload: RawEventPayload;
  threadId: string | null;
  codexTurnId: string | null;
}

export class Timeline {
  readonly #events: Record<Place, TimedEvent[]> = { before: [], at: [], said: [], after: [] };

  add(event: TimedEvent, place: Place = 'at'): void {
    this.#events[place].push(event);
  }

  /** All events by time; those of one time and place in the order in which they were added. */
  sorted(): TimedEvent[] {
    const events = PLACES.flatMap((place) => this.#events[place]);
    // Array.prototype.sort is stable.
    return events.sort((a, b) => (a.timeNs < b.timeNs ? -1 : a.timeNs > b.timeNs ? 1 : 0));
  }
}
