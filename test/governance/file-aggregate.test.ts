import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { FileIoEvent } from '../../src/evidence/event.js';
import { type FileAggregate, FileAggregator } from '../../src/governance/file-aggregate.js';
import type { Cause } from '../../src/governance/processes.js';
import { fileIo } from './events.js';

const nobody: Cause = { threadId: null, callId: null, by: null };

/** What comes of `events` in the end, in the order in which it left. */
function aggregate(events: readonly FileIoEvent[], causes: readonly Cause[] = []): FileAggregate[] {
  const aggregator = new FileAggregator();
  const done = events.flatMap((event, index) => aggregator.add(event, causes[index] ?? nobody));
  return [...done, ...aggregator.end()];
}

const summary = (rows: readonly FileAggregate[]) =>
  rows.map(({ event, bytes, count }) => [event.operation, event.path, bytes, count]);

test('calls on the same file become one row, with sums, the last end and the largest offset', () => {
  const rows = aggregate([
    fileIo({ at: 0, end: 10, bytes: 5, offset: 100, durationNs: 10_000n }),
    fileIo({ at: 50, end: 70, bytes: 7, count: 3, offset: 20, durationNs: 20_000n }),
  ]);
  expect(rows).toMatchObject([{ bytes: 12, count: 4, offset: 100, durationNs: 30_000n, endNs: 70_000n }]);
  expect(rows[0]?.event.timeNs).toBe(0n);
});

test('other files in between do not split a row', () => {
  const rows = aggregate([fileIo({ at: 0 }), fileIo({ at: 10, path: '/work/b.txt' }), fileIo({ at: 20 })]);
  expect(summary(rows)).toEqual([
    ['write', '/work/b.txt', 10, 1],
    ['write', '/work/a.txt', 20, 2],
  ]);
});

test.each([
  ['100 ms', 100_000, 1],
  ['a microsecond more', 100_001, 2],
])('a pause of %s makes %s µs %i rows', (_, pause, rows) => {
  expect(aggregate([fileIo({ at: 0, end: 5 }), fileIo({ at: 5 + pause })])).toHaveLength(rows);
});

test('whatever tells two rows apart keeps them apart', () => {
  const one = fileIo({ at: 0 });
  const others: Partial<FileIoEvent>[] = [
    { operation: 'read' },
    { rootPid: 11 },
    { pid: 11 },
    { tid: 11 },
    { comm: 'bash' },
    { path: '/work/A.txt' },
    { mode: 0o600 },
    { fileType: 'virtual' },
    { errno: 28 },
  ];
  for (const other of others) expect(aggregate([one, { ...one, ...other }])).toHaveLength(2);
  expect(aggregate([one, one], [nobody, { ...nobody, callId: 'call_1' }])).toHaveLength(2);
});

test('a change of a file ends all rows of this file and agent, and no other', () => {
  const aggregator = new FileAggregator();
  for (const event of [
    fileIo({ at: 0 }),
    fileIo({ at: 0, operation: 'read' }),
    fileIo({ at: 0, path: '/work/b.txt' }),
    fileIo({ at: 0, rootPid: 11 }),
  ]) {
    expect(aggregator.add(event, nobody)).toEqual([]);
  }
  expect(summary(aggregator.endFile(10, '/work/a.txt'))).toEqual([
    ['write', '/work/a.txt', 10, 1],
    ['read', '/work/a.txt', 10, 1],
  ]);
  expect(aggregator.endFile(10, '/work/a.txt')).toEqual([]);
  expect(aggregator.end()).toHaveLength(2);
});

test('a row leaves after three seconds without an addition, and when there are too many', () => {
  const aggregator = new FileAggregator();
  aggregator.add(fileIo({ at: 0 }), nobody);
  expect(aggregator.add(fileIo({ at: 3_000_000, path: '/b' }), nobody)).toEqual([]);
  expect(summary(aggregator.add(fileIo({ at: 3_000_001, path: '/c' }), nobody))).toEqual([
    ['write', '/work/a.txt', 10, 1],
  ]);
  let left = 0;
  for (let i = 0; i < 70_000; i++) {
    left += aggregator.add(fileIo({ at: 3_000_002, path: `/many/${i}` }), nobody).length;
  }
  expect(left).toBe(70_000 + 2 - 65_536);
});

test('no byte and no call is lost or told twice, whatever comes', () => {
  const event = fc
    .record({
      at: fc.nat({ max: 10_000_000 }),
      path: fc.constantFrom('/a', '/b', '/c'),
      operation: fc.constantFrom('read' as const, 'write' as const),
      bytes: fc.nat({ max: 1000 }),
      count: fc.nat({ max: 10 }),
    })
    .map(fileIo);
  const total = (items: readonly { bytes: number; count: number }[]) => ({
    bytes: items.reduce((sum, { bytes }) => sum + bytes, 0),
    count: items.reduce((sum, { count }) => sum + count, 0),
  });
  fc.assert(
    fc.property(fc.array(event), fc.array(fc.nat({ max: 30 })), (events, ends) => {
      const aggregator = new FileAggregator();
      const rows = events.flatMap((one, index) => [
        ...aggregator.add(one, nobody),
        ...(ends.includes(index) ? aggregator.endFile(10, one.path) : []),
      ]);
      rows.push(...aggregator.end());
      expect(total(rows)).toEqual(total(events));
    }),
  );
});
