// `agsight session-map [PATH…]`: options and output; the map is sessions/session-map.ts.

import { Command } from '../commander.js';
import type { SessionMap } from '../sessions/session-map.js';

export function sessionMapCommand(): Command {
  return new Command('session-map')
    .description('map rollout files, a CODEX_HOME or a bundle to sessions, threads, responses and tokens')
    .argument('[path...]', 'rollout files, directories or bundles (default: $CODEX_HOME, else ~/.codex)')
    .addHelpText(
      'after',
      '\nExit codes: 0 all read, 3 some files or lines were left out, 1 a path cannot be read.',
    )
    .action(async (paths: string[], _options: unknown, command: Command) => {
      const { json } = command.optsWithGlobals<{ json?: boolean }>();
      const { ExitCode } = await import('../errors.js');
      const { mapSessions } = await import('../sessions/session-map.js');
      const map = await mapSessions(paths.length > 0 ? paths : [await defaultHome()]);
      console.log(json === true ? JSON.stringify(map, null, 2) : await describe(map));
      const isWhole =
        map.skipped.length === 0 && threadsOf(map).every(({ warnings }) => warnings.length === 0);
      process.exitCode = isWhole ? ExitCode.ok : ExitCode.incomplete;
    });
}

async function defaultHome(): Promise<string> {
  const { homedir } = await import('node:os');
  const { join } = await import('node:path');
  return process.env.CODEX_HOME ?? join(homedir(), '.codex');
}

async function describe(map: SessionMap): Promise<string> {
  const { note } = await import('../render/notes.js');
  const { renderTable } = await import('../render/table.js');
  const { stripControl } = await import('../render/terminal.js');
  const { SESSION_HEAD, sessionRows } = await import('../sessions/session-rows.js');
  for (const { file, reason } of map.skipped) note(stripControl(`${file}: ${reason}`));
  for (const { rollout_file, thread_id, warnings } of threadsOf(map)) {
    for (const warning of warnings) note(stripControl(`${rollout_file ?? thread_id}: ${warning}`));
  }
  if (map.sessions.length === 0) return 'no sessions found';
  return renderTable(SESSION_HEAD, sessionRows(map.sessions));
}

function threadsOf(map: SessionMap): SessionMap['sessions'][number]['threads'] {
  return map.sessions.flatMap(({ threads }) => threads);
}
