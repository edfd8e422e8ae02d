// How urgent the recording is: what waits too long in the ring is lost, and its own work is short.

import { getPriority, setPriority } from 'node:os';

const urgent = -10;

/**
 * Lets the calling thread run before those of other programs. Nothing is inherited by what runs already; where it is not
 * allowed, nothing happens. Returns what puts it back.
 */
export function raisePriority(): () => void {
  const before = getPriority();
  const set = (priority: number): void => {
    try {
      setPriority(priority);
    } catch {
      // Without CAP_SYS_NICE: a busy machine may make us lose records, which are counted.
    }
  };
  if (before > urgent) set(urgent);
  return () => set(before);
}
