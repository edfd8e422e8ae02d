// The program: global options, the list of commands, and the one place where an error becomes a line on
// stderr and an exit code. Knows nothing of what the commands do; they import their work when they run.

import { Command, CommanderError } from './commander.js';
import { separateCommand } from './commands/command-operand.js';
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

/** In the order of the help. */
const commands = new Map<string, () => Promise<() => Command>>([
  ['capture', async () => (await import('./commands/capture.js')).captureCommand],
  ['doctor', async () => (await import('./commands/doctor.js')).doctorCommand],
  ['events', async () => (await import('./commands/events.js')).eventsCommand],
  ['offsets', async () => (await import('./commands/offsets.js')).offsetsCommand],
  ['ps', async () => (await import('./commands/ps.js')).psCommand],
  ['reduce', async () => (await import('./commands/reduce.js')).reduceCommand],
  ['session-map', async () => (await import('./commands/session-map.js')).sessionMapCommand],
  ['show', async () => (await import('./commands/show.js')).showCommand],
  ['verify', async () => (await import('./commands/verify.js')).verifyCommand],
]);

/** The one that is named, as a target may be waiting for it to be loaded; all of them where there is none. */
async function loadCommands(args: readonly string[]): Promise<(() => Command)[]> {
  const named = commands.get(args.find((argument) => !argument.startsWith('-')) ?? '');
  return await Promise.all((named === undefined ? [...commands.values()] : [named]).map((load) => load()));
}

async function createProgram(args: readonly string[]): Promise<Command> {
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
  for (const create of await loadCommands(args)) {
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
  const [node = '', script = '', ...args] = argv;
  const program = await createProgram(args);
  throwInsteadOfExit(program);
  try {
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
