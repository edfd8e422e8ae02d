// `agsight show BUNDLE`: options and output; the story is governance/run-timeline.ts.

import { Command } from '../commander.js';

export function showCommand(): Command {
  return new Command('show')
    .description(
      'tell a captured run as a timeline: prompts, tool calls and what they caused, answers, tokens',
    )
    .argument('<bundle>', 'directory that agsight capture wrote')
    .action(async (bundle: string, _options: unknown, command: Command) => {
      const { json } = command.optsWithGlobals<{ json?: boolean }>();
      const { AgsightError, ExitCode } = await import('../errors.js');
      const { toolCallEffects } = await import('../governance/tool-call-effects.js');
      const { describeRun } = await import('../governance/run-timeline.js');
      const { runs, calls, isSound } = await toolCallEffects(bundle);
      if (runs.length === 0) {
        throw new AgsightError('not-reduced', 'holds no interpreted run', {
          file: bundle,
          remedy: 'run agsight reduce on it first; agsight events lists what it holds',
        });
      }
      if (json === true) console.log(JSON.stringify({ tool_calls: calls }, null, 2));
      else console.log(runs.map((run) => describeRun(run, calls)).join('\n\n'));
      if (!isSound) process.exitCode = ExitCode.incomplete;
    });
}
