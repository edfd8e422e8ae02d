import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  fileName,
  idAt,
  line,
  recorded,
  scanBytes,
  scanFile,
  scanLines,
  tokenCount,
  turn,
} from './rollouts.js';

describe('a recorded rollout file', () => {
  it('tells of a root thread', () => {
    const [path = ''] = recorded('0.169.0/exec');
    expect(scanFile(path)).toMatchObject({
      path: basename(path),
      threadId: '01a1f8e4-b090-78c2-897b-228849f1b9c6',
      sessionId: '01a1f8e4-b090-78c2-897b-228849f1b9c6',
      parentThreadId: null,
      forkedFromId: null,
      kind: 'root',
      agentPath: '/root',
      nickname: null,
      role: null,
      cwd: '/home/me/work/0.169.0/exec/cwd',
      cliVersion: '0.169.0',
      models: ['gpt-5.5'],
      startedAt: '2026-11-20T12:18:19.411Z',
      endedAt: '2026-11-20T12:18:19.542Z',
      turns: [
        {
          turn_id: '01a1f8e4-b09e-7220-a682-39b06c469f65',
          model: 'gpt-5.5',
          started_at: '2026-11-20T12:18:19.432Z',
          ended_at: '2026-11-20T12:18:19.542Z',
          status: 'completed',
          usage: { total_tokens: 260 },
        },
      ],
      usageByModel: [{ model: 'gpt-5.5', usage: { total_tokens: 260 } }],
      clocks: {
        file_name: '2026-11-20T12:18:19',
        thread_id: '2026-11-20T12:18:19.408Z',
        session_meta: '2026-11-20T12:18:19.411Z',
        utc_offset_minutes: 0,
      },
      usage: {
        input_tokens: 220,
        cached_input_tokens: 10,
        output_tokens: 40,
        reasoning_output_tokens: 6,
        total_tokens: 260,
      },
      responseIds: ['resp_0', 'resp_1'],
      warnings: [],
    });
  });

  it('tells of a sub-agent, which shares the session of its parent', () => {
    const [root, alpha, beta] = recorded('0.169.0/agents').map(scanFile);
    expect(alpha).toMatchObject({
      sessionId: root?.threadId,
      parentThreadId: root?.threadId,
      forkedFromId: null,
      kind: 'subagent',
      agentPath: '/root/alpha',
      nickname: 'Einstein',
    });
    expect(beta).toMatchObject({
      sessionId: root?.threadId,
      parentThreadId: root?.threadId,
      forkedFromId: root?.threadId,
      kind: 'subagent',
      agentPath: '/root/beta',
    });
  });

  it('tells of a fork, which starts a session of its own', () => {
    const [original, fork] = recorded('0.169.0/fork').map(scanFile);
    expect(fork).toMatchObject({
      sessionId: fork?.threadId,
      parentThreadId: null,
      forkedFromId: original?.threadId,
      kind: 'fork',
      agentPath: '/root',
    });
  });

  it('tells of a review', () => {
    for (const version of ['0.142.0', '0.169.0']) {
      const [root, review] = recorded(`${version}/review`).map(scanFile);
      expect(root).toMatchObject({ kind: 'root', models: [] });
      expect(root?.turns).toHaveLength(1);
      expect(review).toMatchObject({
        kind: 'review',
        parentThreadId: root?.threadId,
        sessionId: root?.threadId,
      });
    }
  });

  // Turns and total tokens of each thread as in the reference's own state.json of the same run. It leaves
  // compaction requests out of its inference calls: here they are 130 tokens on top of 76,200.
  it.each([
    ['0.142.0/exec', [[1, 260]]],
    [
      '0.142.0/agents',
      [
        [1, 1180],
        [2, 390],
        [1, 260],
      ],
    ],
    [
      '0.142.0/review',
      [
        [1, 0],
        [1, 130],
      ],
    ],
    ['0.169.0/exec', [[1, 260]]],
    [
      '0.169.0/agents',
      [
        [1, 1180],
        [2, 390],
        [1, 260],
      ],
    ],
    [
      '0.169.0/fork',
      [
        [1, 130],
        [1, 130],
      ],
    ],
    ['0.169.0/resume', [[3, 520]]],
    [
      '0.169.0/review',
      [
        [1, 0],
        [1, 130],
      ],
    ],
    ['0.169.0/compact', [[1, 76_200 + 130]]],
    ['0.169.0/sigkill', [[1, 130]]],
  ])('counts turns and tokens as the reference does: %s', (run, expected) => {
    const rollouts = recorded(run).map(scanFile);
    expect(rollouts.map((rollout) => [rollout?.turns.length, rollout?.usage.total_tokens])).toEqual(expected);
    expect(rollouts.flatMap((rollout) => rollout?.warnings)).toEqual([]);
  });

  it('reads the same split at every byte', () => {
    const [path = ''] = recorded('0.142.0/exec');
    const bytes = readFileSync(path);
    const whole = scanFile(path);
    expect(scanBytes(basename(path), bytes, 1)).toEqual(whole);
    for (let size = 2; size < bytes.length; size += 13)
      expect(scanBytes(basename(path), bytes, size)).toEqual(whole);
  });

  it('loses only the torn line when it is cut anywhere', () => {
    const [path = ''] = recorded('0.142.0/exec');
    const bytes = readFileSync(path);
    for (let length = 0; length < bytes.length; length += 7) {
      const rollout = scanBytes(basename(path), bytes.subarray(0, length));
      const complete = bytes.subarray(0, length).lastIndexOf(10) + 1;
      const isTorn = complete < length && bytes[length] !== 10;
      expect(rollout?.warnings.filter((text) => text.includes('torn'))).toHaveLength(isTorn ? 1 : 0);
      expect(rollout?.cwd).toBe(
        complete > 0 || (length > 0 && !isTorn) ? '/home/me/work/0.142.0/exec/cwd' : null,
      );
    }
  });

  it('survives any mutation', () => {
    const [path = ''] = recorded('0.142.0/exec');
    const original = readFileSync(path);
    const edit = fc.record({
      at: fc.nat(),
      remove: fc.nat({ max: 400 }),
      insert: fc.uint8Array({ maxLength: 20 }),
    });
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 5 }), (edits) => {
        let bytes = original;
        for (const { at, remove, insert } of edits) {
          const start = at % (bytes.length + 1);
          bytes = Buffer.concat([bytes.subarray(0, start), insert, bytes.subarray(start + remove)]);
        }
        const rollout = scanBytes(basename(path), bytes);
        expect(rollout?.threadId).toBe('01a1f8e7-2120-7cf2-b085-02d8b86ca37b');
        expect(rollout?.usage.total_tokens).toBeGreaterThanOrEqual(0);
      }),
      { numRuns: 300 },
    );
  });
});

describe('RolloutScan', () => {
  const parent = idAt(1);
  const child = idAt(5);

  it('does not count the history that a fork copies, whatever its timestamps say', () => {
    const history = [
      line('session_meta', { id: parent, session_id: parent, cli_version: '0.1.0' }),
      ...turn(idAt(2), 'old-model'),
      tokenCount(1000, 1000),
      tokenCount(3000, 2000),
      line('event_msg', { type: 'task_complete', turn_id: idAt(2) }),
    ];
    const fork = scanLines(child, [
      line('session_meta', { id: child, session_id: child, forked_from_id: parent, cli_version: '0.2.0' }),
      ...history,
      ...turn(idAt(6), 'new-model'),
      tokenCount(3000, 2000),
      tokenCount(3500, 500),
      line('event_msg', { type: 'task_complete', turn_id: idAt(6) }),
    ]);
    expect(fork).toMatchObject({
      sessionId: child,
      kind: 'fork',
      cliVersion: '0.2.0',
      turns: [{ turn_id: idAt(6), usage: { total_tokens: 500 } }],
      models: ['new-model'],
      usage: { total_tokens: 500 },
    });
  });

  it('takes the responses of its own thread from token_usage_record and none that was copied', () => {
    const record = (thread_id: string, response_id: string, ordinal: number) =>
      line('token_usage_record', { thread_id, response_id, usage: { total_tokens: 10 } }, { ordinal });
    const rollout = scanLines(child, [
      line(
        'session_meta',
        { id: child, forked_from_id: parent, subagent_history_start_ordinal: 3 },
        { ordinal: 0 },
      ),
      record(parent, 'theirs', 1),
      record(child, 'before the start', 2),
      record(child, 'ours', 3),
      record(parent, 'theirs again', 4),
      record(child, 'ours too', 5),
      record(child, 'ours', 6),
    ]);
    expect(rollout).toMatchObject({ responseIds: ['ours', 'ours too'], usage: { total_tokens: 20 } });
  });

  it('adds a response to the turn that its record names, and to the model of that turn', () => {
    const usage = { total_tokens: 10, input_tokens: 10 };
    const rollout = scanLines(child, [
      line('session_meta', { id: child }),
      ...turn(idAt(6), 'first'),
      ...turn(idAt(7), 'second'),
      line('token_usage_record', { thread_id: child, turn_id: idAt(6), response_id: 'a', usage }),
      tokenCount(15, 5),
    ]);
    expect(rollout?.turns.map((told) => told.usage.total_tokens)).toEqual([10, 5]);
    expect(rollout?.usageByModel.map((told) => [told.model, told.usage.total_tokens])).toEqual([
      ['first', 10],
      ['second', 5],
    ]);
  });

  it('takes the thread for the session when the first line names none', () => {
    expect(scanLines(child, [line('session_meta', { id: child })])).toMatchObject({ sessionId: child });
  });

  it('believes the name and reports that the content disagrees', () => {
    expect(scanLines(child, [line('session_meta', { id: parent })])).toMatchObject({
      threadId: child,
      warnings: [`the name says thread ${child}, the first line says ${parent}`],
    });
  });

  it('reads a file of another name by its content, and gives up without either', () => {
    const bytes = Buffer.from(`${line('session_meta', { id: child.toUpperCase() })}\n`);
    expect(scanBytes('copy.jsonl', bytes)?.threadId).toBe(child);
    expect(scanBytes('copy.jsonl', Buffer.from('{"type":"event_msg","payload":{}}\n'))).toBeUndefined();
  });

  it('names the lines that it leaves out, by number and byte', () => {
    const rollout = scanLines(child, [
      line('session_meta', { id: child }),
      'not json',
      '[1]',
      ...turn(idAt(6)),
    ]);
    const second = line('session_meta', { id: child }).length + 1;
    expect(rollout?.turns).toHaveLength(1);
    expect(rollout?.warnings).toEqual([
      `line 2 (byte ${second}) is no JSON object and was left out`,
      `line 3 (byte ${second + 9}) is no JSON object and was left out`,
    ]);
  });

  it('sees what a crash leaves in lines that it need not parse', () => {
    const meta = line('session_meta', { id: child });
    const item = line('response_item', { type: 'message', content: [{ text: 'a } b' }] });
    const count = tokenCount(70, 70);
    const damage = (text: string) => scanLines(child, [meta, text, count])?.warnings;
    expect(damage(item)).toEqual([]);
    expect(damage(line('response_item', { text: '}{"timestamp":"' }))).toEqual([]);
    expect(damage(`${item}${count}`)).toEqual([expect.stringMatching(/^line 2 .* is no JSON object/)]);
    expect(damage(item.slice(0, -8))).toEqual([expect.stringMatching(/^line 2/)]);
    expect(damage(`${item}${'\0'.repeat(9)}`)).toEqual([expect.stringMatching(/^line 2/)]);
    expect(damage(`${item.slice(0, -30)}\0${item.slice(-29)}`)).toEqual([expect.stringMatching(/^line 2/)]);
  });

  it('reads lines with blanks and with their keys in another order', () => {
    const info = { total_token_usage: { total_tokens: 7 } };
    const rows = [
      { payload: { id: child, cwd: '/w' }, type: 'session_meta' },
      { type: 'event_msg', payload: { info, type: 'token_count' } },
    ];
    const pretty = rows.map((row) => JSON.stringify(row, null, 1).replaceAll('\n', ' '));
    expect(scanLines(child, pretty)).toMatchObject({ cwd: '/w', usage: { total_tokens: 7 }, warnings: [] });
  });

  it('keeps the warnings of a hopeless file short', () => {
    const warnings = scanLines(child, Array(1000).fill('?'))?.warnings ?? [];
    expect(warnings).toHaveLength(21);
    expect(warnings.at(-1)).toBe('… and 981 more warnings');
  });

  it('counts a turn that did not end, and turns without an id', () => {
    const meta = line('session_meta', { id: child });
    const started = line('event_msg', { type: 'turn_started', turn_id: idAt(7) });
    expect(scanLines(child, [meta, ...turn(idAt(6)), started])?.turns).toHaveLength(2);
    expect(
      scanLines(child, [meta, line('turn_context', { model: 'a' }), line('turn_context', { model: 'a' })]),
    ).toMatchObject({
      turns: [{ turn_id: null }, { turn_id: null }],
      models: ['a'],
    });
  });

  it('reads byte order mark and CRLF', () => {
    const text = [line('session_meta', { id: child, cwd: '/w' }), ...turn(idAt(6)), ''].join('\r\n');
    expect(scanBytes(fileName(child), Buffer.from(`\ufeff${text}`))).toMatchObject({
      cwd: '/w',
      turns: [{ turn_id: idAt(6) }],
      warnings: [],
    });
  });

  it('takes what only older versions wrote below source', () => {
    const spawn = {
      parent_thread_id: parent,
      agent_path: '/root/a',
      agent_nickname: 'Ada',
      agent_role: 'tester',
    };
    const meta = line('session_meta', { id: child, source: { subagent: { thread_spawn: spawn } } });
    expect(scanLines(child, [meta])).toMatchObject({
      kind: 'subagent',
      parentThreadId: parent,
      agentPath: '/root/a',
      nickname: 'Ada',
      role: 'tester',
    });
  });
});
