// `agsight session-map [PATH…]`: options and output; the map is sessions/session-map.ts.

import { setFlagsFromString } from 'node:v8';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { MapEntry, SessionMap } from '../sessions/session-map.js';

interface Options {
  json?: boolean;
  ndjson?: boolean;
  turns?: boolean;
  session?: string;
  thread?: string;
  since?: number;
  until?: number;
  cwd?: string;
}

export function sessionMapCommand(): Command {
  return new Command('session-map')
    .description('map rollout files, a CODEX_HOME or a bundle to sessions, threads, responses and tokens')
    .argument('[path...]', 'rollout files, directories or bundles (default: $CODEX_HOME, else ~/.codex)')
    .addOption(
      new Option('--ndjson', 'print one JSON object per session, process, exchange and skipped file'),
    )
    .option('--turns', 'show the turns of each thread in the table')
    .option('--session <id>', 'only this session')
    .option('--thread <id>', 'only this thread')
    .option(
      '--since <time>',
      'only threads active at this time or later (2026-11-20, or RFC 3339)',
      parseSince,
    )
    .option('--until <time>', 'only threads begun by this time; a day means its end', parseUntil)
    .option('--cwd <dir>', 'only threads that worked in this directory or below it')
    .addHelpText(
      'after',
      '\nTimes without a zone are local. Exit codes: 0 all read, 3 some files or lines were left out, 1 a path cannot be read.',
    )
    .action(async (paths: string[], _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<Options>();
      // Little of what streams by lives on: a young generation that grows holds more garbage, and saves no time.
      setFlagsFromString('--semi-space-growth-factor=1');
      const { ExitCode } = await import('../errors.js');
      const { mapSessions, readSessionMap } = await import('../sessions/session-map.js');
      const from = paths.length > 0 ? paths : [await defaultHome()];
      const filter = {
        sessionId: options.session,
        threadId: options.thread,
        sinceMs: options.since,
        untilMs: options.until,
        cwd: options.cwd,
      };
      let isWhole = true;
      if (options.ndjson === true) {
        for await (const entry of mapSessions(from, filter)) {
          console.log(JSON.stringify(entry));
          isWhole &&= isSound(entry);
        }
      } else {
        const map = await readSessionMap(from, filter);
        console.log(
          options.json === true ? JSON.stringify(map, null, 2) : await describe(map, from, options),
        );
        isWhole =
          map.skipped.length === 0 &&
          map.sessions.every((session) => isSound({ type: 'session', ...session }));
      }
      process.exitCode = isWhole ? ExitCode.ok : ExitCode.incomplete;
    });
}

function isSound(entry: MapEntry): boolean {
  if (entry.type === 'session') return entry.threads.every(({ warnings }) => warnings.length === 0);
  return entry.type !== 'skipped';
}

async function defaultHome(): Promise<string> {
  const { homedir } = await import('node:os');
  const { join } = await import('node:path');
  // As for Codex, one that is empty is not set.
  return process.env.CODEX_HOME || join(homedir(), '.codex');
}

const DAY = /^\d{4}-\d{2}-\d{2}$/;

function parseSince(text: string): number {
  return parseTime(DAY.test(text) ? `${text}T00:00:00` : text);
}

function parseUntil(text: string): number {
  return parseTime(DAY.test(text) ? `${text}T23:59:59.999` : text);
}

function parseTime(text: string): number {
  const time = Date.parse(text);
  if (Number.isNaN(time)) throw new InvalidArgumentError('Not a day (2026-11-20) or time (RFC 3339).');
  return time;
}

async function describe(map: SessionMap, from: readonly string[], { turns }: Options): Promise<string> {
  const { note } = await import('../render/notes.js');
  const { renderTable } = await import('../render/table.js');
  const { stripControl } = await import('../render/terminal.js');
  const rows = await import('../sessions/session-rows.js');
  for (const { file, reason } of map.skipped) note(stripControl(`agsight: ${file}: ${reason}`));
  for (const { rollout_file, thread_id, warnings } of map.sessions.flatMap(({ threads }) => threads)) {
    for (const warning of warnings) note(stripControl(`agsight: ${rollout_file ?? thread_id}: ${warning}`));
  }
  if (map.sessions.length === 0 && map.processes.length === 0) {
    return stripControl(
      `no sessions found in ${from.join(' or ')} (rollout-TIME-UUID.jsonl or .jsonl.zst, at any depth)`,
    );
  }
  const parts = [renderTable(rows.SESSION_HEAD, rows.sessionRows(map.sessions, turns))];
  if (map.processes.length > 0) {
    parts.push(renderTable(rows.PROCESS_HEAD, rows.processRows(map.processes)));
    if (map.processes.some(({ role_certain }) => role_certain === false))
      parts.push('?: listening ports were not recorded, so this process may be a gateway');
    parts.push(rows.exchangeSummary(map.exchanges));
  }
  return parts.join('\n\n');
}
