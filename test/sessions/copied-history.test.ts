// The over-counts that other tools are known for: history that forks and sub-agents copy, totals that repeat.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { readSessionMap } from '../../src/sessions/session-map.js';
import { generateRollouts } from '../support/rollout-generator.js';
import {
  FIXTURES,
  fileName,
  idAt,
  line,
  MADE_MS,
  scanLines,
  temporaryDirectory,
  tokenCount,
} from './rollouts.js';

const MINUTE = 60_000;

interface Story {
  id: string;
  atMs: number;
  meta?: object;
  /** Lines of another thread, as if written when this one was made. */
  copied?: readonly string[];
  /** Tokens of the responses of its own; the running total goes on from `total`. */
  spent: readonly number[];
  total: number;
}

/** A rollout file whose turns are numbered, as before they had UUIDs. */
function tell({ id, atMs, meta = {}, copied = [], spent, total }: Story): string[] {
  const at = (text: string, ms: number) =>
    text.replace(/"timestamp":"[^"]*"/, `"timestamp":"${new Date(MADE_MS + ms).toISOString()}"`);
  let running = total;
  const own = spent.flatMap((tokens, index) => {
    running += tokens;
    const usage = (value: number) => ({ input_tokens: value, output_tokens: 0, total_tokens: value });
    const info = { total_token_usage: usage(running), last_token_usage: usage(tokens) };
    const count = line('event_msg', { type: 'token_count', info });
    const turnId = `${index + 1}`;
    return [
      line('event_msg', { type: 'task_started', turn_id: turnId }),
      line('turn_context', { turn_id: turnId, model: `model-of-${id.slice(9, 13)}` }),
      count,
      // Written again, unchanged, when the rate limits change.
      count,
      line('event_msg', { type: 'task_complete', turn_id: turnId }),
    ].map((text, step) => at(text, atMs + (index + 1) * 5000 + step * 100));
  });
  const timestamp = new Date(MADE_MS + atMs).toISOString();
  const first = line('session_meta', { id, timestamp, ...meta });
  return [first, ...copied].map((text) => at(text, atMs)).concat(own);
}

const [A, B, C, D] = [1, 2, 3, 4].map((minute) => idAt(minute * MINUTE)) as [string, string, string, string];
const root = tell({ id: A, atMs: MINUTE, spent: [1000, 2000], total: 0 });
const fork = tell({
  id: B,
  atMs: 2 * MINUTE,
  meta: { forked_from_id: A },
  copied: root,
  spent: [400],
  total: 3000,
});
const forkOfFork = tell({
  id: C,
  atMs: 3 * MINUTE,
  meta: { forked_from_id: B },
  copied: fork,
  spent: [70, 30],
  total: 3400,
});
const spawn = { subagent: { thread_spawn: { parent_thread_id: A, depth: 1 } } };
const agent = tell({
  id: D,
  atMs: 4 * MINUTE,
  meta: { session_id: A, parent_thread_id: A, source: spawn },
  copied: root,
  spent: [5],
  total: 3000,
});

function place(files: Record<string, readonly string[]>): string {
  const home = temporaryDirectory();
  mkdirSync(join(home, 'sessions'));
  for (const [id, lines] of Object.entries(files))
    writeFileSync(join(home, 'sessions', nameOf(id)), `${lines.join('\n')}\n`);
  return home;
}

/** The name of `id`, whose thread was made some whole minutes after MADE_MS. */
function nameOf(id: string): string {
  const time = new Date(Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)).toISOString();
  return fileName(id).replace('2026-01-02T03-04-05', time.slice(0, 19).replaceAll(':', '-'));
}

async function tokensOf(home: string): Promise<Record<string, number>> {
  const { sessions } = await readSessionMap([home]);
  const threads = sessions.flatMap((session) => session.threads);
  return Object.fromEntries(threads.map(({ thread_id, usage }) => [thread_id, usage.total_tokens]));
}

describe('copied history', () => {
  it('is counted once, in a fork of a fork and in a sub-agent', async () => {
    const home = place({ [A]: root, [B]: fork, [C]: forkOfFork, [D]: agent });
    expect(await tokensOf(home)).toEqual({ [A]: 3000, [B]: 400, [C]: 100, [D]: 5 });
    const { sessions, skipped } = await readSessionMap([home]);
    expect(skipped).toEqual([]);
    expect(sessions.map(({ session_id, usage }) => [session_id, usage.total_tokens])).toEqual([
      [A, 3005],
      [B, 400],
      [C, 100],
    ]);
    const threads = sessions.flatMap((session) => session.threads);
    expect(threads.map(({ turns, models, warnings }) => [turns, models.length, warnings])).toEqual(
      [2, 1, 1, 2].map((turns) => [turns, 1, []]),
    );
    expect(sessions[0]?.usage_by_model.map(({ usage }) => usage.total_tokens)).toEqual([3000, 5]);
  });

  it('is told by its time, with a warning, where the file that it came from is gone', async () => {
    const home = place({ [C]: forkOfFork, [D]: agent });
    expect(await tokensOf(home)).toEqual({ [C]: 100, [D]: 5 });
    const { sessions } = await readSessionMap([home]);
    for (const { threads } of sessions)
      expect(threads[0]?.warnings).toEqual([expect.stringMatching(/copied from .* told by its time alone/)]);
  });

  it('is compared with its origin even when that has a later name', async () => {
    const home = place({ [A]: root, [C]: forkOfFork });
    const late = fork.map((text) => text.replaceAll(B, D));
    writeFileSync(join(home, 'sessions', nameOf(D)), `${late.join('\n')}\n`);
    writeFileSync(
      join(home, 'sessions', nameOf(C)),
      `${forkOfFork.map((text) => text.replaceAll(B, D)).join('\n')}\n`,
    );
    const { sessions } = await readSessionMap([home]);
    const fork3 = sessions.flatMap(({ threads }) => threads).find(({ thread_id }) => thread_id === C);
    expect(fork3).toMatchObject({ usage: { total_tokens: 100 }, warnings: [] });
  });

  it('is not seen where a count equals one that the origin made later', () => {
    const countsOf = () => scanLines(A, root)?.counts;
    const early = tell({
      id: B,
      atMs: MINUTE + 1000,
      meta: { forked_from_id: A },
      spent: [1000, 2000],
      total: 0,
    });
    expect(scanLines(B, early, nameOf(B), { countsOf })?.usage.total_tokens).toBe(3000);
    const late = tell({
      id: B,
      atMs: 2 * MINUTE,
      meta: { forked_from_id: A },
      spent: [1000, 2001],
      total: 0,
    });
    expect(scanLines(B, late, nameOf(B), { countsOf })?.usage.total_tokens).toBe(2001);
  });

  it('ends where a count equals one that was copied before', () => {
    const countsOf = () => scanLines(A, root)?.counts;
    const meta = { forked_from_id: A };
    const copy = tell({ id: B, atMs: 2 * MINUTE, meta, copied: root, spent: [], total: 0 });
    const again = tokenCount(1000, 1000);
    expect(scanLines(B, [...copy, again], nameOf(B), { countsOf })?.usage.total_tokens).toBe(1000);
  });

  it('is found without any mark but the second session_meta', () => {
    const unmarked = tell({ id: B, atMs: 2 * MINUTE, copied: root, spent: [400], total: 3000 });
    expect(scanLines(B, unmarked, nameOf(B))).toMatchObject({
      threadId: B,
      kind: 'root',
      usage: { total_tokens: 400 },
    });
  });

  it('is exact in generated trees, whatever the order and form of the files', async () => {
    const home = temporaryDirectory();
    const made = generateRollouts(home, { files: 24, bytes: 2_000_000, seed: 5 });
    expect(await tokensOf(home)).toEqual(Object.fromEntries(made.tokens));
    const files = readdirSync(join(home, 'sessions'), { recursive: true, encoding: 'utf8' });
    expect(files.filter((name) => name.endsWith('.jsonl'))).toHaveLength(made.files);
  });
});

describe('other tools on the same files', () => {
  const bin = (path: string) => fileURLToPath(new URL(`../../node_modules/${path}`, import.meta.url));

  /** The sum that a tool prints; null when it finds nothing. */
  function totalOf(script: string, args: readonly string[], home: string): number | null {
    const env = { PATH: process.env.PATH, HOME: home, CODEX_HOME: home, TZ: 'UTC', LOG_LEVEL: '0' };
    const output = execFileSync(process.execPath, [bin(script), ...args], { env, encoding: 'utf8' });
    return JSON.parse(output).totals?.totalTokens ?? null;
  }
  /** @ccusage/codex 18, in TypeScript, and its successor, ccusage 20, in Rust. */
  const others = (home: string) => [
    totalOf('@ccusage/codex/dist/index.js', ['session', '--json', '--offline'], home),
    totalOf('ccusage/src/cli.js', ['codex', 'session', '--json', '--offline', '--no-cost'], home),
  ];
  const ours = async (home: string) =>
    Object.values(await tokensOf(home)).reduce((sum, tokens) => sum + tokens, 0);

  // The older one counts each repeated total and all copied history again; the newer one does not.
  it.each([
    ['a repeated total', { [A]: root }, 3000, 6000, 3000],
    ['a fork', { [A]: root, [B]: fork }, 3400, 12_800, 3400],
    ['a fork of a fork', { [A]: root, [B]: fork, [C]: forkOfFork }, 3500, 19_800, 3500],
    ['a sub-agent', { [A]: root, [D]: agent }, 3005, 12_010, 3005],
    ['a fork without its origin', { [C]: forkOfFork }, 100, 7000, 100],
  ])('differ about copied history: %s', async (_, files, right, older, newer) => {
    const home = place(files);
    expect([await ours(home), ...others(home)]).toEqual([right, older, newer]);
  });

  // Right is what the reference's own trace of the recorded run says, and the compaction request. The newer
  // tool takes what a sub-agent or fork spent in its first second for copied.
  it.each([
    ['0.142.0/exec', 260, 260, 260],
    ['0.142.0/agents', 1830, 1830, 1180],
    ['0.169.0/agents', 1830, 1830, 1180],
    ['0.169.0/fork', 260, 260, 130],
    ['0.169.0/compact', 76_330, 76_200, 76_200],
    ['0.169.0/sigkill', 130, null, 0],
    ['compressed/archived_sessions', 520, null, 0],
  ])('differ about recorded runs: %s', async (run, right, older, newer) => {
    const home = temporaryDirectory();
    cpSync(join(FIXTURES, run), join(home, 'sessions'), { recursive: true });
    expect([await ours(home), ...others(home)]).toEqual([right, older, newer]);
  });
});
