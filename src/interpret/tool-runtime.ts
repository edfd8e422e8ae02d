// The process behind a command that the model asked for, in the shape of the runtime events of Codex. What
// the kernel saw (argv, times, exit) is exact; what it did not see comes from the model's side and is marked.

import { resolve } from 'node:path/posix';
import { parseObject, stringAt } from './json.js';
import type { Rollout } from './rollout.js';
import { later, toMs } from './time.js';
import { commandOutput, type RequestedTool, type ToolOutput } from './tool-call.js';

/** A tool call from the model's request to the output sent back. */
export interface ToolRun {
  tool: RequestedTool;
  turnId: string;
  startedNs: bigint;
  endedNs: bigint | undefined;
  output: ToolOutput | undefined;
}

const NS_PER_S = 1_000_000_000n;
/** The exit code that shells give to a command that a signal ended. */
const SIGNAL_BASE = 128;

/**
 * Adds tool_call_runtime_started and, when the process has ended, tool_call_runtime_ended for a command whose
 * process was seen. The reference needs a working directory: without one in the conversation there is nothing
 * to add. `pid` and `signal` are fields of our own.
 */
export function writeToolRuntime(
  rollout: Rollout,
  threadId: string,
  run: ToolRun,
  threadCwd: string | undefined,
): void {
  const { callId, kind, invocation } = run.tool;
  if (kind.type !== 'exec_command') return;
  const process = rollout.shared.processes.tool(threadId, callId);
  const cwd = workdir(stringAt(invocation.payload, 'arguments'), threadCwd);
  if (process === undefined || cwd === undefined) return;
  const startedNs = later(process.startedNs, run.startedNs);
  const command = { call_id: callId, pid: process.pid, turn_id: run.turnId, command: process.argv, cwd };
  rollout.event(
    startedNs,
    {
      type: 'tool_call_runtime_started',
      tool_call_id: callId,
      kind,
      runtime_payload: rollout.payload('tool_runtime_event', { ...command, started_at_ms: toMs(startedNs) }),
    },
    threadId,
    run.turnId,
  );
  const { exit } = process;
  if (exit === undefined) return;
  const endedNs = later(exit.timeNs, startedNs);
  const durationNs = endedNs - startedNs;
  const exitCode = exit.exitCode ?? SIGNAL_BASE + (exit.signal ?? 0);
  const status = exitCode === 0 ? 'completed' : 'failed';
  const output = commandOutput(run.output?.text);
  rollout.event(
    endedNs,
    {
      type: 'tool_call_runtime_ended',
      tool_call_id: callId,
      status,
      runtime_payload: rollout.payload('tool_runtime_event', {
        ...command,
        completed_at_ms: toMs(endedNs),
        ...(output === undefined ? {} : { aggregated_output: output, output_as_shown_to_model: true }),
        exit_code: exitCode,
        ...(exit.signal === undefined ? {} : { signal: exit.signal }),
        duration: { secs: Number(durationNs / NS_PER_S), nanos: Number(durationNs % NS_PER_S) },
        status,
      }),
    },
    threadId,
    run.turnId,
  );
}

function workdir(args: string | undefined, threadCwd: string | undefined): string | undefined {
  const asked = stringAt(parseObject(args ?? ''), 'workdir');
  if (asked === undefined) return threadCwd;
  if (asked.startsWith('/')) return asked;
  return threadCwd === undefined ? undefined : resolve(threadCwd, asked);
}
