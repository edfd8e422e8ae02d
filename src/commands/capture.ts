// `agsight capture`: options in, a bundle out. The recording is src/capture, what it means src/interpret.

import { resolve } from 'node:path';
import type { CaptureOptions } from '../capture/capture.js';
import { defaultRingMib } from '../capture/ring.js';
import { Command, InvalidArgumentError } from '../commander.js';
import { ExitCode } from '../errors.js';

interface CaptureCommandOptions {
  pid?: number[];
  name?: string[];
  all?: boolean;
  endpoint?: string[];
  output?: string;
  duration?: number;
  ringMib: number;
  /** False with --no-children. */
  children: boolean;
  files: boolean;
  raw?: boolean;
  keepSecrets?: boolean;
  json?: boolean;
}

/** As many as the kernel program compares. */
const maxNames = 8;
const stopSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

function parsePid(text: string, earlier: number[] = []): number[] {
  if (!/^[1-9]\d{0,9}$/.test(text)) throw new InvalidArgumentError('A process id is a positive number.');
  return [...earlier, Number(text)];
}

function parseEndpoint(text: string, earlier: string[] = []): string[] {
  if (!text.startsWith('/')) throw new InvalidArgumentError('An endpoint is a path that begins with /.');
  return [...earlier, text];
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (!(seconds > 0 && seconds <= 2_000_000)) throw new InvalidArgumentError('Seconds are a number above 0.');
  return seconds;
}

function parseRingMib(text: string): number {
  const mib = Number(text);
  if (!Number.isInteger(Math.log2(mib)) || mib < 1 || mib > 1024) {
    throw new InvalidArgumentError('The ring is a power of two from 1 to 1024.');
  }
  return mib;
}

export function captureCommand(): Command {
  return new Command('capture')
    .description('record what an agent sends, receives and runs, and reduce it')
    .usage('[options] (--pid N… | --name PATTERN… | --all | -- CMD ARGS…)')
    .argument(
      '[command...]',
      'a command to start and record, with its arguments: what follows its name is its own, with -- before it or not',
    )
    .option('--pid <pid...>', 'record running processes and their children', parsePid)
    .option(
      '--name <pattern>',
      'record programs of this name, running or started later; * and ? stand for any characters (may be repeated)',
      (text: string, earlier: string[] = []) => [...earlier, text],
    )
    .option('--all', 'record every process; agents are those that send requests to AI endpoints')
    .option(
      '--endpoint <prefix>',
      'with --all: an AI endpoint too, by how the paths of its requests begin (may be repeated)',
      parseEndpoint,
    )
    .option('-o, --output <dir>', 'bundle directory, new or empty (default: agsight-<date>-<time>)')
    .option(
      '--duration <seconds>',
      'stop after this time (default: when the target ends, or Ctrl-C)',
      parseSeconds,
    )
    .option('--no-children', 'leave alone what the targets start')
    .option('--ring-mib <n>', 'ring buffer between kernel and agsight, in MiB', parseRingMib, defaultRingMib)
    .option('--no-files', 'do not record what is done to files, permissions and the network')
    .option('--raw', 'record evidence only; interpret and reduce nothing')
    .option('--keep-secrets', 'leave keys and tokens in what is interpreted and reduced')
    .action(async (command: string[], _: unknown, self: Command) => {
      const options = self.optsWithGlobals<CaptureCommandOptions>();
      const isAll = options.all === true;
      const isAttached = options.pid !== undefined || options.name !== undefined;
      if (Number(isAttached) + Number(isAll) + Number(command.length > 0) !== 1) {
        self.error('error: name either processes with --pid or --name, or --all, or a command after --');
      }
      if (isAll && !options.children) self.error('error: --all leaves nobody alone: not with --no-children');
      if (!isAll && options.endpoint !== undefined) self.error('error: --endpoint goes with --all');
      if ((options.name?.length ?? 0) > maxNames) self.error(`error: at most ${maxNames} names`);
      await run(command, options);
    });
}

async function run(command: string[], options: CaptureCommandOptions): Promise<void> {
  const { capture } = await import('../capture/capture.js');
  const { defaultBundleDirectory } = await import('../capture/bundle-directory.js');
  const { counted } = await import('../render/counted.js');
  const { openCaptureDisplay } = await import('../render/open-display.js');
  const { note } = await import('../render/notes.js');

  const output = options.output ?? defaultBundleDirectory(new Date());
  const stop = new AbortController();
  // A second signal finds no handler and ends us at once; the evidence so far is whole all the same.
  const onSignal = (signal: NodeJS.Signals): void => {
    ignoreSignals();
    stop.abort(signal);
  };
  const ignoreSignals = (): void => {
    for (const signal of stopSignals) process.off(signal, onSignal);
  };
  for (const signal of stopSignals) process.on(signal, onSignal);
  const display = await openCaptureDisplay({ isShared: command.length > 0 && process.stdout.isTTY });
  const summary = await capture({
    output,
    target: await targetOf(command, options),
    ...(options.duration === undefined ? {} : { durationMs: options.duration * 1000 }),
    children: options.children,
    ringBytes: options.ringMib * 2 ** 20,
    files: options.files,
    stop: stop.signal,
    observer: display,
  }).finally(() => {
    ignoreSignals();
    display?.close();
  });

  for (const warning of summary.warnings) note(`agsight: ${warning}`);
  for (const { program, connections, bytes, libraries } of summary.unseen_tls) {
    const why = libraries
      .map(({ library, reason, remedy }) => `; ${library}: ${reason} (${remedy})`)
      .join('');
    const what = `${counted(connections, 'TLS connection')} with ${counted(bytes, 'byte')}`;
    note(`agsight: ${program}: ${what} not seen${why}`);
  }
  let complete = summary.lost_events === 0 && summary.unseen_tls.length === 0;
  if (options.raw !== true) complete = (await interpret(output, options.keepSecrets === true)) && complete;
  if (options.json === true) process.stdout.write(`${JSON.stringify({ bundle: output, ...summary })}\n`);
  note(`agsight: ${counted(summary.evidence.frames, 'event')} in ${output}, ${summary.lost_events} lost`);
  if (!complete) process.exitCode = ExitCode.incomplete;
}

async function targetOf(
  command: readonly string[],
  { pid, name, all, endpoint }: CaptureCommandOptions,
): Promise<CaptureOptions['target']> {
  if (command.length > 0) return { command };
  if (all !== true) return { pids: pid ?? [], names: name ?? [] };
  const { defaultEndpoints } = await import('../interpret/agent-finder.js');
  return { agentEndpoints: [...defaultEndpoints, ...(endpoint ?? [])] };
}

/** Interprets and reduces the evidence, tells what came of it, and returns whether nothing was missing. */
async function interpret(bundle: string, keepsSecrets: boolean): Promise<boolean> {
  const { harmlessKinds } = await import('../interpret/anomalies.js');
  const { interpretBundle } = await import('../interpret/interpret-bundle.js');
  const { reduceBundle } = await import('../reduce/reduce.js');
  const { describeModelRequests } = await import('../render/exchange-lines.js');
  const { note } = await import('../render/notes.js');
  const { singleLine } = await import('../render/terminal.js');

  const { exchanges, bundles, anomalies, evidenceAnomalies } = await interpretBundle(bundle, {
    keepsSecrets,
  });
  for (const { kind, count, example } of anomalies) {
    note(`agsight: ${kind}${count > 1 ? ` (${count} times)` : ''}: ${singleLine(example, 200)}`);
  }
  for (const anomaly of evidenceAnomalies) note(`agsight: ${singleLine(JSON.stringify(anomaly), 200)}`);
  note(`agsight: ${describeModelRequests(exchanges)}`);
  let complete = evidenceAnomalies.length === 0 && anomalies.every(({ kind }) => harmlessKinds.has(kind));
  const checked = new Map([[resolve(bundle), undefined]]);
  for (const found of bundles) complete = (await reduceBundle(found, { checked })).complete && complete;
  return complete;
}
