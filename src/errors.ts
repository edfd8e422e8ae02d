// The one error type that reaches a person, and the exit codes of every command.
// It does not print: src/cli.ts turns an AgsightError into one line on stderr.

/** Exit codes, the same for every command. */
export const ExitCode = {
  /** The command did all that was asked. */
  ok: 0,
  /** Bad input, no permission, target gone. */
  failed: 1,
  /** Wrong command line. */
  usage: 2,
  /** Done, but the result is incomplete: lost events, damaged input skipped. */
  incomplete: 3,
  /** Interrupted before anything was saved. */
  interrupted: 130,
} as const;

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

export interface AgsightErrorOptions {
  /** The file that the error is about. */
  file?: string | undefined;
  /** Where in the file: `line 3`, `byte 4096`. */
  place?: string | undefined;
  /** What the reader can do about it, an imperative without a final period. */
  remedy?: string | undefined;
  exitCode?: ExitCode;
  cause?: unknown;
}

/**
 * A failure that a person can act on.
 *
 * `code` is stable and meant for scripts (`--json` prints it); `message` is a single line of the form
 * `FILE: PLACE: WHAT (REMEDY)`.
 */
export class AgsightError extends Error {
  override readonly name = 'AgsightError';
  readonly code: string;
  /** The message without the remedy. */
  readonly reason: string;
  readonly file: string | undefined;
  readonly place: string | undefined;
  readonly remedy: string | undefined;
  readonly exitCode: ExitCode;

  constructor(code: string, what: string, options: AgsightErrorOptions = {}) {
    const where = [options.file, options.place].filter((part) => part !== undefined);
    const remedy = options.remedy === undefined ? '' : ` (${options.remedy})`;
    const reason = [...where, what].join(': ');
    super(`${reason}${remedy}`, { cause: options.cause });
    this.code = code;
    this.reason = reason;
    this.file = options.file;
    this.place = options.place;
    this.remedy = options.remedy;
    this.exitCode = options.exitCode ?? ExitCode.failed;
  }
}

/** Node's `code` of a failed system call (`ENOENT`), or undefined when `error` is something else. */
export function systemErrorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
