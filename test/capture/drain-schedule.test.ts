import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { DrainSchedule } from '../../src/capture/drain-schedule.js';

const ringBytes = 16 << 20;
const much = 1 << 20;

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
afterEach(() => void vi.useRealTimers());

/** Looks at a ring into which something comes every 100 ms, until it is drained or nothing can be expected. */
function msUntilDue(schedule: DrainSchedule): number {
  for (let ms = 0; ms < 5000; ms += 100) {
    if (schedule.isDue(1 + ms, false)) return ms;
    vi.advanceTimersByTime(100);
  }
  return Number.POSITIVE_INFINITY;
}

test.each([
  [false, 2000],
  [true, 500],
])('what comes without a pause waits, watched: %s, for %d ms', (isWatched, expected) => {
  const schedule = new DrainSchedule({ ringBytes, isWatched });
  schedule.drained();
  expect(msUntilDue(schedule)).toBe(expected);
  schedule.drained();
  expect(msUntilDue(schedule)).toBe(expected);
});

test('what waits is waited for until it is due, nothing for as long as it takes', () => {
  const schedule = new DrainSchedule({ ringBytes, isWatched: false });
  schedule.drained();
  vi.advanceTimersByTime(300);
  expect(schedule.waitMs(0)).toBeUndefined();
  expect(schedule.waitMs(8)).toBe(1700);
  vi.advanceTimersByTime(3000);
  expect(schedule.waitMs(8)).toBe(0);
});

test('a pause is due, of something', () => {
  const schedule = new DrainSchedule({ ringBytes, isWatched: false });
  schedule.drained();
  expect(schedule.isDue(8, true)).toBe(true);
  expect(schedule.isDue(0, true)).toBe(false);
});

test('much does not wait, nor does what is wanted, and nothing is never due', () => {
  const schedule = new DrainSchedule({ ringBytes, isWatched: false });
  schedule.drained();
  expect(schedule.isDue(much - 8, false)).toBe(false);
  expect(schedule.isDue(much, false)).toBe(true);
  schedule.hasten();
  expect(schedule.isDue(0, false)).toBe(false);
  expect(schedule.isDue(8, false)).toBe(true);
});
