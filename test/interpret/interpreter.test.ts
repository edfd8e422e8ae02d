import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { EvidenceEvent, TlsEvent } from '../../src/evidence/event.js';
import { reduceBundle } from '../../src/reduce/reduce.js';
import {
  captureEnd,
  captureStart,
  evidenceOf,
  execEvent,
  exitEvent,
  Records,
  socketClosed,
  socketEvent,
  Wire,
  wireRecording,
} from '../support/wire.js';
import {
  answer,
  chunk,
  completed,
  created,
  done,
  interpret,
  interpretOne,
  jsonResponse,
  request,
  response,
  snapshot,
  sse,
  streamHead,
  THREAD,
  TURN,
  toolCall,
  toolOutput,
  usage,
  userMessage,
} from './story.js';

/** A capture of one process; times are milliseconds. */
const ms = (time: number): bigint => BigInt(time) * 1_000_000n;

/** Pieces of one connection at times 10, 20, 30 …; `>` is sent, `<` is received. */
function talk(wire: Wire, ...pieces: [direction: '>' | '<', bytes: string][]): TlsEvent[] {
  return pieces.flatMap(([direction, bytes], index) =>
    wire.piece(direction === '>' ? 'send' : 'receive', bytes, ms(10 * (index + 1))),
  );
}

function capture(...events: EvidenceEvent[]): EvidenceEvent[] {
  return [captureStart(ms(1)), ...events, exitEvent(ms(900), { exitCode: 0 }), captureEnd(ms(1000))];
}

const types = (events: readonly { payload: { type: string } }[]) => events.map(({ payload }) => payload.type);

describe('a recorded turn with a tool call', () => {
  const recording = wireRecording('exec');
  const [threadId] = Object.keys(recording.reference[0]?.threads ?? {});

  test('is told in the order of Codex itself', () => {
    const { told, result } = interpretOne(evidenceOf(recording));
    expect(types(told.events)).toEqual([
      'rollout_started',
      'thread_started',
      'codex_turn_started',
      'history_item_accepted',
      'history_item_accepted',
      'history_item_accepted',
      'inference_started',
      'inference_completed',
      'history_item_accepted',
      'tool_call_started',
      'tool_call_runtime_started',
      'tool_call_runtime_ended',
      'tool_call_ended',
      'history_item_accepted',
      'inference_started',
      'inference_completed',
      'history_item_accepted',
      'codex_turn_ended',
      'thread_ended',
      'rollout_ended',
      'recording_completed',
    ]);
    expect(told.events.map(({ seq }) => seq)).toEqual(told.events.map((_, index) => index + 1));
    expect(told.manifest).toMatchObject({
      schema_version: 2,
      rollout_id: threadId,
      root_thread_id: threadId,
    });
    expect(result.anomalies).toEqual([]);
    expect(result.exchanges.map(({ call }) => call)).toMatchObject([
      { inTrace: true, outcome: 'completed', model: 'gpt-5.5', threadId, responseId: 'resp_0' },
      { inTrace: true, outcome: 'completed', model: 'gpt-5.5', threadId, responseId: 'resp_1' },
    ]);
  });

  test('keeps the request as it was sent and the response as a summary', () => {
    const { told } = interpretOne(evidenceOf(recording));
    const [first] = told.all('inference_started');
    const sent = recording.pieces.find(([, , direction]) => direction === 's')?.[3] ?? '';
    expect(told.payload(first?.request_payload)).toEqual(JSON.parse(sent.slice(sent.indexOf('\r\n\r\n'))));
    const [answered] = told.all('inference_completed');
    expect(told.payload(answered?.response_payload)).toEqual({
      response_id: 'resp_0',
      upstream_request_id: 'req_mock_0',
      token_usage: {
        input_tokens: 110,
        cached_input_tokens: 5,
        cache_write_input_tokens: 0,
        output_tokens: 20,
        reasoning_output_tokens: 3,
        total_tokens: 130,
      },
      output_items: [
        {
          type: 'function_call',
          id: 'fc_call_exec_1',
          call_id: 'call_exec_1',
          name: 'exec_command',
          arguments: '{"cmd":"echo hello && ls -la / | head -3","max_output_tokens":500}',
        },
      ],
    });
  });

  test('joins the command with its process', () => {
    const { told } = interpretOne(evidenceOf(recording));
    const started = told.payload(told.the('tool_call_runtime_started').runtime_payload);
    expect(started).toMatchObject({
      call_id: 'call_exec_1',
      pid: 1000,
      command: ['/bin/bash', '-lc', 'echo hello && ls -la / | head -3'],
      cwd: '/home/me/codexwk/0.169.0/exec/cwd',
    });
    const ended = told.payload(told.the('tool_call_runtime_ended').runtime_payload);
    expect(ended).toMatchObject({ exit_code: 0, status: 'completed' });
    expect(ended.aggregated_output).toMatch(/^hello\ntotal /);
  });

  test('gives the same bytes each time and in whatever pieces it was recorded', () => {
    const whole = snapshot(interpretOne(evidenceOf(recording)).told.dir);
    expect(Object.keys(whole)).toContain('payloads/1.json');
    for (const pieceBytes of [16 * 1024, 1000, 3, 1]) {
      expect(snapshot(interpretOne(evidenceOf(recording, pieceBytes)).told.dir)).toEqual(whole);
    }
  });
});

describe('usage', () => {
  const quoted = '"usage":{"input_tokens": 5,"output_tokens": 6},"input_tokens": 5 data: {"input_tokens":5}';

  test('comes from the final event alone, whatever the texts quote', () => {
    const wire = new Wire();
    const input = [userMessage(quoted), toolCall('c1', quoted), toolOutput('c1', quoted)];
    const { told } = interpretOne(
      capture(
        ...talk(
          wire,
          ['>', request({ input })],
          ['<', response(created(), done(answer(quoted)), completed('resp_1', { metadata: { quoted } }))],
        ),
      ),
    );
    expect(told.payload(told.the('inference_completed').response_payload).token_usage).toEqual({
      input_tokens: 100,
      cached_input_tokens: 5,
      cache_write_input_tokens: 2,
      output_tokens: 20,
      reasoning_output_tokens: 3,
      total_tokens: 120,
    });
  });

  test('survives a final event that spans thousands of records', () => {
    const text = 'ü'.repeat(300_000);
    const wire = new Wire();
    const pieces = [
      ...wire.piece('send', request(), ms(10)),
      ...wire.piece(
        'receive',
        response(created(), done(answer(text)), completed('resp_1', { text })),
        ms(20),
        199,
      ),
    ];
    expect(pieces.length).toBeGreaterThan(6000);
    const { told, result } = interpretOne(capture(...pieces));
    const payload = told.payload(told.the('inference_completed').response_payload);
    expect(payload).toMatchObject({ token_usage: { input_tokens: 100 }, output_items: [answer(text)] });
    expect(result.exchanges[0]?.call?.usage?.total_tokens).toBe(120);
  });

  test('is null when the final event has none', () => {
    const { told } = interpretOne(
      capture(...talk(new Wire(), ['>', request()], ['<', response(completed('resp_1', { usage: null }))])),
    );
    expect(told.payload(told.the('inference_completed').response_payload).token_usage).toBeNull();
  });
});

describe('responses that do not complete', () => {
  const began = `${streamHead}${chunk(sse(created(), done(answer('partial'))))}`;
  const partial = { response_id: null, token_usage: null, output_items: [answer('partial')] };
  const followUp = request({ inferenceCallId: 'call-2' });

  test('a stream that broke off before the next request of the turn has failed; what had come is kept', () => {
    const { told } = interpretOne(
      capture(
        ...talk(new Wire(1), ['>', request()], ['<', began]),
        ...new Wire(2).piece('send', followUp, ms(50)),
        ...new Wire(2).piece('receive', response(completed('resp_2')), ms(60)),
      ),
    );
    const failed = told.the('inference_failed');
    expect(failed).toMatchObject({ inference_call_id: 'call-1', upstream_request_id: 'req_1' });
    expect(told.payload(failed.partial_response_payload)).toMatchObject(partial);
    expect(types(told.events).indexOf('inference_failed')).toBe(
      types(told.events).lastIndexOf('inference_started') - 1,
    );
    expect(told.the('codex_turn_ended').status).toBe('completed');
  });

  test.each([
    ['exited', { exitCode: 1 }, 'cancelled', 'completed'],
    ['was killed', { signal: 9 }, 'aborted', 'aborted'],
  ])('a stream open when the process %s is cancelled', (_, how, turnStatus, threadStatus) => {
    const { told, result } = interpretOne([
      captureStart(ms(1)),
      ...talk(new Wire(), ['>', request()], ['<', began]),
      exitEvent(ms(50), how),
      captureEnd(ms(60)),
    ]);
    const cancelled = told.the('inference_cancelled');
    expect(told.payload(cancelled.partial_response_payload)).toMatchObject(partial);
    expect(told.the('codex_turn_ended').status).toBe(turnStatus);
    expect(told.the('thread_ended').status).toBe(threadStatus);
    expect(told.the('rollout_ended').status).toBe(threadStatus);
    expect(result.exchanges[0]?.call?.outcome).toBe('cancelled');
  });

  test.each([
    ['the server', { endedBy: 'there', isPlain: true }, 'failed'],
    ['the server, below TLS', { endedBy: 'there', isPlain: false }, 'failed'],
    ['a broken connection', { endedBy: 'there', errno: 104, isPlain: true }, 'failed'],
    ['Codex', { endedBy: 'here', isPlain: true }, 'cancelled'],
    ['Codex, below TLS', { endedBy: 'here', isPlain: false }, 'cancelled'],
  ] as const)('a stream that was ended by %s', (_, how, outcome) => {
    for (const received of [began, '']) {
      const { result } = interpretOne([
        captureStart(ms(1)),
        ...talk(new Wire(), ['>', request()], ['<', received]),
        socketClosed(ms(40), how),
        exitEvent(ms(50), { exitCode: 0 }),
        captureEnd(ms(60)),
      ]);
      expect(result.exchanges[0]?.call?.outcome).toBe(outcome);
      expect(result.anomalies).toEqual([]);
    }
  });

  test.each([
    ['the user', '<turn_aborted>\nThe user interrupted the previous turn.', 'cancelled'],
    ['the server', 'Go on.', 'failed'],
  ] as const)('a stream below TLS was ended by %s, as the next turn shows', (_, said, outcome) => {
    const next = { turnId: 'another-turn', inferenceCallId: 'call-2' };
    const { result } = interpretOne([
      captureStart(ms(1)),
      ...talk(new Wire(), ['>', request()], ['<', began]),
      socketClosed(ms(40), { endedBy: 'there', isPlain: false }),
      ...new Wire(2).piece(
        'send',
        request({ ...next, input: [userMessage('hi'), userMessage(said, 'msg_n')] }),
        ms(50),
      ),
      captureEnd(ms(60)),
    ]);
    expect(result.exchanges[0]?.call?.outcome).toBe(outcome);
  });

  const ALERT = 21;
  const closeNotify = Uint8Array.of(1, 0);

  test.each([
    ['Codex, which said goodbye first', 30, undefined, 'cancelled'],
    ['Codex, whose goodbye was answered', 30, 35, 'cancelled'],
    ['the server, to which Codex then said goodbye', 38, undefined, 'failed'],
    ['the server, which said so first', 38, 35, 'failed'],
    ['the server, to which Codex said nothing', undefined, undefined, 'failed'],
  ] as const)('a stream over rustls was ended by %s', (_, clientMs, serverMs, outcome) => {
    const [send, receive] = [new Records(1, 'send'), new Records(2, 'receive')];
    const events = [
      ...send.content(request(), ms(10)),
      ...receive.content(began, ms(20)),
      ...(clientMs === undefined ? [] : send.content(closeNotify, ms(clientMs), ALERT)),
      ...(serverMs === undefined ? [] : receive.content(closeNotify, ms(serverMs), ALERT)),
    ].sort((a, b) => Number(a.timeNs - b.timeNs));
    const closed = socketEvent(ms(40), {
      operation: 'close',
      connection: 99n,
      carries: 2n,
      endedBy: 'there',
      endedNs: ms(36),
    });
    const exit = exitEvent(ms(50), { exitCode: 1 });
    const { result } = interpretOne([captureStart(ms(1)), ...events, closed, exit, captureEnd(ms(60))]);
    expect(result.exchanges[0]?.call?.outcome).toBe(outcome);
  });

  test.each([
    ['the server', 9, 'failed'],
    ['Codex, which had said goodbye', 30, 'cancelled'],
  ] as const)('a stream over OpenSSL was ended by %s', (_, lastSentMs, outcome) => {
    const closed = socketClosed(ms(40), { endedBy: 'there', isPlain: false });
    const { result } = interpretOne([
      captureStart(ms(1)),
      ...talk(new Wire(), ['>', request()], ['<', began]),
      { ...closed, endedNs: ms(36), lastSentNs: ms(lastSentMs) },
      exitEvent(ms(50), { exitCode: 1 }),
      captureEnd(ms(60)),
    ]);
    expect(result.exchanges[0]?.call?.outcome).toBe(outcome);
  });

  test('a connection that is closed after its response changes nothing', () => {
    const { result } = interpretOne([
      captureStart(ms(1)),
      ...talk(new Wire(), ['>', request()], ['<', response(created(), completed())]),
      socketClosed(ms(40), { endedBy: 'there', isPlain: false }),
      captureEnd(ms(60)),
    ]);
    expect(result.exchanges[0]?.call?.outcome).toBe('completed');
    expect(result.anomalies).toEqual([]);
  });

  test('a stream open when the capture ends is still running', () => {
    const { told, result } = interpretOne([
      captureStart(ms(1)),
      ...talk(new Wire(), ['>', request()], ['<', began]),
      captureEnd(ms(60)),
    ]);
    expect(types(told.events).slice(-3)).toEqual([
      'inference_started',
      'history_item_accepted',
      'recording_completed',
    ]);
    expect(result.exchanges[0]?.call?.outcome).toBe('running');
  });

  test('evidence that breaks off does not say that the recording is complete', () => {
    const { told } = interpretOne([captureStart(ms(1)), ...talk(new Wire(), ['>', request()], ['<', began])]);
    expect(types(told.events)).not.toContain('recording_completed');
  });

  test('a stream that ends in order without a final event has failed', () => {
    const { told } = interpretOne(capture(...talk(new Wire(), ['>', request()], ['<', response(created())])));
    expect(told.the('inference_failed').error).toBe('stream ended without a final event');
    expect(told.the('codex_turn_ended').status).toBe('failed');
  });

  test('a final event without its blank line counts', () => {
    const cut = `${streamHead}${chunk(sse(completed()).trimEnd())}0\r\n\r\n`;
    const { told } = interpretOne(capture(...talk(new Wire(), ['>', request()], ['<', cut])));
    expect(told.the('inference_completed').response_id).toBe('resp_1');
  });

  test('the next turn of a living process cancels it', () => {
    const { told } = interpretOne(
      capture(
        ...talk(new Wire(1), ['>', request()], ['<', began]),
        ...new Wire(2).piece('send', request({ inferenceCallId: 'call-2', turnId: 'turn-2' }), ms(50)),
      ),
    );
    expect(told.all('inference_cancelled')[0]).toMatchObject({ inference_call_id: 'call-1' });
    expect(told.all('codex_turn_ended')[0]).toEqual({
      type: 'codex_turn_ended',
      codex_turn_id: TURN,
      status: 'cancelled',
    });
    const order = types(told.events);
    expect(order.indexOf('codex_turn_ended')).toBeLessThan(order.lastIndexOf('codex_turn_started'));
  });
});

describe('HTTP errors', () => {
  test('end the inference with status and body', () => {
    const body = { error: { message: 'bad key' } };
    const { told, result } = interpretOne(
      capture(...talk(new Wire(), ['>', request()], ['<', jsonResponse(401, body, ['x-request-id: req_9'])])),
    );
    expect(told.the('inference_failed')).toEqual({
      type: 'inference_failed',
      inference_call_id: 'call-1',
      upstream_request_id: 'req_9',
      error: 'HTTP 401: {"error":{"message":"bad key"}}',
      partial_response_payload: null,
    });
    expect(result.exchanges[0]).toMatchObject({ status: 401, call: { outcome: 'failed' } });
  });

  test('followed by the same request again are one inference', () => {
    const { told, result } = interpretOne(
      capture(
        ...talk(
          new Wire(),
          ['>', request()],
          ['<', jsonResponse(503, {})],
          ['>', request()],
          ['<', response(done(answer('ok')), completed())],
        ),
      ),
    );
    expect(told.all('inference_started')).toHaveLength(1);
    expect(told.all('inference_failed')).toEqual([]);
    expect(told.the('inference_completed').response_id).toBe('resp_1');
    expect(result.exchanges.map(({ call }) => call?.outcome)).toEqual(['failed', 'completed']);
  });
});

test('a response that is no stream is read as a whole', () => {
  const body = { id: 'resp_1', status: 'completed', output: [answer('whole')], usage: usage() };
  const { told } = interpretOne(
    capture(...talk(new Wire(), ['>', request()], ['<', jsonResponse(200, body)])),
  );
  expect(told.payload(told.the('inference_completed').response_payload)).toMatchObject({
    response_id: 'resp_1',
    output_items: [answer('whole')],
    token_usage: { total_tokens: 120 },
  });
});

describe('tool calls', () => {
  const first = talk(new Wire(1), ['>', request()], ['<', response(done(toolCall('c1')), completed())]);
  const second = (output: string) => {
    const input = [userMessage('hi'), toolCall('c1'), toolOutput('c1', output)];
    return new Wire(2).piece('send', request({ inferenceCallId: 'call-2', input }), ms(100));
  };

  test('end with the output that a later request carries', () => {
    const { told } = interpretOne(capture(...first, ...second('fine')));
    const ended = told.the('tool_call_ended');
    expect(ended).toMatchObject({ tool_call_id: 'c1', status: 'completed' });
    expect(told.payload(ended.result_payload)).toEqual({
      type: 'direct_response',
      response_item: { type: 'function_call_output', call_id: 'c1', output: 'fine' },
    });
  });

  test('that Codex refused have failed', () => {
    const { told } = interpretOne(capture(...first, ...second('unsupported call: exec_command')));
    expect(told.the('tool_call_ended').status).toBe('failed');
    expect(told.payload(told.the('tool_call_ended').result_payload)).toEqual({
      type: 'error',
      error: 'unsupported call: exec_command',
    });
  });

  test('without an output leave a turn that its process cut short', () => {
    const { told } = interpretOne(capture(...first));
    expect(told.all('tool_call_ended')).toEqual([]);
    expect(told.the('codex_turn_ended')).toMatchObject({ status: 'cancelled' });
  });

  test('take the first process that names them, of their own thread only', () => {
    const environment = { CODEX_TOOL_CALL_ID: 'c1', CODEX_THREAD_ID: THREAD };
    const { told } = interpretOne(
      capture(
        ...first,
        execEvent(ms(40), { pid: 7, environment: { ...environment, CODEX_THREAD_ID: 'another' } }),
        execEvent(ms(41), { pid: 8, argv: ['bash', '-lc', 'true'], environment }),
        execEvent(ms(42), { pid: 9, argv: ['grandchild'], environment }),
        exitEvent(ms(43), { pid: 9, exitCode: 0 }),
        exitEvent(ms(44), { pid: 8, signal: 15 }),
        ...new Wire(2).piece(
          'send',
          request({
            inferenceCallId: 'call-2',
            input: [userMessage('<environment_context>\n<cwd>/w</cwd>\n</environment_context>', 'msg_e')],
          }),
          ms(100),
        ),
      ),
    );
    expect(told.payload(told.the('tool_call_runtime_ended').runtime_payload)).toEqual({
      call_id: 'c1',
      process_id: 'pid-8',
      pid: 8,
      turn_id: TURN,
      command: ['bash', '-lc', 'true'],
      cwd: '/w',
      completed_at_ms: 44,
      exit_code: 143,
      signal: 15,
      duration: { secs: 0, nanos: 3_000_000 },
      status: 'failed',
    });
  });

  describe('whose processes do not name them', () => {
    const environment = { CODEX_THREAD_ID: THREAD };
    const asked = ['/bin/bash', '-lc', 'true'];
    const asking = first.slice(0, 1);
    const answered = first.slice(1);
    const context = userMessage('<environment_context>\n<cwd>/w</cwd>\n</environment_context>', 'msg_e');
    const outputs = (...callIds: string[]) =>
      new Wire(2).piece(
        'send',
        request({
          inferenceCallId: 'call-2',
          input: [context, ...callIds.map((id) => toolOutput(id, 'fine'))],
        }),
        ms(100),
      );
    /** What calls were joined with, and what was said of it. */
    const joined = (...events: EvidenceEvent[]) => {
      const { told, result } = interpretOne(capture(...events));
      const commands = told
        .all('tool_call_runtime_started')
        .map((event) => told.payload(event.runtime_payload))
        .map(({ call_id, pid, command }) => [call_id, pid, command]);
      return { commands, anomalies: result.anomalies };
    };

    test('take what the agent itself started for their command while they ran', () => {
      const found = joined(
        ...asking,
        execEvent(ms(15), { pid: 6, argv: asked, environment }),
        ...answered,
        execEvent(ms(40), { pid: 7, argv: asked, environment: { CODEX_THREAD_ID: 'another' } }),
        execEvent(ms(41), { pid: 8, argv: ['/bin/bash', '-lc', 'false'], environment }),
        execEvent(ms(42), { pid: 9, argv: asked, environment, parentPid: 8 }),
        execEvent(ms(43), { pid: 10, argv: ['/proc/self/exe', '--setup', ...asked] }),
        execEvent(ms(44), { pid: 10, argv: asked, environment }),
        execEvent(ms(45), { pid: 10, argv: ['true'], environment }),
        ...outputs('c1'),
        execEvent(ms(110), { pid: 11, argv: asked, environment }),
      );
      expect(found).toEqual({ commands: [['c1', 10, asked]], anomalies: [] });
    });

    test('take one without a thread, of a Codex that names none', () => {
      const { commands } = joined(...first, execEvent(ms(40), { pid: 7, argv: asked }), ...outputs('c1'));
      expect(commands).toEqual([['c1', 7, asked]]);
    });

    test('take none that names another call', () => {
      const named = { ...environment, CODEX_TOOL_CALL_ID: 'c2' };
      const { commands } = joined(
        ...first,
        execEvent(ms(40), { pid: 7, argv: ['/proc/self/exe', ...asked] }),
        execEvent(ms(41), { pid: 7, argv: asked, environment: named }),
        ...outputs('c1'),
      );
      expect(commands).toEqual([]);
    });

    test('and ask for the same at the same time take in their order, which is counted', () => {
      const both = [done(toolCall('c1')), done(toolCall('c2')), completed()];
      const found = joined(
        ...talk(new Wire(1), ['>', request()], ['<', response(...both)]),
        execEvent(ms(40), { pid: 7, argv: asked, environment }),
        execEvent(ms(41), { pid: 8, argv: asked, environment }),
        ...outputs('c2', 'c1'),
      );
      expect(found.commands).toEqual([
        ['c1', 7, asked],
        ['c2', 8, asked],
      ]);
      expect(found.anomalies).toMatchObject([{ kind: 'inferred-command', count: 1 }]);
    });

    test('show what it wrote, also of shell_command, which tells its end in other words', () => {
      const call = { ...toolCall('c1', '{"command":"true"}'), name: 'shell_command' };
      const output = toolOutput(
        'c1',
        'Exit code: 0\nWall time: 0 seconds\nTotal output lines: 1\nOutput:\nfine',
      );
      const { told } = interpretOne(
        capture(
          ...talk(new Wire(1), ['>', request()], ['<', response(done(call), completed())]),
          execEvent(ms(40), { pid: 7, argv: asked, environment }),
          exitEvent(ms(50), { pid: 7, exitCode: 0 }),
          ...new Wire(2).piece(
            'send',
            request({ inferenceCallId: 'call-2', input: [context, output] }),
            ms(100),
          ),
        ),
      );
      expect(told.payload(told.the('tool_call_runtime_ended').runtime_payload)).toMatchObject({
        aggregated_output: 'fine',
        output_as_shown_to_model: true,
        call_inferred: true,
      });
    });

    test.each([
      ['shell_command', { command: 'true' }, asked],
      ['shell', { command: ['ls', '-l'] }, ['ls', '-l']],
    ])('may be of %s', (name, args, argv) => {
      const call = { ...toolCall('c1', JSON.stringify(args)), name };
      const { commands } = joined(
        ...talk(new Wire(1), ['>', request()], ['<', response(done(call), completed())]),
        execEvent(ms(40), { pid: 7, argv, environment }),
        ...outputs('c1'),
      );
      expect(commands).toEqual([['c1', 7, argv]]);
    });
  });

  test('with an id used before keep the first start', () => {
    const { told, result } = interpretOne(
      capture(
        ...first,
        ...new Wire(2).piece('send', request({ inferenceCallId: 'call-2' }), ms(100)),
        ...new Wire(2).piece('receive', response(done(toolCall('c1')), completed('resp_2')), ms(110)),
      ),
    );
    expect(told.all('tool_call_started')).toHaveLength(1);
    expect(result.anomalies).toEqual([{ kind: 'duplicate-id', count: 1, example: 'tool call c1' }]);
  });
});

describe('lost bytes', () => {
  const sent = new Wire().piece('send', request(), ms(10));
  const whole = response(
    created(),
    done(toolCall('c1')),
    done(answer('b')),
    completed('resp_1', {
      output: [toolCall('c1'), answer('b')],
    }),
  );

  /** The response with `length` bytes from `text` on missing. */
  function receivedWithout(text: string, length: number): TlsEvent[] {
    const from = whole.indexOf(text);
    expect(from).toBeGreaterThan(0);
    const wire = new Wire();
    const before = wire.piece('receive', whole.slice(0, from), ms(20));
    wire.piece('receive', whole.slice(from, from + length), ms(21));
    const after = wire.piece('receive', whole.slice(from + length), ms(22));
    return [...before, ...after];
  }

  test('inside an event: the final response gives its item back, in order', () => {
    const { told, result } = interpretOne(capture(...sent, ...receivedWithout('"name":"exec', 5)));
    const payload = told.payload(told.the('inference_completed').response_payload);
    expect(payload.output_items).toEqual([toolCall('c1'), answer('b')]);
    expect(told.the('tool_call_started').tool_call_id).toBe('c1');
    expect(result.anomalies.map(({ kind }) => kind)).toEqual(['stream-gap']);
  });

  test.each([
    ['over the end of a chunk', '"text":"b"', 60],
    ['in a chunk size', chunk(sse(done(answer('b')))), 2],
    ['in the head', 'content-type', 5],
  ])('%s: the outcome is not known and none is made up', (_, text, length) => {
    const { told, result } = interpretOne(capture(...sent, ...receivedWithout(text, length)));
    const outcomes = /^inference_(?!started)|turn_ended/;
    expect(types(told.events).filter((type) => outcomes.test(type))).toEqual([]);
    expect(result.exchanges[0]?.call?.outcome).toBe('unknown');
  });

  test('in the head, when the capture ends first: not taken for running', () => {
    const received = receivedWithout('content-type', 5);
    const { result } = interpretOne([captureStart(ms(1)), ...sent, ...received, captureEnd(ms(60))]);
    expect(result.exchanges[0]?.call?.outcome).toBe('unknown');
  });

  test('in a request: it is listed and not told', () => {
    const [piece] = sent;
    if (piece === undefined) throw new Error('no piece');
    const cut = { ...piece, data: piece.data.subarray(0, piece.data.length - 10) };
    const hole: TlsEvent = {
      ...piece,
      offset: cut.data.length,
      data: new Uint8Array(),
      missing: 10,
      missingReason: 'unreadable',
    };
    const { result, bundles } = interpret(capture(cut, hole, ...new Wire().piece('receive', whole, ms(20))));
    expect(bundles).toEqual([]);
    expect(result.exchanges[0]).toMatchObject({
      status: 200,
      call: { inTrace: false, usage: { total_tokens: 120 } },
    });
    expect(result.anomalies.map(({ kind }) => kind)).toEqual(['unreadable-request', 'stream-gap']);
  });

  test('of a whole response: the next response is not taken for it', () => {
    const wire = new Wire();
    const head = wire.piece('send', request(), ms(10));
    wire.piece('receive', response(completed('resp_lost')), ms(20));
    const next = wire.piece('send', request({ inferenceCallId: 'call-2' }), ms(30));
    const received = wire.piece('receive', response(completed('resp_2')), ms(40));
    const { told, result } = interpretOne(capture(...head, ...next, ...received));
    expect(told.all('inference_completed')).toMatchObject([
      { inference_call_id: 'call-2', response_id: 'resp_2' },
    ]);
    expect(result.anomalies.map(({ kind }) => kind)).toContain('unpaired-message');
  });
});

describe('what is not told', () => {
  test('other exchanges are listed, without the query', () => {
    const { result, bundles } = interpret(
      capture(
        ...talk(
          new Wire(),
          ['>', 'GET /v1/models?key=secret HTTP/1.1\r\nHost: api.test\r\n\r\n'],
          ['<', jsonResponse(200, {})],
        ),
      ),
    );
    expect(bundles).toEqual([]);
    expect(result.exchanges).toEqual([
      {
        pid: 100,
        method: 'GET',
        host: 'api.test',
        path: '/v1/models',
        status: 200,
        startedAtUnixMs: 10,
        lastAtUnixMs: 20,
        transport: 'http',
        call: undefined,
      },
    ]);
  });

  test('a call below any base path is one; a call without ids has a thread that is inferred', () => {
    const anonymous = JSON.stringify({ model: 'm', input: [] });
    const { result, bundles } = interpret(
      capture(
        ...talk(
          new Wire(),
          [
            '>',
            `POST /backend-api/codex/responses?a=b HTTP/1.1\r\ncontent-length: ${anonymous.length}\r\n\r\n${anonymous}`,
          ],
          ['<', response(completed())],
        ),
      ),
    );
    expect(bundles).toHaveLength(1);
    expect(result.exchanges[0]).toMatchObject({
      path: '/backend-api/codex/responses',
      call: { inTrace: true, outcome: 'completed', model: 'm', usage: { total_tokens: 120 } },
    });
    expect(result.anomalies.map(({ kind }) => kind)).toEqual(['inferred-thread']);
  });

  test('warm-ups are no inferences of a turn', () => {
    const metadata = JSON.stringify({ request_kind: 'prewarm' });
    const { result, bundles } = interpret(
      capture(...talk(new Wire(), ['>', request({ headers: [`x-codex-turn-metadata: ${metadata}`] })])),
    );
    expect(bundles).toEqual([]);
    expect(result.exchanges[0]?.call).toMatchObject({ inTrace: false, requestKind: 'prewarm' });
    expect(result.anomalies).toEqual([]);
  });

  test('bodies in a content coding are counted', () => {
    const { told, result } = interpretOne(
      capture(
        ...talk(
          new Wire(),
          ['>', request()],
          ['<', jsonResponse(200, {}, ['content-encoding: gzip'])],
          ['>', request({ inferenceCallId: 'call-2', headers: ['content-encoding: zstd'] })],
        ),
      ),
    );
    expect(told.all('inference_started')).toHaveLength(1);
    expect(result.anomalies).toMatchObject([
      { kind: 'undecoded-body', count: 2, example: expect.stringContaining('response: gzip') },
      { kind: 'incomplete-response', count: 1 },
    ]);
  });

  test.each([
    ['with lines', 'SSH-2.0-client\r\n\r\n'],
    ['with lines of which none is empty', '*1\r\n$4\r\nPING\r\n'],
    ['without lines', '\x10\x2a\0\x04MQTT\x04\x02\0\x3c'],
    ['in two pieces', 'PING', '\0\0'],
    ['that is too short to tell', 'PI', 'NG'],
    ['whose line begins like that of a request', 'NICK hugo'],
  ])('a connection of another protocol is counted, in each direction: %s', (_, ...pieces) => {
    const said = pieces.map((piece): ['>', string] => ['>', piece]);
    const events = talk(new Wire(), ...said, ['<', '+OK']);
    const { length } = pieces.join('');
    for (const whole of [capture(...events), [captureStart(ms(1)), ...events, captureEnd(ms(1000))]]) {
      expect(interpret(whole).result.anomalies).toEqual([
        { kind: 'not-http', count: 2, example: `connection 1 of process 100 (codex), send: ${length} bytes` },
      ]);
    }
  });

  test('its example names the program of the process, as it runs it by then', () => {
    const exec = execEvent(ms(5), { pid: 100, execPath: '/usr/bin/psql' });
    const running: EvidenceEvent = { ...exec, kind: 'running', execPath: '/usr/bin/ssh' };
    const examples = (...before: EvidenceEvent[]) =>
      interpret([captureStart(ms(1)), ...before, ...talk(new Wire(), ['>', '\x10\x2a'])]).result.anomalies;
    const named = (program: string) => [
      { kind: 'not-http', count: 1, example: `connection 1 of process 100 (${program}), send: 2 bytes` },
    ];
    expect(examples(running)).toEqual(named('ssh'));
    expect(examples(running, exec)).toEqual(named('psql'));
  });

  test('so is one whose records are seen in each direction for itself', () => {
    const records = new Records(1, 'send').content('\x10\x2a', ms(10));
    expect(interpret(capture(...records)).result.anomalies).toMatchObject([{ kind: 'not-http', count: 1 }]);
    expect(interpret([captureStart(ms(1)), ...records]).result.anomalies).toMatchObject([
      { kind: 'not-http', count: 1 },
    ]);
  });

  test('a request through the tunnel of a proxy is told', () => {
    const { told, result } = interpretOne(
      capture(
        ...talk(
          new Wire(),
          ['>', 'CONNECT api:80 HTTP/1.1\r\nhost: api:80\r\n\r\n'],
          ['<', 'HTTP/1.1 200 OK\r\n\r\n'],
          ['>', request()],
          ['<', response(created(), done(answer('ok')), completed())],
        ),
      ),
    );
    expect(told.all('inference_completed')).toHaveLength(1);
    expect(result.anomalies).toEqual([]);
  });

  test('the rest of a message without lines costs no message that follows', () => {
    const { told, result } = interpretOne(
      capture(
        ...talk(
          new Wire(),
          ['>', '"input":[]}'],
          ['<', '"id":1}'],
          ['>', request()],
          ['<', response(created(), done(answer('ok')), completed())],
        ),
      ),
    );
    expect(told.all('inference_completed')).toHaveLength(1);
    expect(result.anomalies).toEqual([
      { kind: 'framing-lost', count: 2, example: 'connection 1 of process 100, send: malformed' },
    ]);
  });

  test('a connection that the process itself serves is no request of an agent, in whatever pieces it comes', () => {
    const heads = ['GET /v1/models HTTP/1.1\r\nhost: here\r\n\r\n', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'];
    for (const head of heads) {
      for (let at = 0; at < head.length; at++) {
        const wire = new Wire();
        const pieces = [head.slice(0, at), head.slice(at)].filter((piece) => piece !== '');
        const received = pieces.flatMap((piece, index) => wire.piece('receive', piece, ms(10 + index)));
        const sent = wire.piece('send', jsonResponse(200, {}), ms(20));
        const { result, bundles } = interpret(capture(...received, ...sent));
        expect(bundles).toEqual([]);
        expect(result.exchanges).toEqual([]);
        expect(result.anomalies).toEqual([
          { kind: 'served-connection', count: 1, example: 'connection 1 of process 100' },
        ]);
      }
    }
  });

  test('a server that speaks first, or is cut short, serves nothing', () => {
    for (const said of ['HTTP/1.1 408 Timeout\r\n\r\n', 'GET /v1', 'hello\r\n']) {
      const { result } = interpret(capture(...new Wire().piece('receive', said, ms(10))));
      expect(result.anomalies.map(({ kind }) => kind)).not.toContain('served-connection');
    }
  });

  test('items that the reference refuses stand beside the others', () => {
    const strange = { type: 'computer_call', id: 'cu_1' };
    const input = [userMessage('hi'), { type: 'item_reference', id: 'x' }];
    const { told, result } = interpretOne(
      capture(...talk(new Wire(), ['>', request({ input })], ['<', response(done(strange), completed())])),
    );
    expect(told.payload(told.the('inference_started').request_payload)).toMatchObject({
      input: [userMessage('hi')],
      unsupported_items: [{ type: 'item_reference', id: 'x' }],
    });
    expect(told.payload(told.the('inference_completed').response_payload)).toMatchObject({
      output_items: [],
      unsupported_items: [strange],
    });
    expect(result.anomalies).toEqual([{ kind: 'unsupported-item', count: 2, example: 'item_reference' }]);
  });

  const code = { type: 'custom_tool_call', id: 'ctc_1', call_id: 'call_1', name: 'exec', input: 'text(1)' };
  const local = { type: 'local_shell_call', id: 'lsh_1', call_id: 'call_1', status: 'completed' };
  const thought = { type: 'reasoning', id: 'rs_1', summary: [{ type: 'summary_text', text: 'well' }] };
  test.each([
    ['a call that becomes one of another tool', code, { ...code, name: 'shell' }],
    ['a call that asks for something else', toolCall('call_1'), toolCall('call_1', '{"cmd":"false"}')],
    ['a call that is kept as it is, and changes', local, { ...local, status: 'in_progress' }],
    ['two kinds of call with one id', toolCall('call_1'), local],
    ['a call without arguments', { ...toolCall('call_1'), arguments: undefined }],
    ['a call without input', code, { ...code, input: undefined }],
    ['a thought of another kind', { ...thought, summary: [{ type: 'text', text: 'well' }] }],
    ['a message of an agent without an author', { type: 'agent_message', id: 'am_1', content: [] }],
  ])('%s is set aside, and the reference takes the bundle', async (_, ...items) => {
    const input = [userMessage('hi'), ...items];
    const pieces = items.flatMap((item, index): ['>' | '<', string][] => [
      ['>', request({ input, inferenceCallId: `call-${index}` })],
      ['<', response(done(item), completed(`resp_${index}`))],
    ]);
    const { told, result } = interpretOne(capture(...talk(new Wire(), ...pieces)));
    expect(result.anomalies.map(({ kind }) => kind)).toContain('unsupported-item');
    expect((await reduceBundle(told.dir, { strict: true })).anomalies).toEqual([]);
  });

  test('half a character, as programs in JavaScript send it, keeps no reader from the bundle', async () => {
    const input = [userMessage('cut \ud83d, said \\ud83d'), toolOutput('call_0', 'cut \udca9')];
    const call = toolCall('call_1', '{"cmd":"echo \ud83d"}');
    const { told } = interpretOne(
      capture(...talk(new Wire(), ['>', request({ input })], ['<', response(done(call), completed())])),
    );
    expect(told.payload(told.the('inference_started').request_payload)).toMatchObject({
      input: [userMessage('cut \ufffd, said \\ud83d'), toolOutput('call_0', 'cut \ufffd')],
    });
    expect((await reduceBundle(told.dir, { strict: true })).anomalies).toEqual([]);
  });
});

test('a thread that another process resumes goes on', () => {
  const { told } = interpretOne(evidenceOf(wireRecording('resume')));
  const order = types(told.events).filter((type) => /thread_|rollout_|turn_started/.test(type));
  expect(order).toEqual([
    'rollout_started',
    'thread_started',
    'codex_turn_started',
    'thread_ended',
    'thread_resumed',
    'codex_turn_started',
    'thread_ended',
    'thread_resumed',
    'codex_turn_started',
    'thread_ended',
    'rollout_ended',
  ]);
});

test('any damage to the evidence: nothing throws, and each bundle stays in one piece', () => {
  const recording = wireRecording('stream-cut');
  const events = evidenceOf(recording, 2000);
  const damage = fc.record({
    drop: fc.array(fc.nat(events.length - 1), { maxLength: 3 }),
    flip: fc.array(fc.tuple(fc.nat(events.length - 1), fc.nat(1999), fc.integer({ min: 1, max: 255 })), {
      maxLength: 5,
    }),
    cut: fc.nat(events.length),
  });
  fc.assert(
    fc.property(damage, ({ drop, flip, cut }) => {
      const damaged = events
        .map((event, index) => {
          if (event.kind !== 'tls') return event;
          const data = Uint8Array.from(event.data);
          for (const [at, place, bits] of flip) {
            if (at === index && place < data.length) data[place] = (data[place] ?? 0) ^ bits;
          }
          return { ...event, data };
        })
        .filter((_, index) => !drop.includes(index) && index < cut);
      for (const told of interpret(damaged).bundles) {
        expect(told.events.map(({ seq }) => seq)).toEqual(told.events.map((_, index) => index + 1));
      }
    }),
    { numRuns: 150 },
  );
});
