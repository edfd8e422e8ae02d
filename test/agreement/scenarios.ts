// The runs that are compared: what the scripted model asks of Codex in each. Owns no expectation: what Codex's own
// tracer says of the same run is what is expected.

import type { Settings } from '../support/codex-run.js';
import { type Answer, type Ask, inTurn, message, reasoning } from './ask.js';

export type Transport = 'HTTP, OpenSSL' | 'HTTP, rustls' | 'HTTP/2, rustls' | 'WebSocket, rustls';

/** A process of Codex: `exec` a prompt, go on with the last thread, fork the first one, or review the repository. */
export type Process = ['exec' | 'resume' | 'fork', string] | ['review'];

export interface Scenario {
  name: string;
  settings?: Settings;
  /** One `exec` by default. */
  processes?: Process[];
  /** All processes in one capture; each has its own otherwise. */
  oneCapture?: boolean;
  /** What is asked of an app server, in place of processes. */
  appServer?: (server: AppServer) => Promise<void>;
  attachesImage?: boolean;
  inRepository?: boolean;
  mcpServer?: boolean;
  answer: (ask: Ask) => Answer | Promise<Answer>;
  /** Where the scenario cannot happen. */
  not?: Transport[];
}

export interface AppServer {
  start(): Promise<string>;
  /** Until the turn has ended. */
  turn(threadId: string, text: string): Promise<void>;
  /** Interrupted once the model has begun to answer. */
  interruptedTurn(threadId: string, text: string): Promise<void>;
  compact(threadId: string): Promise<void>;
  unload(threadId: string): Promise<void>;
  resume(threadId: string): Promise<void>;
}

const CODE: Settings = { model: 'gpt-6-sol' };
const AGENTS: Settings = { features: { multi_agent_v2: true } };

const done = (ask: Ask): Answer => [ask.say('Done.', 'final_answer')];
const run =
  (callId: string, cmd: string, more: object = {}) =>
  (ask: Ask) => [ask.call(callId, 'exec_command', { cmd, ...more })];

const sessionOf = (output: string | undefined): number =>
  Number(/session ID (\d+)/.exec(output ?? '')?.[1] ?? 0);
const cellOf = (output: string | undefined): string => /cell ID (\w+)/.exec(output ?? '')?.[1] ?? '1';

const patch = (...lines: string[]): string => ['*** Begin Patch', ...lines, '*** End Patch'].join('\n');

/** A picture of one pixel. */
export const PIXEL =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

export const scenarios: Scenario[] = [
  { name: 'plain', answer: done },
  { name: 'exec', answer: inTurn(run('call_list', 'echo hello && ls -la / | head -3'), done) },
  { name: 'exec-fail', answer: inTurn(run('call_fail', 'echo oops >&2; exit 3'), done) },
  {
    name: 'parallel',
    answer: inTurn(
      (ask) =>
        ['a', 'b', 'c', 'd'].map((name, index) =>
          ask.call(`call_${name}`, 'exec_command', { cmd: `sleep 0.${4 - index}; echo ${name}` }),
        ),
      done,
    ),
  },
  {
    name: 'apply-patch',
    answer: inTurn(
      (ask) => [ask.call('call_add', 'apply_patch', patch('*** Add File: a.txt', '+one', '+two'))],
      (ask) => [
        ask.call('call_edit', 'apply_patch', patch('*** Update File: a.txt', '@@', ' one', '-two', '+three')),
      ],
      (ask) => [ask.call('call_bad', 'apply_patch', patch('*** Update File: b.txt', '@@', '-x', '+y'))],
      run('call_shell', `apply_patch <<'E'\n${patch('*** Add File: c.txt', '+x')}\nE\ncat a.txt`),
      done,
    ),
  },
  {
    name: 'reasoning',
    answer: inTurn(
      (ask) => [
        reasoning('rs_1', { summary: ['**Planning**', 'second'], text: ['raw thought'], sealed: 'c2VhbGVk' }),
        message('msg_look', 'Let me look.', 'commentary'),
        ask.call('call_pwd', 'exec_command', { cmd: 'pwd' }),
      ],
      (ask) => [
        reasoning('rs_2', { sealed: 'c2VhbGVkMg==' }),
        reasoning('rs_3', { summary: ['only a summary'] }),
        ask.say('Answer.', 'final_answer'),
      ],
    ),
  },
  {
    name: 'tool-errors',
    answer: inTurn(
      (ask) => [ask.call('call_unknown', 'no_such_tool', { a: 1 })],
      (ask) => [ask.call('call_arguments', 'exec_command', '{not json')],
      (ask) => [ask.call('call_session', 'write_stdin', { session_id: 424242, chars: 'x' })],
      (ask) => [ask.call('call_image', 'view_image', { path: 'none.png' })],
      () => [
        {
          type: 'custom_tool_call',
          id: 'ctc_x',
          call_id: 'call_custom',
          name: 'no_such_custom',
          input: 'text',
        },
      ],
      done,
    ),
  },
  {
    name: 'stdin',
    answer: inTurn(
      run('call_loop', 'echo ready; while read l; do echo got:$l; [ "$l" = quit ] && exit 7; done', {
        tty: true,
        yield_time_ms: 500,
      }),
      (ask) => write(ask, 'call_write', 'abc\n', 500),
      (ask) => write(ask, 'call_quit', 'quit\n', 1500),
      (ask) => write(ask, 'call_late', 'late\n', 500),
      done,
    ),
  },
  {
    name: 'http-401',
    answer: () => ({ refusal: { status: 401, body: { error: { message: 'bad key' } } } }),
    not: ['WebSocket, rustls'],
  },
  {
    name: 'response-failed',
    settings: { streamRetries: 2 },
    answer: inTurn(
      () => ({ unfinished: 'partial ', failure: { code: 'server_error', message: 'it broke' } }),
      done,
    ),
  },
  {
    name: 'stream-cut',
    settings: { streamRetries: 2 },
    answer: inTurn(
      (ask) => ({
        output: [message('msg_cut', 'cut off'), ask.call('call_cut', 'exec_command', { cmd: 'echo cut' })],
        cut: true,
      }),
      done,
    ),
  },
  {
    name: 'incomplete',
    answer: () => ({ output: [message('msg_half', 'half of it')], incomplete: 'max_output_tokens' }),
    // There Codex asks five times more, and waits longer each time.
    not: ['WebSocket, rustls'],
  },
  {
    name: 'sigint',
    answer: inTurn(run('call_before', 'echo before'), (ask) => ({
      unfinished: 'hanging...',
      stall: true,
      sent: () => setTimeout(() => ask.kill('SIGINT'), 700),
    })),
  },
  {
    name: 'sigkill-stream',
    answer: inTurn(run('call_before', 'echo before'), (ask) => ({
      output: [message('msg_kept', 'kept', 'commentary')],
      unfinished: 'hanging...',
      stall: true,
      sent: () => setTimeout(() => ask.kill('SIGKILL'), 700),
    })),
  },
  {
    name: 'sigkill-tool',
    answer: inTurn((ask) => {
      setTimeout(() => ask.kill('SIGKILL'), 2000);
      return [ask.call('call_long', 'exec_command', { cmd: 'sleep 3', yield_time_ms: 20_000 })];
    }, done),
  },
  {
    name: 'images',
    attachesImage: true,
    answer: inTurn(
      (ask) => [ask.call('call_view', 'view_image', { path: 'pixel.png' })],
      (ask) => [
        {
          type: 'web_search_call',
          id: 'ws_1',
          status: 'completed',
          action: { type: 'search', query: 'pixels' },
        },
        {
          type: 'image_generation_call',
          id: 'ig_1',
          status: 'completed',
          revised_prompt: 'a dot',
          result: PIXEL,
        },
        ask.call('call_after', 'exec_command', { cmd: 'echo after' }),
      ],
      done,
    ),
  },
  {
    name: 'mcp',
    mcpServer: true,
    answer: inTurn(
      () => [
        {
          type: 'tool_search_call',
          id: 'tsc_1',
          call_id: 'call_search',
          status: 'completed',
          execution: 'client',
          arguments: { query: 'sums add numbers', limit: 5 },
        },
      ],
      (ask) => [ask.call('call_add', 'add', { a: 2, b: 3 })],
      (ask) => [ask.call('call_refuse', 'refuse', { why: 'test' })],
      done,
    ),
  },
  {
    name: 'code',
    settings: CODE,
    answer: inTurn(
      (ask) => [
        ask.call(
          'call_cell_1',
          'exec',
          `const r = await tools.exec_command({cmd: "echo nested"});
text(r.output);
await tools.apply_patch(${JSON.stringify(patch('*** Add File: js.txt', '+from js'))});
const [a, b] = await Promise.all([tools.exec_command({cmd: "echo A"}), tools.exec_command({cmd: "echo B; exit 2"})]);
text({a: a.exit_code, b: b.exit_code});
store("k", 42);
`,
        ),
      ],
      (ask) => [
        ask.call('call_cell_2', 'exec', '// @exec: {"yield_time_ms": 5000}\ntext("k=" + load("k"));'),
      ],
      done,
    ),
  },
  {
    name: 'code-yield',
    settings: CODE,
    answer: inTurn(
      (ask) => [
        ask.call(
          'call_slow',
          'exec',
          'text("start"); yield_control(); const r = await tools.exec_command({cmd: "sleep 2; echo slow"}); text(r.output);',
        ),
      ],
      (ask) => [waitFor(ask, 'call_wait_1', ask.outputs.call_slow, { yield_time_ms: 300 })],
      (ask) => [waitFor(ask, 'call_wait_2', ask.outputs.call_wait_1, { yield_time_ms: 8000 })],
      (ask) => [
        ask.call(
          'call_loop',
          'exec',
          '// @exec: {"yield_time_ms": 300}\ntext("loop"); await new Promise((r) => setTimeout(r, 600000));',
        ),
      ],
      (ask) => [waitFor(ask, 'call_stop', ask.outputs.call_loop, { terminate: true })],
      (ask) => [ask.call('call_missing', 'wait', { cell_id: 'missing-9', yield_time_ms: 300 })],
      done,
    ),
  },
  {
    name: 'code-errors',
    settings: CODE,
    answer: inTurn(
      (ask) => [ask.call('call_throw', 'exec', 'text("a"); throw new Error("boom");')],
      (ask) => [ask.call('call_syntax', 'exec', 'this is not js (')],
      (ask) => [ask.call('call_pragma', 'exec', '// @exec: {bad json}\ntext("x")')],
      (ask) => [ask.call('call_exit', 'exec', 'text("before"); exit(); text("after");')],
      (ask) => [ask.call('call_nope', 'exec', 'await tools.nope({});')],
      (ask) => [ask.call('call_empty', 'exec', '')],
      done,
    ),
  },
  {
    name: 'code-two-cells',
    settings: CODE,
    answer: inTurn(
      (ask) => [
        ask.call(
          'call_first',
          'exec',
          'yield_control(); const r = await tools.exec_command({cmd: "sleep 1; echo one"}); text(r.output);',
        ),
        ask.call(
          'call_second',
          'exec',
          'const r = await tools.exec_command({cmd: "sleep 0.3; echo two"}); text(r.output);',
        ),
      ],
      (ask) => [waitFor(ask, 'call_wait', ask.outputs.call_first, { yield_time_ms: 8000 })],
      done,
    ),
  },
  {
    name: 'code-mcp',
    settings: CODE,
    mcpServer: true,
    answer: inTurn(
      (ask) => [
        ask.call(
          'call_cell',
          'exec',
          'const r = await tools.mcp__sums__add({a: 1, b: 2}); text(r.content[0].text);',
        ),
      ],
      done,
    ),
  },
  {
    name: 'code-kill',
    settings: CODE,
    answer: inTurn((ask) => {
      setTimeout(() => ask.kill('SIGKILL'), 2500);
      return [
        ask.call(
          'call_cell',
          'exec',
          'const r = await tools.exec_command({cmd: "sleep 3"}); text(r.output);',
        ),
      ];
    }, done),
  },
  {
    name: 'agents',
    settings: AGENTS,
    answer: (ask) => {
      const { thread, nth } = ask;
      if (thread > 0) {
        return nth === 0
          ? { delayMs: 600, output: run(`call_child_${thread}`, `echo child ${thread}`)(ask) }
          : { delayMs: 200, output: [ask.say(`Child ${thread}, answer ${nth}.`, 'final_answer')] };
      }
      return inTurn(
        () => [
          ask.call('call_alpha', 'spawn_agent', {
            task_name: 'alpha',
            message: 'Do alpha work.',
            fork_turns: 'none',
          }),
          ask.call('call_beta', 'spawn_agent', { task_name: 'beta', message: 'Do beta work.' }),
        ],
        () => [ask.call('call_tell', 'send_message', { target: 'alpha', message: 'One thing more.' })],
        () => [ask.call('call_wait', 'wait_agent', { timeout_ms: 10_000 })],
        () => [ask.call('call_list', 'list_agents', {})],
        () => [ask.call('call_again', 'followup_task', { target: 'alpha', message: 'Second task.' })],
        () => [ask.call('call_wait_2', 'wait_agent', { timeout_ms: 10_000 })],
        () => [ask.call('call_interrupt', 'interrupt_agent', { target: 'beta' })],
        () => [ask.call('call_nobody', 'send_message', { target: 'nobody', message: 'Hello?' })],
        done,
      )(ask);
    },
  },
  {
    name: 'agents-code',
    settings: { ...CODE, ...AGENTS },
    answer: (ask) => {
      if (ask.thread > 0) {
        const cell = 'const r = await tools.exec_command({cmd: "echo child"}); text(r.output);';
        return ask.nth === 0
          ? { delayMs: 300, output: [ask.call('call_child', 'exec', cell)] }
          : [ask.say('Child done.', 'final_answer')];
      }
      return inTurn(
        () => [ask.call('call_gamma', 'spawn_agent', { task_name: 'gamma', message: 'Do gamma.' })],
        () => [ask.call('call_wait', 'wait_agent', { timeout_ms: 15_000 })],
        done,
      )(ask);
    },
  },
  {
    name: 'agents-v1',
    settings: { model: 'gpt-5.1-codex', features: { multi_agent: true } },
    answer: (ask) => {
      if (ask.thread > 0) return { delayMs: 300, output: [ask.say('First child done.')] };
      const id = /agent_id[\\]*":\s*[\\]*"([^"\\]+)/.exec(ask.outputs.call_spawn ?? '')?.[1] ?? 'none';
      return inTurn(
        () => [ask.call('call_spawn', 'spawn_agent', { message: 'Child, please work.' })],
        () => [ask.call('call_wait', 'wait_agent', { targets: [id], timeout_ms: 10_000 })],
        () => [ask.call('call_more', 'send_input', { target: id, message: 'More.' })],
        () => [ask.call('call_wait_2', 'wait_agent', { targets: [id], timeout_ms: 10_000 })],
        () => [ask.call('call_close', 'close_agent', { target: id })],
        done,
      )(ask);
    },
  },
  {
    name: 'agents-fail',
    settings: AGENTS,
    answer: (ask) => {
      if (ask.thread > 0) {
        return JSON.stringify(ask.body.input).includes('Hang.')
          ? { unfinished: '...', stall: true }
          : { delayMs: 400, failure: { code: 'invalid_prompt', message: 'child refused' } };
      }
      const spawn = (callId: string, task_name: string, message: string) =>
        ask.call(callId, 'spawn_agent', { task_name, message, fork_turns: 'none' });
      return inTurn(
        () => [spawn('call_fail', 'failer', 'Fail.'), spawn('call_hang', 'hanger', 'Hang.')],
        () => [ask.call('call_wait', 'wait_agent', { timeout_ms: 10_000 })],
        () => [ask.call('call_interrupt', 'interrupt_agent', { target: 'hanger' })],
        () => [ask.call('call_list', 'list_agents', {})],
        done,
      )(ask);
    },
  },
  {
    name: 'compact-auto',
    settings: { top: 'model_auto_compact_token_limit = 60000' },
    answer: (ask) => {
      if (ask.isCompaction) return compacted(ask);
      const step = (callId: string, input: number) => ({
        output: run(callId, `echo ${callId}`)(ask),
        usage: { input, output: 50 },
      });
      return inTurn(
        () => step('call_one', 1000),
        () => step('call_two', 70_000),
        () => step('call_three', 2000),
        done,
      )(ask);
    },
  },
  {
    name: 'app-server',
    appServer: async (server) => {
      const thread = await server.start();
      await server.turn(thread, 'use a tool');
      await server.interruptedTurn(thread, 'please hang');
      await server.turn(thread, 'third turn');
      await server.compact(thread);
      await server.turn(thread, 'after compaction');
    },
    answer: (ask) => {
      if (ask.isCompaction) return compacted(ask);
      if (/hang/.test(ask.prompt)) {
        const output = [message('msg_kept', 'before the interruption', 'commentary')];
        return { output, unfinished: '...', stall: true };
      }
      if (/tool/.test(ask.prompt) && ask.outputs.call_tool === undefined && ask.nth === 0) {
        return run('call_tool', 'echo app server')(ask);
      }
      return done(ask);
    },
  },
  {
    name: 'app-server-two',
    appServer: async (server) => {
      const [first, second] = [await server.start(), await server.start()];
      await Promise.all([server.turn(first, 'A1'), server.turn(second, 'B1')]);
      await server.turn(first, 'A2');
      await server.unload(second);
      await server.resume(second);
      await server.turn(second, 'B2');
    },
    answer: done,
  },
  {
    name: 'resume',
    processes: [
      ['exec', 'first'],
      ['resume', 'second'],
      ['resume', 'third'],
    ],
    answer: (ask) => (ask.nth === 0 ? run('call_first', 'echo first')(ask) : done(ask)),
  },
  {
    name: 'resume, one capture',
    processes: [
      ['exec', 'first'],
      ['resume', 'second'],
    ],
    oneCapture: true,
    answer: (ask) => (ask.nth === 0 ? run('call_first', 'echo first')(ask) : done(ask)),
  },
  {
    name: 'fork',
    processes: [
      ['exec', 'first'],
      ['fork', 'forked'],
    ],
    answer: done,
  },
  {
    name: 'review',
    inRepository: true,
    processes: [['review']],
    answer: (ask) => [ask.say(JSON.stringify({ findings: [], overall_correctness: 'patch is correct' }))],
  },
  {
    name: 'many-rounds',
    answer: (ask) =>
      ask.nth < 40
        ? [
            reasoning(`rs_${ask.nth}`, { summary: [`step ${ask.nth}`], sealed: 'c2VhbGVk' }),
            ...run(`call_round_${ask.nth}`, `echo round ${ask.nth}`)(ask),
          ]
        : done(ask),
  },
];

function write(ask: Ask, callId: string, chars: string, yield_time_ms: number): Answer {
  const session_id = sessionOf(ask.outputs.call_loop);
  return [ask.call(callId, 'write_stdin', { session_id, chars, yield_time_ms })];
}

function waitFor(ask: Ask, callId: string, output: string | undefined, args: object) {
  return ask.call(callId, 'wait', { cell_id: cellOf(output), ...args });
}

function compacted(ask: Ask): Answer {
  const last = Array.isArray(ask.body.input) ? ask.body.input.at(-1) : undefined;
  return last?.type === 'compaction_trigger'
    ? [{ type: 'compaction', id: 'cmp_1', encrypted_content: 'c3VtbWFyeQ==' }]
    : [message('msg_summary', 'What happened so far.')];
}
