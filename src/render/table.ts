// Tables for people. Rows in, text out; the caller prints.

import { Chalk } from 'chalk';
import Table from 'cli-table3';
import { stripControl } from './terminal.js';

// cli-table3 slows down quadratically; a person reads no more than this anyway, and --json has all.
const maxRows = 1000;

/**
 * A table of `rows` under a bold `head`, without a trailing newline. Cells are stripped of control
 * sequences. Beyond 1000 rows the rest is counted in a last line.
 */
export function renderTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const colours = process.stdout.isTTY && process.stdout.hasColors() && process.env.NO_COLOR === undefined;
  const chalk = new Chalk({ level: colours ? 1 : 0 });
  const table = new Table({
    head: head.map((cell) => chalk.bold(cell)),
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2 },
    chars: {
      top: '',
      'top-mid': '',
      'top-left': '',
      'top-right': '',
      bottom: '',
      'bottom-mid': '',
      'bottom-left': '',
      'bottom-right': '',
      left: '',
      'left-mid': '',
      mid: '',
      'mid-mid': '',
      right: '',
      'right-mid': '',
      middle: '',
    },
  });
  for (const row of rows.slice(0, maxRows)) table.push(row.map(stripControl));
  const lines = table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd());
  if (rows.length > maxRows) lines.push(`… and ${rows.length - maxRows} more`);
  return lines.join('\n');
}
