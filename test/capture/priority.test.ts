import { getPriority } from 'node:os';
import { expect, test } from 'vitest';
import { raisePriority } from '../../src/capture/priority.js';
import { requireRoot } from '../support/requirements.js';

test('a recording runs before other programs, and what comes after it as before', (context) => {
  requireRoot(context);
  const before = getPriority();
  const lower = raisePriority();
  expect(getPriority()).toBeLessThanOrEqual(-10);
  lower();
  expect(getPriority()).toBe(before);
});
