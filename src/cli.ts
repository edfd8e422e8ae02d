// The program: global options, the list of commands, and the one place where an error becomes a line on
// stderr and an exit code. Knows nothing of what the commands do; they import their work when they run.

import { Command, CommanderError } from './commander.js';
import { captureCommand } from './commands/capture.js';
import { separateCommand } from './commands/command-operand.js';
import { doctorCommand } from './commands/doctor.js';
import { eventsCommand } from './commands/events.js';
import { offsetsCommand } from './commands/offsets.js';
import { psCommand } from './commands/ps.js';
import { reduceCommand } from './commands/reduce.js';
import { sessionMapCommand } from './commands/session-map.js';
import { showCommand } from './commands/show.js';
import { verifyCommand } from './commands/verify.js';
import { AgsightError, ExitCode, messageOf, systemErrorCode } from './errors.js';
import { printError, setVerbosity } from './render/notes.js';
import { version } from './version.js';

interface GlobalOptions {
  json?: boolean;
  quiet?: boolean;
  verbose?: boolean;
  color: boolean;
  debug?: boolean;
}

function createProgram(): Command {
  const program = new Command('agsight')
    .description(
      'Shows what an AI coding agent really sent, received, ran and changed, from outside the agent.',
    )
    .version(version, '--version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .option('--json', 'print data as JSON on stdout')
    .option('-q, --quiet', 'print no notes on stderr')
    .option('-v, --verbose', 'print more notes on stderr')
    .option('--no-color', 'print no colours (NO_COLOR works too)')
    .option('--debug', 'print the stack trace of an error')
    .addHelpText(
      'after',
      '\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 done but incomplete, 130 interrupted.',
    )
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'agsight: ')) })
    .hook('preAction', (command) => {
      const options = command.opts<GlobalOptions>();
      if (!options.color) process.env.NO_COLOR = '1';
      setVerbosity(options.quiet === true ? 'quiet' : options.verbose === true ? 'verbose' : 'normal');
    });
  for (const create of [
    captureCommand,
    doctorCommand,
    eventsCommand,
    offsetsCommand,
    psCommand,
    reduceCommand,
    sessionMapCommand,
    showCommand,
    verifyCommand,
  ]) {
    program.addCommand(create().copyInheritedSettings(program));
  }
  return program;
}

/** Exits of commander itself, made by throwing (help, version, wrong usage), become return values. */
function throwInsteadOfExit(command: Command): void {
  command.exitOverride();
  for (const child of command.commands) throwInsteadOfExit(child);
}

function report(error: unknown, options: GlobalOptions): void {
  if (options.debug === true && error instanceof Error) {
    console.error(error.stack);
    return;
  }
  if (error instanceof AgsightError) {
    printError(error, options.json === true);
    return;
  }
  const message = messageOf(error);
  if (systemErrorCode(error) !== undefined) {
    printError(new AgsightError('system', message), options.json === true);
    return;
  }
  console.error(
    `agsight: internal error: ${message.split('\n')[0]} (run again with --debug and report the stack)`,
  );
}

/** A reader that closed the pipe (`| head -1`) wants no more: that is no error of ours. Any other failure is. */
function endOnFailedOutput(stream: NodeJS.WriteStream): void {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(process.exitCode ?? ExitCode.ok);
    if (stream === process.stdout) console.error(`agsight: the output cannot be written: ${error.code}`);
    process.exit(ExitCode.failed);
  });
}

/**
 * Runs the command line and sets `process.exitCode`; never rejects.
 *
 * @param argv as `process.argv`: two leading entries, then the arguments.
 */
export async function main(argv: readonly string[]): Promise<void> {
  endOnFailedOutput(process.stdout);
  endOnFailedOutput(process.stderr);
  const program = createProgram();
  throwInsteadOfExit(program);
  try {
    const [node = '', script = '', ...args] = argv;
    await program.parseAsync([node, script, ...separateCommand(args, program)]);
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? ExitCode.ok : ExitCode.usage;
      return;
    }
    report(error, program.opts<GlobalOptions>());
    process.exitCode = error instanceof AgsightError ? error.exitCode : ExitCode.failed;
  }
}
