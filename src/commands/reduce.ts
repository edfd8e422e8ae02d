// `agsight reduce BUNDLE`: options and output; the work is reduce/reduce.ts.

import { Command } from '../commander.js';
import type { ReduceResult } from '../reduce/reduce.js';

interface Options {
  output?: string;
  strict?: boolean;
  json?: boolean;
}

export function reduceCommand(): Command {
  return new Command('reduce')
    .alias('trace-reduce')
    .description('reduce a trace bundle, of a capture or of Codex itself, to state.json')
    .argument(
      '<bundle>',
      'directory with manifest.json, trace.jsonl and payloads/, or with the evidence of a capture',
    )
    .option('-o, --output <file>', 'where to write the state (default: state.json in the bundle)')
    .option('--strict', 'stop at the first fault and write nothing, as `codex debug trace-reduce` does')
    .addHelpText(
      'after',
      '\nFaults are skipped and listed in anomalies.json beside the state; the exit code is 3 then.',
    )
    .action(async (bundle: string, _options: unknown, command: Command) => {
      const { output, strict, json } = command.optsWithGlobals<Options>();
      const { AgsightError, ExitCode } = await import('../errors.js');
      const { BundleRejected, reduceBundles } = await import('../reduce/reduce.js');
      const { interpretBundle, isUninterpreted } = await import('../interpret/interpret-bundle.js');
      if (isUninterpreted(bundle) && (await interpretBundle(bundle)).bundles.length === 0) {
        throw new AgsightError('no-requests', 'its evidence holds no request to a model', {
          file: bundle,
          remedy: 'see what it holds with agsight verify',
        });
      }
      let results: ReduceResult[];
      try {
        results = await reduceBundles(bundle, { output, strict });
      } catch (error) {
        if (strict !== true || json === true || !(error instanceof BundleRejected)) throw error;
        console.error(`Error: ${error.reference}`);
        process.exitCode = ExitCode.failed;
        return;
      }
      if (json === true) {
        const reports = results.map(report);
        console.log(JSON.stringify(reports.length === 1 ? reports[0] : reports, withoutBigints));
      } else {
        for (const { statePath } of results) console.log(statePath);
      }
      await describeFaults(results);
      if (results.some(({ complete }) => !complete)) process.exitCode = ExitCode.incomplete;
    });
}

function report({ bundle, statePath, complete, recordingComplete, anomalies, counts }: ReduceResult): object {
  return { bundle, state: statePath, complete, recording_complete: recordingComplete, counts, anomalies };
}

/** A sequence number beyond 2^53 is damage; here its size is enough. */
function withoutBigints(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? Number(value) : value;
}

async function describeFaults(results: readonly ReduceResult[]): Promise<void> {
  const { note } = await import('../render/notes.js');
  const { singleLine } = await import('../render/terminal.js');
  for (const { bundle, anomalies, recordingComplete } of results) {
    const [first] = anomalies;
    if (first !== undefined) {
      const where = first.line === null ? '' : `line ${first.line}: `;
      const more = anomalies.length === 1 ? '' : `, and ${anomalies.length - 1} more`;
      note(`agsight: ${bundle}: ${where}${singleLine(first.message, 300)}${more} (see anomalies.json)`);
    } else if (!recordingComplete) {
      note(`agsight: ${bundle}: the recording has no end: it is being written, or Codex was killed`);
    }
  }
}
