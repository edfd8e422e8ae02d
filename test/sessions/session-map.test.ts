import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { Command } from 'commander';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { sessionMapCommand } from '../../src/commands/session-map.js';
import {
  type MapEntry,
  mapSessions,
  readSessionMap,
  type SessionMap,
} from '../../src/sessions/session-map.js';
import { evidenceOf, wireRecording } from '../support/wire.js';
import { makeCapture } from './captures.js';
import { FIXTURES, fileName, idAt, line, recorded, temporaryDirectory } from './rollouts.js';

const ROOT = '01a1f8e5-8183-7182-85ec-984a467dd28b';
const ALPHA = '01a1f8e5-81dd-7071-bd05-4732ac523adf';
const BETA = '01a1f8e5-81eb-7871-b05b-bf736fc176ed';

/** Copies recorded rollout files into `directory`, which is made. */
function place(directory: string, paths: readonly string[]): string[] {
  mkdirSync(directory, { recursive: true });
  return paths.map((path) => {
    const copy = join(directory, basename(path));
    cpSync(path, copy);
    return copy;
  });
}

function shape({ sessions }: SessionMap) {
  return sessions.map(({ session_id, threads }) => [
    session_id,
    ...threads.map(({ thread_id }) => thread_id),
  ]);
}

async function run(...args: string[]): Promise<{ output: string; notes: string; exitCode: unknown }> {
  const log = vi.spyOn(console, 'log').mockImplementation(() => {});
  const error = vi.spyOn(console, 'error').mockImplementation(() => {});
  const command = sessionMapCommand().exitOverride();
  const program = new Command('agsight').exitOverride().option('--json').addCommand(command);
  await program.parseAsync(['session-map', ...args], { from: 'user' });
  const { exitCode } = process;
  process.exitCode = undefined;
  const [output, notes] = [log, error].map((spy) => spy.mock.calls.flat().join('\n'));
  log.mockRestore();
  error.mockRestore();
  return { output: output ?? '', notes: notes ?? '', exitCode };
}

describe('a session map', () => {
  it('gives one thread in the documented form, keys in order', async () => {
    const [path = ''] = recorded('0.169.0/exec');
    const map = await readSessionMap([path]);
    const usage = {
      input_tokens: 220,
      cached_input_tokens: 10,
      output_tokens: 40,
      reasoning_output_tokens: 6,
      total_tokens: 260,
    };
    expect(JSON.stringify(map.sessions)).toBe(
      JSON.stringify([
        {
          session_id: '01a1f8e4-b090-78c2-897b-228849f1b9c6',
          usage,
          usage_by_model: [{ model: 'gpt-5.5', usage }],
          threads: [
            {
              thread_id: '01a1f8e4-b090-78c2-897b-228849f1b9c6',
              parent_thread_id: null,
              forked_from_id: null,
              orphan: false,
              kind: 'root',
              agent_path: '/root',
              nickname: null,
              role: null,
              rollout_file: path,
              cwd: '/home/me/work/0.169.0/exec/cwd',
              cli_version: '0.169.0',
              models: ['gpt-5.5'],
              started_at: '2026-11-20T12:18:19.411Z',
              ended_at: '2026-11-20T12:18:19.542Z',
              clocks: {
                file_name: '2026-11-20T12:18:19',
                thread_id: '2026-11-20T12:18:19.408Z',
                session_meta: '2026-11-20T12:18:19.411Z',
                utc_offset_minutes: 0,
              },
              turns: 1,
              turn_list: [
                {
                  turn_id: '01a1f8e4-b09e-7220-a682-39b06c469f65',
                  model: 'gpt-5.5',
                  started_at: '2026-11-20T12:18:19.432Z',
                  ended_at: '2026-11-20T12:18:19.542Z',
                  status: 'completed',
                  usage,
                },
              ],
              usage,
              usage_by_model: [{ model: 'gpt-5.5', usage }],
              responses: [
                { response_id: 'resp_0', pid: null, by: 'token_usage_record' },
                { response_id: 'resp_1', pid: null, by: 'token_usage_record' },
              ],
              warnings: [],
            },
          ],
        },
      ]),
    );
    expect(map.skipped).toEqual([]);
  });

  it('puts sub-agents into the session of their root and forks into their own', async () => {
    const [original = '', fork = ''] = recorded('0.169.0/fork');
    const map = await readSessionMap([fork, original, ...recorded('0.169.0/agents').reverse()]);
    expect(shape(map)).toEqual([
      [ROOT, ROOT, ALPHA, BETA],
      ['01a1f8e5-bf3e-7db0-bdf8-3c25977111ce', '01a1f8e5-bf3e-7db0-bdf8-3c25977111ce'],
      ['01a1f8e5-c08a-7591-bb94-501c890860fd', '01a1f8e5-c08a-7591-bb94-501c890860fd'],
    ]);
  });

  it('finds dated, flat and archived files of a CODEX_HOME and nothing beside them', async () => {
    const home = temporaryDirectory();
    place(join(home, 'sessions/2026/11/20'), recorded('0.169.0/agents'));
    place(join(home, 'sessions'), recorded('0.142.0/exec'));
    place(join(home, 'archived_sessions'), recorded('0.169.0/resume'));
    place(join(home, 'elsewhere'), recorded('0.169.0/exec'));
    writeFileSync(join(home, 'sessions', 'session_index.jsonl'), '{}\n');
    const map = await readSessionMap([home]);
    expect(map.skipped).toEqual([]);
    expect(shape(map).map(([session]) => session)).toEqual([
      ROOT,
      '01a1f8e5-aeb2-7c82-95ed-a93571c9007a',
      '01a1f8e7-2120-7cf2-b085-02d8b86ca37b',
    ]);
  });

  it('reads a file once, however often and by whatever name it is given', async () => {
    const directory = temporaryDirectory();
    const files = place(directory, recorded('0.169.0/exec'));
    symlinkSync(directory, `${directory}-link`);
    onTestFinished(() => rmSync(`${directory}-link`));
    const map = await readSessionMap([directory, ...files, `${directory}-link`, directory]);
    expect(map.skipped).toEqual([]);
    expect(map.sessions[0]?.threads[0]?.rollout_file).toBe(files[0]);
  });

  it('tells of every file that it skips, and why', async () => {
    const directory = temporaryDirectory();
    const [path = ''] = place(join(directory, 'a'), recorded('0.169.0/exec'));
    const [copy = ''] = place(join(directory, 'b'), [path]);
    writeFileSync(join(directory, 'rollout-strange.jsonl'), '');
    mkdirSync(join(directory, 'dir'));
    symlinkSync('nowhere', join(directory, fileName(idAt(3))));
    symlinkSync('dir', join(directory, fileName(idAt(4))));
    const { skipped, sessions } = await readSessionMap([directory]);
    expect(sessions).toHaveLength(1);
    expect(Object.fromEntries(skipped.map(({ file, reason }) => [file, reason]))).toEqual({
      [copy]: `is of the same thread as ${path}`,
      [join(directory, 'rollout-strange.jsonl')]: expect.stringContaining('not named'),
      [join(directory, fileName(idAt(3)))]: 'cannot be read: ENOENT',
      [join(directory, fileName(idAt(4)))]: 'is no regular file',
    });
    expect(skipped.map(({ file }) => file)).toEqual(skipped.map(({ file }) => file).sort());
  });

  it('says which given path is not there', async () => {
    const missing = join(temporaryDirectory(), 'gone');
    await expect(readSessionMap([missing])).rejects.toThrow(
      expect.objectContaining({
        message: `${missing}: there is no such file or directory (name a rollout file, a CODEX_HOME or a bundle)`,
        code: 'not-found',
        exitCode: 1,
      }),
    );
    const [file = ''] = recorded('0.142.0/exec');
    await expect(readSessionMap([join(file, 'below')])).rejects.toMatchObject({ code: 'not-found' });
  });

  it('skips a given file that is no rollout, and takes a renamed one', async () => {
    const directory = temporaryDirectory();
    const renamed = join(directory, 'renamed.jsonl');
    writeFileSync(renamed, `${line('session_meta', { id: idAt(4), session_id: idAt(1) })}\n`);
    const other = join(directory, 'notes.jsonl');
    writeFileSync(other, '{}\n');
    const map = await readSessionMap([renamed, other]);
    expect(shape(map)).toEqual([[idAt(1), idAt(4)]]);
    expect(map.skipped).toMatchObject([{ file: other }]);
  });
});

describe('a session map of a bundle', () => {
  const trace = readFileSync(join(FIXTURES, '0.169.0/agents-bundle/trace.jsonl'));

  /** A bundle as agsight makes it, with the home that the capture noted; `rollouts` stand in the home. */
  function makeBundle(rollouts: readonly string[]): { bundle: string; home: string } {
    const directory = temporaryDirectory();
    const [bundle, home] = [join(directory, 'bundle'), join(directory, 'home')];
    place(join(home, 'sessions/2026/11/20'), rollouts);
    mkdirSync(bundle);
    writeFileSync(join(bundle, 'trace.jsonl'), trace);
    writeFileSync(join(bundle, 'capture.json'), JSON.stringify({ codex_homes: [home] }));
    return { bundle, home };
  }

  function responses(map: SessionMap) {
    return map.sessions.flatMap(({ threads }) =>
      threads.map(({ thread_id, responses }) => [
        thread_id,
        responses.map(({ response_id }) => response_id).join(' '),
        [...new Set(responses.map(({ by }) => by))].join(' '),
      ]),
    );
  }

  it('joins the responses seen on the wire with the rollout files of their threads', async () => {
    const { bundle } = makeBundle([...recorded('0.142.0/agents'), ...recorded('0.169.0/agents')]);
    const map = await readSessionMap([bundle]);
    expect(map.skipped).toEqual([]);
    expect(responses(map)).toEqual([
      [ROOT, 'resp_0 resp_2 resp_4 resp_7 resp_8 resp_9 resp_11 resp_12 resp_13', 'header'],
      [ALPHA, 'resp_1 resp_5 resp_10', 'header'],
      [BETA, 'resp_3 resp_6', 'header'],
    ]);
    expect(map.sessions[0]?.threads[1]).toMatchObject({ nickname: 'Einstein', usage: { total_tokens: 390 } });
  });

  it('keeps the threads whose rollout file is gone, in the session of their root', async () => {
    const [root = '', , beta = ''] = recorded('0.169.0/agents');
    const { bundle, home } = makeBundle([root, beta]);
    const map = await readSessionMap([bundle]);
    expect(shape(map)).toEqual([[ROOT, ROOT, BETA, ALPHA]]);
    expect(map.sessions[0]?.threads[2]).toMatchObject({
      kind: 'subagent',
      agent_path: '/root/alpha',
      rollout_file: null,
      responses: [{ response_id: 'resp_1' }, { response_id: 'resp_5' }, { response_id: 'resp_10' }],
      warnings: [expect.stringContaining('no rollout file')],
    });
    rmSync(home, { recursive: true });
    const without = await readSessionMap([bundle]);
    expect(shape(without)).toEqual([[ROOT, ROOT, ALPHA, BETA]]);
    expect(without.skipped).toMatchObject([{ file: home }]);
  });

  it('finds the rollout files of a bundle that Codex wrote in the paths given beside it', async () => {
    const bundle = temporaryDirectory();
    writeFileSync(join(bundle, 'trace.jsonl'), trace);
    writeFileSync(join(bundle, 'manifest.json'), '{}');
    const map = await readSessionMap([bundle, join(FIXTURES, '0.169.0/agents')]);
    expect(responses(map).map(([, , by]) => by)).toEqual(['trace', 'trace', 'trace']);
    expect(map.sessions[0]?.threads.map(({ rollout_file }) => rollout_file)).toEqual(
      recorded('0.169.0/agents'),
    );
  });

  it('reads the bundle of each root thread below rollouts/', async () => {
    const { bundle } = makeBundle(recorded('0.169.0/agents'));
    mkdirSync(join(bundle, 'rollouts', ROOT), { recursive: true });
    cpSync(join(bundle, 'trace.jsonl'), join(bundle, 'rollouts', ROOT, 'trace.jsonl'));
    rmSync(join(bundle, 'trace.jsonl'));
    expect(shape(await readSessionMap([bundle]))).toEqual([[ROOT, ROOT, ALPHA, BETA]]);
  });

  it('takes each thread for a session of its own when the trace does not name the root', async () => {
    const bundle = temporaryDirectory();
    writeFileSync(join(bundle, 'manifest.json'), '{}');
    writeFileSync(join(bundle, 'trace.jsonl'), trace.subarray(trace.indexOf(10) + 1));
    expect(shape(await readSessionMap([bundle]))).toEqual(
      [ROOT, ALPHA, BETA].map((thread) => [thread, thread]),
    );
  });

  it('reports damaged lines and a trace that is missing', async () => {
    const { bundle } = makeBundle([]);
    const file = join(bundle, 'trace.jsonl');
    writeFileSync(file, Buffer.concat([Buffer.from('{"torn\n'), trace.subarray(0, -10)]));
    const damaged = await readSessionMap([bundle]);
    expect(shape(damaged)).toEqual([[ROOT, ROOT, ALPHA, BETA]]);
    expect(damaged.skipped).toEqual([{ file, reason: '2 lines are no JSON object and were left out' }]);
    rmSync(file);
    expect((await readSessionMap([bundle])).skipped).toEqual([
      { file, reason: 'is missing: run agsight reduce on the bundle' },
    ]);
  });
});

describe('agsight session-map', () => {
  it('prints a tree of threads with their sums', async () => {
    const { output, notes, exitCode } = await run(join(FIXTURES, '0.169.0/agents'));
    const rows = output.split('\n').map((row) => row.split(/ {2,}/).slice(0, 8));
    expect(exitCode).toBe(0);
    expect(notes).toBe('');
    expect(output).toMatch(new RegExp(`^${ROOT} .*\n  ${ROOT} .*\n    ${ALPHA} .*\n    ${BETA} `, 'm'));
    expect(rows[1]?.slice(0, 6)).toEqual([ROOT, 'session', '4', '1550', '70', '280']);
  });

  it('takes CODEX_HOME when no path is given', async () => {
    const home = temporaryDirectory();
    place(join(home, 'sessions'), recorded('0.142.0/exec'));
    vi.stubEnv('CODEX_HOME', home);
    onTestFinished(() => void vi.unstubAllEnvs());
    const { output, exitCode } = await run('--json');
    expect(exitCode).toBe(0);
    expect(JSON.parse(output)).toEqual(await readSessionMap([home]));
  });

  it('exits 3 and says what was left out, without control characters', async () => {
    const directory = temporaryDirectory();
    writeFileSync(join(directory, fileName(idAt(1))), 'torn');
    writeFileSync(join(directory, 'rollout-\u001b[31m.jsonl'), '');
    const { output, notes, exitCode } = await run(directory);
    expect(exitCode).toBe(3);
    expect(output).toContain(idAt(1));
    expect(notes).toMatch(/line 1 \(byte 0\) is torn/);
    expect(notes).toMatch(/rollout-\.jsonl: is not named/);
    expect(`${output}${notes}`).not.toContain('\u001b');
  });

  it('says so when there is nothing, and what it looked for', async () => {
    const home = temporaryDirectory();
    mkdirSync(join(home, 'sessions'));
    writeFileSync(join(home, 'sessions', 'notes.jsonl'), '{}\n');
    expect(await run(home)).toMatchObject({
      output: `no sessions found in ${home} (rollout-TIME-UUID.jsonl or .jsonl.zst, at any depth)`,
      exitCode: 0,
    });
  });
});

describe('the tree of a session', () => {
  it('marks threads whose parent is not there', async () => {
    const [root = '', alpha = '', beta = ''] = recorded('0.169.0/agents');
    const orphans = async (paths: string[]) =>
      (await readSessionMap(paths)).sessions.flatMap(({ threads }) => threads.map(({ orphan }) => orphan));
    expect(await orphans([root, alpha, beta])).toEqual([false, false, false]);
    expect(await orphans([alpha, beta])).toEqual([true, true]);
    const { output } = await run(alpha);
    expect(output).toMatch(/subagent, orphan/);
  });

  it('has turns, with what each spent', async () => {
    const { sessions } = await readSessionMap(recorded('0.169.0/resume'));
    const turns = sessions[0]?.threads[0]?.turn_list ?? [];
    expect(turns.map(({ status, usage }) => [status, usage.total_tokens])).toEqual([
      ['completed', 260],
      ['completed', 130],
      ['completed', 130],
    ]);
    const { output } = await run('--turns', ...recorded('0.169.0/resume'));
    expect(output.match(/^ {2}\S+ +turn, completed/gm)).toHaveLength(3);
  });
});

describe('filters', () => {
  const FORK = '01a1f8e5-c08a-7591-bb94-501c890860fd';

  async function kept(...args: string[]): Promise<string[]> {
    const { output } = await run(
      '--json',
      ...args,
      ...recorded('0.169.0/agents'),
      ...recorded('0.169.0/fork'),
    );
    const { sessions }: SessionMap = JSON.parse(output);
    for (const { usage, threads } of sessions)
      expect(usage.total_tokens).toBe(threads.reduce((sum, thread) => sum + thread.usage.total_tokens, 0));
    return sessions.flatMap(({ threads }) => threads.map(({ thread_id }) => thread_id));
  }

  it('keep a session, a thread, a time or a directory', async () => {
    const all = await kept();
    expect(all).toHaveLength(5);
    const [, , , original = ''] = all;
    expect(await kept('--session', ROOT)).toEqual([ROOT, ALPHA, BETA]);
    expect(await kept('--session', ROOT.replaceAll('-', ''), '--thread', ALPHA)).toEqual([ALPHA]);
    expect(await kept('--thread', FORK)).toEqual([FORK]);
    expect(await kept('--thread', 'nothing')).toEqual([]);
    expect(await kept('--since', '2026-11-20T12:19:20Z')).toEqual([original, FORK]);
    expect(await kept('--until', '2026-11-20T12:19:20Z')).toEqual([ROOT, ALPHA, BETA]);
    expect(await kept('--since', '2026-11-20T12:19:28Z', '--until', '2026-11-20T12:19:28.9Z')).toEqual([
      original,
    ]);
    expect(await kept('--since', '2026-11-20', '--until', '2026-11-20')).toEqual(all);
    expect(await kept('--until', '2026-11-18')).toEqual([]);
    expect(await kept('--cwd', '/home/me/work/0.169.0/fork')).toEqual([original, FORK]);
    expect(await kept('--cwd', '/home/me/work/0.169.0/for')).toEqual([]);
    expect(await kept('--cwd', '/')).toEqual(all);
  });

  it('keep the processes and exchanges of the threads kept', async () => {
    const { bundle } = makeCapture(evidenceOf(wireRecording('agents')));
    const alpha = '01a1f929-9340-7783-be03-729d27ef07ef';
    const { sessions, processes, exchanges } = await readSessionMap([bundle], { threadId: alpha });
    expect(sessions.flatMap(({ threads }) => threads.map(({ thread_id }) => thread_id))).toEqual([alpha]);
    expect(processes.map(({ threads }) => threads.map(({ thread_id }) => thread_id))).toEqual([
      [alpha],
      [alpha],
    ]);
    expect(new Set(exchanges.map(({ thread_id }) => thread_id))).toEqual(new Set([alpha]));
  });

  it('refuse what is no time', async () => {
    const error = vi.spyOn(process.stderr, 'write').mockImplementation(() => true);
    await expect(run('--since', 'yesterday')).rejects.toThrow(/Not a day/);
    error.mockRestore();
  });
});

describe('mapSessions', () => {
  it('gives the entries of the map one at a time, which --ndjson prints', async () => {
    const directory = temporaryDirectory();
    writeFileSync(join(directory, 'rollout-x.jsonl'), '');
    const { bundle } = makeCapture(evidenceOf(wireRecording('exec')));
    const paths = [bundle, directory, ...recorded('0.169.0/agents')];
    const map = await readSessionMap(paths);
    const entries: MapEntry[] = [];
    for await (const entry of mapSessions(paths)) entries.push(entry);
    const kinds = new Set(entries.map(({ type }) => type));
    expect([...kinds]).toEqual(['session', 'process', 'exchange', 'skipped']);
    const { sessions, processes, exchanges, skipped } = map;
    expect(entries.map(({ type: _, ...rest }) => rest)).toEqual([
      ...sessions,
      ...processes,
      ...exchanges,
      ...skipped,
    ]);
    const { output, exitCode } = await run('--ndjson', ...paths);
    expect(output.split('\n').map((text) => JSON.parse(text))).toEqual(entries);
    expect(exitCode).toBe(3);
  });

  it('prints processes and exchanges below the sessions', async () => {
    const { bundle } = makeCapture(evidenceOf(wireRecording('agents')));
    const { output, notes } = await run(bundle);
    expect(output).toMatch(/^Process +Role +Started/m);
    expect(output).toMatch(/^100 +client\?/m);
    expect(output).toMatch(/listening ports were not recorded/);
    expect(output).toMatch(/^14 exchanges: 14 by header$/m);
    expect(notes).toMatch(/^agsight: .*no rollout file of this thread was found/m);
  });
});
