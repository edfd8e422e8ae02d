// Makes captured text safe to print: what an agent sent must not move the cursor, retitle the window or
// write to the clipboard of the person who reads it.

// CSI, OSC/DCS/APC/PM/SOS up to their terminator, two-byte escapes; then any C0 or C1 control that is left.
const escapeSequence =
  // biome-ignore lint/complexity/useRegexLiterals: the control characters stay readable as escapes
  new RegExp(
    '\\u001b\\[[0-?]*[ -/]*[@-~]|\\u001b[\\]PX^_][^\\u0007\\u001b\\u009c]*(?:\\u0007|\\u001b\\\\|\\u009c)?|\\u001b.?',
    'g',
  );
// biome-ignore lint/complexity/useRegexLiterals: the control characters stay readable as escapes
const control = new RegExp('[\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f]', 'g');

/** `text` without terminal control sequences; tab and newline stay. */
export function stripControl(text: string): string {
  return text.replace(escapeSequence, '').replace(control, '');
}

/** One line of at most `width` characters for a table cell: control sequences and line breaks gone, cut with an ellipsis. */
export function singleLine(text: string, width: number): string {
  const line = stripControl(text).replace(/\s+/g, ' ').trim();
  return line.length > width ? `${line.slice(0, width - 1)}…` : line;
}
