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

  /** Of a ring that holds nothing the kernel tells when that changes; what it holds is waited for so long. */
  waitMs(pending: number): number | undefined {
    return pending === 0 ? undefined : Math.max(0, Math.ceil(this.#dueMs - performance.now()));
  }

  /**
   * To be asked at each look at the ring.
   *
   * @param hasPaused whether nothing has come for `pauseMs`
   */
  isDue(pending: number, hasPaused: boolean): boolean {
    if (pending === 0) return false;
    return hasPaused || this.isMuch(pending) || performance.now() >= this.#dueMs;
  }
}
