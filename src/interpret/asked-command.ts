// The command that an agent was asked for, out of the arguments of the process that it started for it: Codex puts its
// sandbox in front, and a script that loads the shell's settings around it. The one rule for which command a process runs.

import { basename } from 'node:path/posix';

const SANDBOX = 'codex-linux-sandbox';
/** How the script begins that Codex puts around a login shell's command, to load a snapshot of the shell's settings. */
const SNAPSHOT_LOADER = '__CODEX_SNAPSHOT_';
/** How it ends: it becomes the shell that runs the command. */
const LOADED_COMMAND = /\n\nexec '([^']+)' -c '((?:[^']|'"'"')*)'$/;
/** A quote as it stands between quotes. */
const QUOTE = `'"'"'`;

export function askedCommand(argv: readonly string[]): readonly string[] {
  const [program = '', , script = ''] = argv;
  const sandboxed = basename(program) === SANDBOX ? argv.indexOf('--') + 1 : 0;
  if (sandboxed > 0) return askedCommand(argv.slice(sandboxed));
  const [, shell, command] = (script.startsWith(SNAPSHOT_LOADER) && LOADED_COMMAND.exec(script)) || [];
  return shell === undefined || command === undefined ? argv : [shell, '-lc', command.replaceAll(QUOTE, "'")];
}

/** Whether `argv` runs what was asked for: a text that a shell takes, or the words of a command. */
export function isAsked(argv: readonly string[], request: string): boolean {
  const command = askedCommand(argv);
  return command.includes(request) || command.join(' ') === request;
}
