// Why a part of a bundle is refused, in two wordings: ours on one line, and the one of the reference
// (`codex debug trace-reduce`), which may have several.

import { messageOf, systemErrorCode } from '../errors.js';

/**
 * A refused manifest, line, event or payload. `code` is stable and meant for scripts; `reference` is what
 * the reference prints after `Error: `.
 */
export class Rejection extends Error {
  readonly reference: string;

  /** @param causes innermost last, as the reference lists them under `Caused by:`. */
  constructor(
    readonly code: string,
    what: string,
    causes: readonly string[] = [],
  ) {
    super([what, ...causes].join(': '));
    this.reference = causes.length === 0 ? what : `${what}\n\nCaused by:\n${numbered(causes)}`;
  }
}

function numbered(causes: readonly string[]): string {
  const only = causes.length === 1;
  const lines = causes.map((cause, index) => {
    return `${only ? '' : `${index}: `}${cause.replaceAll('\n', only ? '\n    ' : '\n       ')}`;
  });
  return lines.map((line) => `    ${line}`).join('\n');
}

const SYSTEM_ERRORS: Readonly<Record<string, string>> = {
  EPERM: 'Operation not permitted (os error 1)',
  ENOENT: 'No such file or directory (os error 2)',
  EACCES: 'Permission denied (os error 13)',
  ENOTDIR: 'Not a directory (os error 20)',
  EISDIR: 'Is a directory (os error 21)',
  ENAMETOOLONG: 'Filename too long (os error 36)',
  ELOOP: 'Symbolic link loop (os error 40)',
  // Node does not ask the system either.
  ERR_INVALID_ARG_VALUE: 'file name contained an unexpected NUL byte',
};

/** A failed system call in the words of the reference. */
export function systemErrorText(error: unknown): string {
  const code = systemErrorCode(error) ?? '';
  return SYSTEM_ERRORS[code] ?? messageOf(error);
}
