import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Progress, printAboveProgress } from '../../src/render/progress.js';

/** What stands on a terminal after `output`, with the cursor at the end of the last line. */
function screenOf(output: string): string[] {
  const lines = [''];
  for (const part of output.split(/(\r\u001b\[K|\n)/)) {
    if (part === '\n') lines.push('');
    else if (part === '\r\u001b[K') lines[lines.length - 1] = '';
    else lines[lines.length - 1] += part;
  }
  return lines;
}

let output: string;
const screen = {
  columns: 40,
  write(text: string | Uint8Array) {
    output += String(text);
    return true;
  },
};

beforeEach(() => {
  output = '';
  vi.useFakeTimers({ toFake: ['performance'] });
});

afterEach(() => {
  vi.useRealTimers();
});

test('the line is drawn at most four times a second, and what it says is worked out no more often', () => {
  const progress = new Progress(screen);
  let asked = 0;
  for (let ms = 0; ms < 1000; ms++) {
    progress.update(() => `line ${++asked}`);
    vi.advanceTimersByTime(1);
  }
  expect(asked).toBe(4);
  expect(screenOf(output)).toEqual(['line 4']);
  progress.clear();
  expect(screenOf(output)).toEqual(['']);
});

test('a line that says the same is not drawn again', () => {
  const progress = new Progress(screen);
  progress.update(() => 'the same');
  vi.advanceTimersByTime(300);
  const before = output;
  progress.update(() => 'the same');
  expect(output).toBe(before);
});

test('the line stays one line, and what it quotes cannot move the cursor', () => {
  new Progress(screen).update(() => `a\u001b[2Jb\nc${'x'.repeat(100)}`);
  expect(screenOf(output)).toEqual([`ab c${'x'.repeat(34)}…`]);
});

test('other output stands above the line', () => {
  const progress = new Progress(screen);
  progress.update(() => 'half done');
  printAboveProgress(() => screen.write('a note\n'));
  expect(screenOf(output)).toEqual(['a note', 'half done']);
  progress.clear();
  printAboveProgress(() => screen.write('another\n'));
  expect(screenOf(output)).toEqual(['a note', 'another', '']);
});
