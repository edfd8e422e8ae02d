// `agsight reduce BUNDLE`: options and output; the work is reduce/reduce.ts.

import { join, resolve } from 'node:path';
import { Command } from '../commander.js';
import type { AgsightError } from '../errors.js';
import type { CheckedEvidence } from '../reduce/interpretation-anomalies.js';
import type { ReduceResult } from '../reduce/reduce.js';

interface Options {
  output?: string;
  strict?: boolean;
  keepSecrets?: boolean;
  json?: boolean;
}

/** What became of one bundle. */
interface Outcome {
  bundle: string;
  result?: Omit<ReduceResult, 'state'>;
  error?: AgsightError;
}

export function reduceCommand(): Command {
  return new Command('reduce')
    .alias('trace-reduce')
    .description('reduce a trace bundle, of a capture or of Codex itself, to state.json')
    .argument(
      '<bundle>',
      'directory with manifest.json, trace.jsonl and payloads/, or with the evidence of a capture, or with several of these',
    )
    .option(
      '-o, --output <file>',
      'where to write the state, - for stdout (default: state.json in the bundle)',
    )
    .option('--strict', 'stop at the first fault and write nothing, as `codex debug trace-reduce` does')
    .option('--keep-secrets', 'interpret the evidence anew, and leave keys and tokens in what is written')
    .addHelpText(
      'after',
      [
        '\nFaults are skipped and listed in anomalies.json beside the state; the exit code is 3 then. Of several',
        'bundles each is reduced, whatever becomes of the others; the exit code is 1 when one of them failed.',
      ].join('\n'),
    )
    .action(async (path: string, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<Options>();
      const usage = (message: string) => command.error(`error: ${message}`);
      const { interruptible } = await import('./interrupt.js');
      await interruptible((signal) => run(path, options, usage, signal));
    });
}

async function run(
  path: string,
  { output, strict, keepSecrets, json = false }: Options,
  usage: (message: string) => never,
  signal: AbortSignal,
): Promise<void> {
  const { findBundles } = await import('../reduce/find-bundles.js');
  const { reduceBundle } = await import('../reduce/reduce.js');
  const { openReduceDisplay } = await import('../render/reduce-progress.js');
  const checked: CheckedEvidence = new Map();
  if (keepSecrets === true) await interpretAnew(path, checked);
  const found: Outcome[] = [];
  for (const dir of await findBundles(path)) found.push(...(await interpreted(dir, checked)));
  if (output !== undefined && found.length > 1) {
    usage(
      `${path} holds ${found.length} bundles, which one output cannot take; leave out -o, or name one of them`,
    );
  }
  const display = openReduceDisplay();
  const toStdout = output === '-';
  for (const outcome of found) {
    if (outcome.error !== undefined) continue;
    try {
      // Of many bundles the states are not kept.
      const { state: _, ...result } = await reduceBundle(outcome.bundle, {
        output: toStdout ? process.stdout : output,
        strict,
        checked,
        signal,
        onProgress: display?.update,
      });
      outcome.result = result;
    } catch (error) {
      outcome.error = await failureOf(error);
    } finally {
      display?.clear();
    }
    if (!json && !toStdout && outcome.result !== undefined) console.log(outcome.result.statePath);
  }
  if (json && !toStdout) {
    const reports = found.map(report);
    console.log(JSON.stringify(reports.length === 1 ? reports[0] : reports, withoutBigints));
  }
  await describeFaults(found, strict === true, json);
}

/** Interprets the evidence again, whatever came of it before, and keeps the secrets. */
async function interpretAnew(dir: string, checked: CheckedEvidence): Promise<void> {
  const { hasEvidence, interpretBundle } = await import('../interpret/interpret-bundle.js');
  if (hasEvidence(dir)) {
    await interpretBundle(dir, { keepsSecrets: true });
    checked.set(resolve(dir), undefined);
    return;
  }
  const { AgsightError } = await import('../errors.js');
  const { pathFault } = await import('../bundle-path.js');
  const fault = pathFault(dir);
  throw new AgsightError('no-evidence', fault ?? 'has no evidence, which alone holds the secrets', {
    file: dir,
    remedy:
      fault === undefined ? 'leave out --keep-secrets' : 'name the directory that agsight capture wrote',
  });
}

/** The bundles that a directory is or becomes: evidence alone is interpreted first. */
async function interpreted(dir: string, checked: CheckedEvidence): Promise<Outcome[]> {
  const { isUninterpreted } = await import('../reduce/find-bundles.js');
  if (!(await isUninterpreted(dir))) return [{ bundle: dir }];
  const { interpretBundle } = await import('../interpret/interpret-bundle.js');
  let remedy = 'see what it holds with agsight verify';
  try {
    const { bundles, anomalies } = await interpretBundle(dir);
    checked.set(resolve(dir), undefined);
    if (bundles.length > 0) return bundles.map((bundle) => ({ bundle }));
    if (anomalies.length > 0) remedy = `see ${join(dir, 'anomalies.json')}`;
  } catch (error) {
    return [{ bundle: dir, error: await failureOf(error) }];
  }
  const { AgsightError } = await import('../errors.js');
  const error = new AgsightError('no-requests', 'its evidence holds no request to a model that can be read', {
    file: dir,
    remedy,
  });
  return [{ bundle: dir, error }];
}

/** A failure that concerns one bundle only; any other is thrown again. */
async function failureOf(error: unknown): Promise<AgsightError> {
  const { AgsightError, ExitCode } = await import('../errors.js');
  if (error instanceof AgsightError && error.exitCode !== ExitCode.interrupted) return error;
  throw error;
}

function report({ bundle, result, error }: Outcome): object {
  if (result === undefined) return { bundle, error: { code: error?.code, message: error?.message } };
  const { statePath, complete, recordingComplete, anomalies, interpretationFaults, counts } = result;
  return {
    bundle,
    state: statePath,
    complete,
    recording_complete: recordingComplete,
    counts,
    anomalies,
    ...(interpretationFaults === undefined ? {} : { evidence_anomalies: interpretationFaults.count }),
  };
}

/** A sequence number beyond 2^53 is damage; here its size is enough. */
function withoutBigints(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? Number(value) : value;
}

/** Says what was wrong with each bundle, and sets the exit code of the worst. */
async function describeFaults(outcomes: readonly Outcome[], strict: boolean, json: boolean): Promise<void> {
  const { ExitCode } = await import('../errors.js');
  const { BundleRejected } = await import('../reduce/reduce.js');
  const { note, printError } = await import('../render/notes.js');
  const { singleLine } = await import('../render/terminal.js');
  const toldLists = new Set<string>();
  for (const { bundle, result, error } of outcomes) {
    if (error !== undefined) {
      process.exitCode = ExitCode.failed;
      if (strict && !json && error instanceof BundleRejected) console.error(`Error: ${error.reference}`);
      else printError(error, json);
      continue;
    }
    const faults = result?.interpretationFaults;
    if (faults !== undefined) {
      process.exitCode ??= ExitCode.incomplete;
      // Threads of one capture have their evidence in common.
      if (!toldLists.has(faults.see)) note(`agsight: ${bundle}: ${faults.summary} (see ${faults.see})`);
      toldLists.add(faults.see);
    }
    const [first, ...more] = result?.anomalies ?? [];
    if (first !== undefined) {
      process.exitCode ??= ExitCode.incomplete;
      const where = first.line === null ? '' : `line ${first.line}: `;
      const others = more.length === 0 ? '' : `, and ${more.length} more`;
      const list = result?.statePath === '-' ? '' : ' (see anomalies.json)';
      note(`agsight: ${bundle}: ${where}${singleLine(first.message, 300)}${others}${list}`);
    } else if (faults === undefined && result?.recordingComplete === false) {
      note(`agsight: ${bundle}: the recording has no end: it is being written, or Codex was killed`);
    }
  }
}
