// Where the options of `agsight capture` end and the command that it starts begins: what the command's own options
// mean is the command's business, with `--` before it and without. Commander does this only for programs whose
// global options may not follow the subcommand; ours may.

import type { Command } from '../commander.js';

/** `args` of `program` with `--` put before the first operand of `capture`, unless one stands there. */
export function separateCommand(args: readonly string[], program: Command): string[] {
  const begin = args.findIndex((arg) => !arg.startsWith('-'));
  const capture = program.commands.find((command) => command.name() === 'capture');
  if (capture === undefined || args[begin] !== capture.name()) return [...args];
  const known = [...capture.options, ...program.options];
  for (let at = begin + 1; at < args.length; at++) {
    const arg = args[at] ?? '';
    if (arg === '--') break;
    if (!arg.startsWith('-') || arg === '-') return [...args.slice(0, at), '--', ...args.slice(at)];
    const option = known.find(({ short, long }) => short === arg || long === arg);
    if (option?.required !== true) continue;
    at++;
    while (option.variadic && args[at + 1]?.startsWith('-') === false) at++;
  }
  return [...args];
}
