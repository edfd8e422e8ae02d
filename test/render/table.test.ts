import { expect, test } from 'vitest';
import { renderTable } from '../../src/render/table.js';

test('columns line up, nothing trails, captured text cannot control the terminal', () => {
  expect(
    renderTable(
      ['Name', 'Value'],
      [
        ['a', '1'],
        ['longer', '\u001b[31m22\u001b[0m'],
      ],
    ),
  ).toBe(['Name    Value', 'a       1', 'longer  22'].join('\n'));
});

test('a table that nobody would read to its end is cut, and says by how much', () => {
  const lines = renderTable(
    ['N'],
    Array.from({ length: 1234 }, (_, index) => [String(index)]),
  ).split('\n');
  expect(lines).toHaveLength(1002);
  expect(lines.at(-1)).toBe('… and 234 more');
});
