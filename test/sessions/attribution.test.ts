// Whose exchange was it: each sign on its own, their order, and the cases that attribution by pid gets wrong.
import { readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { EvidenceEvent } from '../../src/evidence/event.js';
import { readSessionMap } from '../../src/sessions/session-map.js';
import { answer, completed, created, done, sse, toolCall } from '../interpret/story.js';
import {
  captureEnd,
  captureStart,
  evidenceOf,
  execEvent,
  exitEvent,
  wireRecording,
} from '../support/wire.js';
import { at, CODEX, exchange, makeCapture } from './captures.js';
import { fileName, idAt, line } from './rollouts.js';

const [A, B, SESSION] = [1, 2, 0].map(idAt) as [string, string, string];

function capture(...events: EvidenceEvent[][]): EvidenceEvent[] {
  return [captureStart(at(-1)), ...events.flat(), captureEnd(at(60_000))];
}

const named = (thread: string, ms: number, responseId: string) =>
  exchange({
    ms,
    headers: [`thread-id: ${thread}`, `session-id: ${SESSION}`],
    answer: [created(responseId), completed(responseId)],
  });

function rollout(id: string, items: readonly object[] = [], meta: object = {}): [string, string[]] {
  return [
    fileName(id),
    [line('session_meta', { id, ...meta }), ...items.map((item) => line('response_item', item))],
  ];
}

describe('an exchange', () => {
  it('is of the thread that its header names, before all other signs', async () => {
    const { bundle } = makeCapture(
      capture(
        [execEvent(at(0), { pid: CODEX, environment: { CODEX_THREAD_ID: B } })],
        exchange({
          headers: [`thread-id: ${A}`],
          body: { client_metadata: { thread_id: B } },
          answer: [created(), done(answer('x', 'msg_b')), completed()],
        }),
      ),
      Object.fromEntries([rollout(B, [{ type: 'message', id: 'msg_b' }])]),
    );
    const { exchanges } = await readSessionMap([bundle]);
    expect(exchanges).toMatchObject([{ thread_id: A, by: 'header', response_id: 'resp_1', why: null }]);
  });

  it('is of the thread that its client_metadata names', async () => {
    const body = { client_metadata: { thread_id: A.toUpperCase(), session_id: SESSION } };
    const { bundle } = makeCapture(capture(exchange({ body })), Object.fromEntries([rollout(A)]));
    const { exchanges, sessions } = await readSessionMap([bundle]);
    expect(exchanges).toMatchObject([{ thread_id: A, session_id: A, by: 'client_metadata' }]);
    expect(sessions).toHaveLength(1);
  });

  it('of another API is of the thread that its history is of, if nothing surer names one', async () => {
    const ask = { path: '/v1/chat/completions', body: { messages: [{ role: 'user', content: 'hi' }] } };
    const tools = [{ index: 0, id: 'call_a', function: { name: 'f' } }];
    const choices = [{ delta: { tool_calls: tools }, finish_reason: 'tool_calls' }];
    const reply = `data: ${JSON.stringify({ id: 'chatcmpl-1', choices })}\n\n`;
    const { bundle } = makeCapture(
      capture(
        exchange(ask),
        exchange({ ...ask, ms: 20 }),
        [execEvent(at(25), { pid: 500, environment: { CODEX_THREAD_ID: A } })],
        exchange({ ...ask, pid: 500, ms: 30 }),
        exchange({ ...ask, pid: 600, ms: 40, answer: reply }),
      ),
      Object.fromEntries([rollout(B, [{ type: 'function_call', call_id: 'call_a' }])]),
    );
    const { exchanges, processes } = await readSessionMap([bundle]);
    const [first, second, third, fourth] = exchanges ?? [];
    expect(first?.by).toBe('history');
    expect(second).toMatchObject({ thread_id: first?.thread_id, by: 'history' });
    expect(third).toMatchObject({ thread_id: A, by: 'CODEX_THREAD_ID' });
    expect(fourth).toMatchObject({ thread_id: B, by: 'rollout item id' });
    expect(processes?.find(({ pid }) => pid === CODEX)?.role).toBeNull();
  });

  it('is of the thread whose tool call its process is part of', async () => {
    const { bundle } = makeCapture(
      capture(
        [execEvent(at(0), { pid: 500, environment: { CODEX_THREAD_ID: A } })],
        exchange({ pid: 500, method: 'GET', path: '/x?key=hidden' }),
        // A child that goes on with the same program has the same environment.
        [{ ...exitEvent(at(20)), kind: 'fork', pid: 501, parentPid: 500 }],
        exchange({ pid: 501, ms: 30, method: 'GET', path: '/x' }),
      ),
    );
    const { exchanges, processes } = await readSessionMap([bundle]);
    const expected = { thread_id: A, by: 'CODEX_THREAD_ID', transport: 'http', path: '/x' };
    expect(exchanges).toMatchObject([expected, { ...expected, pid: 501 }]);
    expect(processes).toMatchObject([
      { pid: 500, role: null, threads: [{ thread_id: A, by: 'CODEX_THREAD_ID', rollout_file: null }] },
      { pid: 501, parent_pid: 500 },
    ]);
  });

  it('is of the only thread whose rollout file has its items', async () => {
    const call = { type: 'function_call', call_id: 'call_x' };
    const files = Object.fromEntries([
      rollout(A, [{ type: 'message', id: 'msg_shared' }, call]),
      rollout(B, [{ type: 'message', id: 'msg_shared' }]),
      rollout(idAt(9), [{ type: 'message', id: 'msg_other' }]),
    ]);
    const events = capture(
      exchange({ answer: [created('resp_a'), done(toolCall('call_x')), completed('resp_a')] }),
      exchange({ ms: 20, answer: [created('resp_s'), done(answer('x', 'msg_shared')), completed('resp_s')] }),
      exchange({ ms: 30, pid: 900, body: { input: [{ type: 'function_call_output', call_id: 'call_x' }] } }),
    );
    const { bundle, home } = makeCapture(events, files);
    const { exchanges, sessions } = await readSessionMap([bundle]);
    expect(exchanges.map(({ thread_id, by }) => [thread_id, by])).toEqual([
      [A, 'rollout item id'],
      [A, 'pid'],
      [A, 'rollout item id'],
    ]);
    expect(sessions.map(({ session_id }) => session_id)).toEqual([A]);
    // A file that was not written since the capture began has nothing of it.
    const before = new Date(2020, 0);
    for (const name of Object.keys(files)) utimesSync(join(home, 'sessions', name), before, before);
    expect((await readSessionMap([bundle])).exchanges.every(({ by }) => by === 'history')).toBe(true);
  });

  it('is of the thread of its process only when that has no other', async () => {
    const plain = (ms: number) => exchange({ ms, method: 'GET', path: '/v1/models' });
    const one = makeCapture(capture(named(A, 1, 'r1'), plain(20)));
    const two = makeCapture(capture(named(A, 1, 'r1'), named(B, 10, 'r2'), plain(20)));
    const none = makeCapture(capture(plain(20)));
    const last = async ({ bundle }: { bundle: string }) => (await readSessionMap([bundle])).exchanges.at(-1);
    expect(await last(one)).toMatchObject({ thread_id: A, by: 'pid' });
    expect(await last(two)).toMatchObject({
      thread_id: null,
      by: null,
      why: expect.stringMatching(/holds 2 threads/),
    });
    expect(await last(none)).toMatchObject({
      thread_id: null,
      why: expect.stringMatching(/nothing names a thread/),
    });
  });
});

describe('what attribution by the latest rollout file of a pid gets wrong', () => {
  it('several threads in one process: each response goes to its own', async () => {
    const { bundle } = makeCapture(capture(named(A, 1, 'r1'), named(B, 10, 'r2'), named(A, 20, 'r3')));
    const { sessions, processes } = await readSessionMap([bundle]);
    expect(sessions).toMatchObject([
      {
        session_id: SESSION,
        threads: [
          { thread_id: A, responses: [{ response_id: 'r1' }, { response_id: 'r3' }] },
          { thread_id: B, responses: [{ response_id: 'r2', pid: CODEX, by: 'header' }] },
        ],
      },
    ]);
    expect(processes).toMatchObject([{ pid: CODEX, threads: [{ thread_id: A }, { thread_id: B }] }]);
  });

  it('a pid that came again: the second process does not get the threads of the first', async () => {
    const { bundle } = makeCapture(
      capture(
        [execEvent(at(0), { pid: CODEX, execPath: '/bin/codex', argv: ['codex'] })],
        named(A, 1, 'r1'),
        [exitEvent(at(100), { pid: CODEX, exitCode: 0 })],
        [execEvent(at(200), { pid: CODEX, execPath: '/bin/codex', argv: ['codex'] })],
        exchange({ ms: 300, method: 'GET', path: '/v1/models' }),
        named(B, 400, 'r2'),
      ),
    );
    const { processes, exchanges } = await readSessionMap([bundle]);
    expect(
      processes.map(({ started_at, ended_at, threads }) => [
        started_at,
        ended_at,
        threads.map((t) => t.thread_id),
      ]),
    ).toEqual([
      ['2026-01-02T03:04:05.000000Z', '2026-01-02T03:04:05.100000Z', [A]],
      ['2026-01-02T03:04:05.200000Z', null, [B]],
    ]);
    expect(exchanges.map(({ thread_id }) => thread_id)).toEqual([A, B, B]);
  });

  it('the thread in the file name is not the session', async () => {
    const { bundle } = makeCapture(
      capture(named(B, 1, 'r1')),
      Object.fromEntries([rollout(B, [], { session_id: A })]),
    );
    const { sessions, exchanges, processes } = await readSessionMap([bundle]);
    expect(sessions).toMatchObject([{ session_id: A, threads: [{ thread_id: B }] }]);
    expect(exchanges).toMatchObject([{ thread_id: B, session_id: A }]);
    expect(processes[0]?.threads).toMatchObject([{ thread_id: B, rollout_file: expect.stringContaining(B) }]);
  });

  it('ids quoted in a message, blanks in JSON, a character cut in two: none of them matters', async () => {
    const quoted = answer('see "response_id":"resp_other" and "id":"msg_other" — ü', 'msg_1');
    const pretty = JSON.stringify(created('resp_own'), null, 2).replaceAll('\n', '\ndata: ');
    expect(pretty).toContain('"id": "resp_own"');
    const text = `event: response.created\ndata: ${pretty}\n\n${sse(done(quoted))}`;
    const events = exchange({ headers: [`thread-id: ${A}`], answer: text });
    const cut = events.flatMap((event) =>
      event.kind === 'tls' && event.direction === 'receive'
        ? [...event.data].map((_, index) => ({
            ...event,
            offset: event.offset + index,
            data: event.data.subarray(index, index + 1),
          }))
        : [event],
    );
    const { bundle } = makeCapture(capture(cut));
    const { sessions } = await readSessionMap([bundle]);
    expect(sessions[0]?.threads[0]?.responses.map(({ response_id }) => response_id)).toEqual(['resp_own']);
  });

  it('more responses than a cache holds: none is forgotten', async () => {
    const many = 12_000;
    const lines = Array.from({ length: many }, (_, index) =>
      line('token_usage_record', { thread_id: A, response_id: `r${index}`, usage: { total_tokens: 1 } }),
    );
    const { home } = makeCapture([], { [fileName(A)]: [line('session_meta', { id: A }), ...lines] });
    const { sessions } = await readSessionMap([home]);
    expect(sessions[0]?.threads[0]?.responses).toHaveLength(many);
    expect(sessions[0]?.usage.total_tokens).toBe(many);
  });

  it('names that only look like those of rollouts', async () => {
    const stem = `${'z'.repeat(36)}.jsonl`;
    const { home } = makeCapture([], {
      [stem]: ['{}'],
      'rollout-notes.txt': ['{}'],
      'rollout-x.jsonl': ['{}'],
    });
    const { sessions, skipped } = await readSessionMap([home, join(home, 'sessions', stem)]);
    expect(sessions).toEqual([]);
    expect(skipped.map(({ reason }) => reason)).toEqual([
      expect.stringMatching(/is not named/),
      expect.stringMatching(/is not named/),
      expect.stringMatching(/is no rollout file/),
    ]);
  });
});

describe('a recorded run with two sub-agents in one process', () => {
  const [root, alpha, beta] = [
    '01a1f929-92bb-7950-bc71-5ab94bf06651',
    '01a1f929-9340-7783-be03-729d27ef07ef',
    '01a1f929-935b-7ce3-92af-0434098347ae',
  ];

  it('has each exchange attributed by its header, and each tool process by its environment', async () => {
    const recording = wireRecording('agents');
    const { bundle } = makeCapture(evidenceOf(recording));
    const { sessions, processes, exchanges, skipped } = await readSessionMap([bundle]);
    expect(skipped).toEqual([]);
    expect(new Set(exchanges.map(({ by, session_id }) => `${by} ${session_id}`))).toEqual(
      new Set([`header ${root}`]),
    );
    const [reference] = recording.reference;
    const expected = Object.values(reference?.inference_calls ?? {}).map((call) => [
      Object(call).response_id,
      Object(call).thread_id,
    ]);
    const found = exchanges.map(({ response_id, thread_id }) => [response_id, thread_id]);
    expect(found.toSorted()).toEqual(expected.toSorted());
    expect(
      sessions.map(({ threads }) =>
        threads.map(({ thread_id, agent_path, kind }) => [thread_id, agent_path, kind]),
      ),
    ).toEqual([
      [
        [root, '/root', 'root'],
        [alpha, '/root/alpha', 'subagent'],
        [beta, '/root/beta', 'subagent'],
      ],
    ]);
    expect(processes.map(({ role, threads }) => [role, threads.map(({ by }) => by)])).toEqual([
      ['client', ['header', 'header', 'header']],
      [null, ['CODEX_THREAD_ID']],
      [null, ['CODEX_THREAD_ID']],
    ]);
  });

  it('tells of evidence that is damaged', async () => {
    const { bundle } = makeCapture(evidenceOf(wireRecording('exec')).slice(0, -1));
    const { skipped } = await readSessionMap([bundle]);
    expect(skipped).toEqual([
      {
        file: join(bundle, 'evidence/000001.pb'),
        reason: expect.stringMatching(/byte \d+: .*did not end in order/),
      },
    ]);
    const segment = join(bundle, 'evidence/000001.pb');
    const bytes = readFileSync(segment);
    const places = [bytes.indexOf('thread-id: '), bytes.lastIndexOf('thread-id: ')];
    for (const place of places) bytes[place] = 0;
    writeFileSync(segment, bytes);
    const reasons = (await readSessionMap([bundle])).skipped.map(({ reason }) => reason);
    expect(reasons).toContainEqual(
      expect.stringMatching(/does not match its checksum, and 1 more of its kind/),
    );
    rmSync(join(bundle, 'evidence'), { recursive: true });
    expect((await readSessionMap([bundle])).skipped).toMatchObject([
      { reason: expect.stringMatching(/agsight reduce/) },
    ]);
  });
});
