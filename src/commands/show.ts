// `agsight show BUNDLE`: options and output; the story is governance/run-timeline.ts.

import { Command } from '../commander.js';
import { tellIncomplete, tellUnseen } from './incomplete.js';

export function showCommand(): Command {
  return new Command('show')
    .description(
      'tell a captured run as a timeline: prompts, tool calls and what they caused, answers, tokens, what else the agent did; without a run, what was done',
    )
    .argument('<bundle>', 'directory that agsight capture wrote')
    .action(async (bundle: string, _options: unknown, command: Command) => {
      const { json } = command.optsWithGlobals<{ json?: boolean }>();
      const { AgsightError } = await import('../errors.js');
      const { toolCallEffects } = await import('../governance/tool-call-effects.js');
      const { runTimeline } = await import('../governance/run-timeline.js');
      const { describeRest, describeRoot, describeRun } = await import('../governance/timeline-lines.js');
      const { isUninterpreted } = await import('../reduce/find-bundles.js');
      const { note } = await import('../render/notes.js');
      const { runs, calls, roots, isSound } = await toolCallEffects(bundle, { roots: true });
      if (await isUninterpreted(bundle)) {
        note(
          `agsight: ${bundle}: it holds no run: either no request to a model was made, or agsight reduce is still to interpret what was recorded with --raw or cut short`,
        );
      }
      if (!isSound) await tellIncomplete(bundle);
      await tellUnseen(bundle);
      if (runs.length === 0 && roots.length === 0) {
        throw new AgsightError('nothing-done', 'holds nothing that an agent did', {
          file: bundle,
          remedy:
            'agsight events --everybody --table proc_ops lists what others did, where that was recorded',
        });
      }
      const timelines = runs
        .map(({ state }) => runTimeline(state, calls))
        .sort((a, b) => a.started_at - b.started_at);
      if (json === true) {
        console.log(JSON.stringify({ runs: timelines, tool_calls: calls, roots }, null, 2));
      } else {
        const rest = roots
          .map(runs.length > 0 ? describeRest : describeRoot)
          .filter((text) => text !== undefined);
        console.log([...timelines.map((run) => describeRun(run, calls)), ...rest].join('\n\n'));
      }
    });
}
