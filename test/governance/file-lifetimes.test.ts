import { expect, test } from 'vitest';
import { FileLifetimes } from '../../src/governance/file-lifetimes.js';
import { fileOp } from './events.js';

test('a creation is told once until the file is deleted', () => {
  const lifetimes = new FileLifetimes();
  const create = fileOp({ at: 0 });
  const told = [create, create, fileOp({ at: 1, operation: 'delete' }), create, create].map(
    (event) => !lifetimes.isRepeated(event),
  );
  expect(told).toEqual([true, false, true, true, false]);
});

test('agents, paths and inodes are told apart', () => {
  const lifetimes = new FileLifetimes();
  for (const more of [{}, { rootPid: 11 }, { path: '/work/b.txt' }, { inode: 2 }]) {
    expect(lifetimes.isRepeated(fileOp({ at: 0, ...more }))).toBe(false);
  }
});

test('a rename frees the old name and replaces what had the new one', () => {
  const lifetimes = new FileLifetimes();
  const create = (path: string) => !lifetimes.isRepeated(fileOp({ at: 0, path }));
  create('/work/a.txt');
  create('/work/b.txt');
  lifetimes.isRepeated(fileOp({ at: 1, operation: 'rename', target: '/work/b.txt' }));
  expect([create('/work/a.txt'), create('/work/b.txt')]).toEqual([true, true]);
});

test('what failed changes nothing and is always told', () => {
  const lifetimes = new FileLifetimes();
  lifetimes.isRepeated(fileOp({ at: 0 }));
  expect(lifetimes.isRepeated(fileOp({ at: 1, operation: 'delete', errno: 13 }))).toBe(false);
  expect(lifetimes.isRepeated(fileOp({ at: 2, errno: 17 }))).toBe(false);
  expect(lifetimes.isRepeated(fileOp({ at: 3 }))).toBe(true);
});

test('what is remembered is bounded, the longest untouched going first', () => {
  const lifetimes = new FileLifetimes();
  const create = (number: number) => lifetimes.isRepeated(fileOp({ at: 0, path: `/work/${number}` }));
  for (let i = 0; i < 65_537; i++) create(i);
  expect(create(65_536)).toBe(true);
  expect(create(1)).toBe(true);
  expect(create(0)).toBe(false);
});
