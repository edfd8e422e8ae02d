import { expect, test } from 'vitest';
import { counted } from '../../src/render/counted.js';

test.each([
  [0, '0 exchanges'],
  [1, '1 exchange'],
  [2, '2 exchanges'],
])('%d', (count, text) => {
  expect(counted(count, 'exchange')).toBe(text);
});
