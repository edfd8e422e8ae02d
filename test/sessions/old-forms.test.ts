import { existsSync, mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readRollout } from '../../src/sessions/rollout-file.js';
import { readSessionMap } from '../../src/sessions/session-map.js';
import { FIXTURES, fileName, idAt, recorded, scanLines, temporaryDirectory } from './rollouts.js';

const COMPRESSED = join(FIXTURES, 'compressed');
const OLD_ID = '8d3c7b1e-5a43-4f0b-9a51-1f6c2f6d9e01';
const OLD_META = { id: OLD_ID, timestamp: '2025-04-16T09:30:00.000Z', instructions: 'be brief' };
const said = (role: string, text: string) => ({
  type: 'message',
  role,
  content: [{ type: 'input_text', text }],
});

describe('a compressed rollout', () => {
  it('is read like the plain one', async () => {
    const map = await readSessionMap([COMPRESSED]);
    const plain = await readSessionMap([...recorded('0.142.0/exec'), ...recorded('0.169.0/exec')]);
    const withoutPaths = ({ sessions }: typeof map) =>
      sessions.map((session) => ({
        ...session,
        threads: session.threads.map((thread) => ({ ...thread, rollout_file: null })),
      }));
    expect(map.skipped).toEqual([]);
    expect(withoutPaths(map)).toEqual(withoutPaths(plain));
    expect(map.sessions[0]?.threads[0]?.rollout_file).toMatch(/archived_sessions\/rollout-.*\.jsonl\.zst$/);
  });

  it('gives way to the plain one beside it, by whatever name it is asked for', async () => {
    const [plain = ''] = recorded('0.142.0/exec');
    const home = temporaryDirectory();
    const [path, other] = [join(home, basename(plain)), join(home, `${basename(plain)}.zst`)];
    writeFileSync(path, readFileSync(plain));
    writeFileSync(other, 'not zstd');
    for (const paths of [[home], [other], [path], [other, home, path]]) {
      const { sessions, skipped } = await readSessionMap(paths);
      expect(skipped).toEqual([]);
      expect(sessions[0]?.threads[0]).toMatchObject({ rollout_file: path, warnings: [] });
    }
  });

  it('gives way to a plain one in another directory', async () => {
    const home = temporaryDirectory();
    const [plain = ''] = recorded('0.169.0/exec');
    const archived = join(COMPRESSED, 'archived_sessions', `${basename(plain)}.zst`);
    for (const name of ['sessions', 'archived_sessions']) mkdirSync(join(home, name));
    symlinkSync(archived, join(home, 'sessions', basename(archived)));
    symlinkSync(plain, join(home, 'archived_sessions', basename(plain)));
    const { sessions, skipped } = await readSessionMap([home]);
    expect(sessions[0]?.threads[0]?.rollout_file).toBe(join(home, 'archived_sessions', basename(plain)));
    expect(skipped).toMatchObject([{ reason: expect.stringMatching(/same thread/) }]);
  });

  it('is found when it takes the place of the plain one meanwhile, and the other way round', async () => {
    const [plain = ''] = recorded('0.142.0/exec');
    const directory = temporaryDirectory();
    const path = join(directory, basename(plain));
    writeFileSync(
      `${path}.zst`,
      readFileSync(join(COMPRESSED, 'archived_sessions', `${basename(plain)}.zst`)),
    );
    expect(await readRollout(path)).toMatchObject({ path: `${path}.zst`, usage: { total_tokens: 260 } });
    renameSync(`${path}.zst`, join(directory, 'away'));
    const reading = readRollout(path);
    writeFileSync(path, readFileSync(plain));
    expect(await reading).toMatchObject({ path, usage: { total_tokens: 260 } });
    expect(existsSync(`${path}.zst`)).toBe(false);
  });

  it('keeps what comes before damage, and says so', async () => {
    const directory = temporaryDirectory();
    const name = '0.142.0/exec';
    const [plain = ''] = recorded(name);
    const bytes = readFileSync(join(COMPRESSED, 'repeated-140-times.zst'));
    const path = join(directory, `${basename(plain)}.zst`);
    writeFileSync(path, bytes.subarray(0, -4));
    const rollout = await readRollout(path);
    expect(rollout?.cwd).toBe('/home/me/work/0.142.0/exec/cwd');
    expect(rollout?.warnings).toContain('it ends inside a frame; only what comes before that was read');
  });
});

describe('rollouts from before the envelope', () => {
  const items = [
    said('user', '<environment_context>\n  <cwd>/w</cwd>\n</environment_context>'),
    said('user', 'first'),
    { type: 'reasoning', id: 'rs_1', summary: [] },
    { type: 'function_call', name: 'shell', call_id: 'call_1', arguments: '{}' },
    said('assistant', 'done'),
    said('user', 'second'),
  ];
  const expected = {
    threadId: OLD_ID,
    sessionId: OLD_ID,
    kind: 'root',
    startedAt: '2025-04-16T09:30:00.000Z',
    turns: [{ turn_id: null }, { turn_id: null }],
    usage: { total_tokens: 0 },
    warnings: [],
  };

  it('are lines of bare items behind bare metadata', () => {
    const rows = [OLD_META, { record_type: 'state' }, ...items, { record_type: 'state' }];
    const name = fileName(OLD_ID).replace('2026-01-02T03-04-05', '2025-04-16T11-30-00');
    const lines = rows.map((row) => JSON.stringify(row));
    expect(scanLines(OLD_ID, lines, name)).toMatchObject({
      ...expected,
      clocks: { thread_id: null, utc_offset_minutes: 120 },
    });
  });

  it('are one JSON document before that', async () => {
    const directory = temporaryDirectory();
    const path = join(directory, `rollout-2025-04-16-${OLD_ID}.json`);
    writeFileSync(path, `\ufeff${JSON.stringify({ session: OLD_META, items }, null, 2)}`);
    expect(await readRollout(path)).toMatchObject({ ...expected, path });
    expect((await readSessionMap([directory])).skipped).toEqual([]);
    writeFileSync(path, '{"session":');
    expect((await readRollout(path))?.warnings).toContain('is no JSON document with a session');
  });

  it('have no items read as prompts once there is an envelope', () => {
    const lines = [
      { payload: { id: idAt(1) }, type: 'session_meta', timestamp: '2026-01-02T03:04:05Z' },
      said('user', 'x'),
    ];
    expect(
      scanLines(
        idAt(1),
        lines.map((row) => JSON.stringify(row)),
      ),
    ).toMatchObject({ warnings: [] });
  });
});
