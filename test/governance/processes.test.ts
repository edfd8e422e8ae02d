import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { Processes } from '../../src/governance/processes.js';
import { type KnownCall, loadRuns, ToolCalls } from '../../src/governance/tool-calls.js';
import { exec, exit, fileIo, fork } from './events.js';

const thread = 'thread-1';
const ids = { CODEX_THREAD_ID: thread, CODEX_TOOL_CALL_ID: 'call_1' };
const causeAt = (processes: Processes, pid: number) => processes.causeOf(fileIo({ at: 0, pid }));

test('a process names its tool call itself; who it forks has it by ancestry, who it starts by its environment', () => {
  const processes = new Processes(new ToolCalls([]));
  processes.push(fork(20, 10));
  processes.push(exec(20, ['bash'], ids));
  processes.push(fork(21, 20));
  expect(causeAt(processes, 10)).toEqual({ threadId: null, callId: null, by: null });
  expect(causeAt(processes, 20)).toEqual({ threadId: thread, callId: 'call_1', by: 'environment' });
  expect(causeAt(processes, 21)).toEqual({ threadId: thread, callId: 'call_1', by: 'ancestry' });
  processes.push(exec(21, ['ls'], ids));
  expect(causeAt(processes, 21).by).toBe('environment');
  // `env -i` takes the variables away, not the descent.
  processes.push(fork(22, 21));
  processes.push(exec(22, ['env'], {}));
  expect(causeAt(processes, 22)).toEqual({ threadId: thread, callId: 'call_1', by: 'ancestry' });
});

test('a pid that comes again inherits nothing', () => {
  const processes = new Processes(new ToolCalls([]));
  processes.push(exec(20, ['bash'], ids));
  processes.push(exit(20));
  expect(causeAt(processes, 20).callId).toBeNull();
  processes.push(exec(20, ['bash'], ids));
  // The end of the first one was lost.
  processes.push(fork(20, 10));
  expect(causeAt(processes, 20).callId).toBeNull();
});

test('a fork runs what its parent runs, an exit tells what the process ran last', () => {
  const processes = new Processes(new ToolCalls([]));
  processes.push(exec(20, ['bash', '-c', 'a']));
  expect(processes.push(fork(21, 20))).toMatchObject({ argv: ['bash', '-c', 'a'], parentPid: 20 });
  processes.push(exec(21, ['true', 'x']));
  expect(processes.push(exit(21))).toMatchObject({ argv: ['true', 'x'], execPath: 'true' });
});

test('the file that an agent keeps of a thread names the thread', () => {
  const processes = new Processes(new ToolCalls([]));
  const id = '01a1f9d6-92e4-7973-a996-dcb18dde5e3e';
  const path = `/home/sessions/rollout-2026-11-20T16-42-31-${id}.jsonl`;
  expect(processes.causeOf(fileIo({ at: 0 }), path)).toEqual({ threadId: id, callId: null, by: null });
});

const bundle = fileURLToPath(new URL('../fixtures/demo/bundle', import.meta.url));

/** The tool call of a real run, and what is known of it. */
async function demoCall(): Promise<{ calls: ToolCalls; call: KnownCall; at: number }> {
  const calls = new ToolCalls(await loadRuns(bundle));
  const [call] = calls.all;
  if (call === undefined) throw new Error('the demo has a tool call');
  return { calls, call, at: Number(call.startNs / 1000n) + 1 };
}

test('a process that names its thread alone belongs to the call that asked for its command, or ran alone then', async () => {
  const { calls, call, at } = await demoCall();
  expect(call).toMatchObject({
    id: 'call_mock_1',
    tool: 'exec_command',
    request: 'wc -w notes.md && id -un',
  });
  const environment = { CODEX_THREAD_ID: call.threadId };
  const processes = new Processes(calls);
  const ours = { threadId: call.threadId, callId: call.id };
  processes.push(exec(20, ['bash', '-c', 'a wrapper'], environment, at));
  expect(causeAt(processes, 20)).toEqual({ ...ours, by: 'time' });
  processes.push(exec(20, ['/bin/bash', '-lc', call.request], environment, at));
  expect(causeAt(processes, 20)).toEqual({ ...ours, by: 'command' });
  const loader = `__CODEX_SNAPSHOT_X=1\n\nexec '/bin/bash' -c '${call.request}'`;
  processes.push(exec(22, ['/bin/bash', '-c', loader], environment, at));
  expect(causeAt(processes, 22)).toEqual({ ...ours, by: 'command' });
  processes.push(fork(21, 20));
  processes.push(exec(21, ['wc', '-w', 'notes.md'], environment, at));
  expect(causeAt(processes, 21)).toEqual({ ...ours, by: 'ancestry' });

  processes.push(exec(30, ['bash'], environment, at - 3_600_000_000));
  expect(causeAt(processes, 30)).toEqual({ threadId: call.threadId, callId: null, by: null });
  processes.push(exec(31, ['bash'], { CODEX_THREAD_ID: 'another' }, at));
  expect(causeAt(processes, 31)).toEqual({ threadId: 'another', callId: null, by: null });
});
