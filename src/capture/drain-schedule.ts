// When what waits in the ring is drained. Draining takes a CPU that the targets may want: it is done when they have paused,
// when much has come, or at the latest after some time. As much is lost when the capture is killed.

import { muchOfRing } from '../bpf/record.js';

/** For so long nothing comes in a pause. */
export const pauseMs = 250;
const longestMs = 2000;
/** Where a person watches. */
const watchedMs = 500;

export class DrainSchedule {
  readonly #muchBytes: number;
  readonly #longestMs: number;
  #dueMs = 0;
  /** What waited when the ring was last looked at, and until when that says nothing of a pause. */
  #looked = { untilMs: 0, pending: 0 };

  constructor({ ringBytes, isWatched }: { ringBytes: number; isWatched: boolean }) {
    this.#muchBytes = ringBytes / muchOfRing;
    this.#longestMs = isWatched ? watchedMs : longestMs;
  }

  /** From now on the longest time runs anew. */
  drained(): void {
    this.#dueMs = performance.now() + this.#longestMs;
  }

  /** What waits is wanted at the next look. */
  hasten(): void {
    this.#dueMs = 0;
  }

  /** @param pending bytes that wait in the ring */
  isMuch(pending: number): boolean {
    return pending >= this.#muchBytes;
  }

  /** To be asked at each look at the ring. */
  isDue(pending: number): boolean {
    if (pending === 0) return false;
    return this.isMuch(pending) || this.#hasPaused(pending) || performance.now() >= this.#dueMs;
  }

  /** Whether nothing has come since the ring was looked at a pause ago. */
  #hasPaused(pending: number): boolean {
    const nowMs = performance.now();
    if (nowMs < this.#looked.untilMs) return false;
    const hasPaused = pending === this.#looked.pending;
    this.#looked = { untilMs: nowMs + pauseMs, pending };
    return hasPaused;
  }
}
