import fc from 'fast-check';
import { expect, test } from 'vitest';
import { singleLine, stripControl } from '../../src/render/terminal.js';

test.for<[string, string, string]>([
  ['colours', '\u001b[1;31mred\u001b[0m', 'red'],
  ['a window title', 'a\u001b]0;title\u0007b', 'ab'],
  ['a hyperlink', '\u001b]8;;http://example.com\u001b\\link\u001b]8;;\u001b\\', 'link'],
  ['a clipboard write that is cut off', 'a\u001b]52;c;aGVsbG8=', 'a'],
  ['a device control string', 'a\u001bPq#0\u001b\\b', 'ab'],
  ['cursor movement and erasing', 'a\u001b[2J\u001b[1;1Hb', 'ab'],
  ['carriage return, backspace, bell', 'a\r\b\u0007b', 'ab'],
  ['eight-bit controls', 'a\u009b31mb\u0085c', 'a31mbc'],
  ['tab and newline, which stay', 'a\tb\nc', 'a\tb\nc'],
  ['other scripts, which stay', 'grün 日本 🙂', 'grün 日本 🙂'],
])('printed text is stripped of %s', ([, text, stripped]) => {
  expect(stripControl(text)).toBe(stripped);
});

test('whatever the text, no control character is left', () => {
  const pieces = fc.array(
    fc.oneof(
      fc.constantFrom('\u001b', '\u001b[', '\u001b]', '\u001bP', '\u0007', '\u009c', '\u009b', '\u001b\\'),
      fc.string(),
    ),
  );
  fc.assert(
    fc.property(pieces, (parts) => {
      expect(stripControl(parts.join(''))).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/);
    }),
    { numRuns: 2000 },
  );
});

test('a cell is one line and no wider than asked', () => {
  expect(singleLine('  two\n  lines ', 20)).toBe('two lines');
  expect(singleLine('x'.repeat(30), 10)).toBe(`${'x'.repeat(9)}…`);
});
