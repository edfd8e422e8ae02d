// The process behind a command that the model asked for, in the shape of the runtime events of Codex. What
// the kernel saw (argv, times, exit) is exact; what it did not see comes from the model's side and is marked.

import { resolve } from 'node:path/posix';
import type { ToolCallKind } from '../trace/raw-event.js';
import { parseObject, stringAt } from './json.js';
import type { ToolProcess } from './processes.js';
import type { Rollout } from './rollout.js';
import { later, toMs } from './time.js';
import type { RequestedTool } from './tool-call.js';

/** A tool call from the model's request to the output sent back. */
export interface ToolRun {
  callId: string;
  kind: ToolCallKind;
  turnId: string;
  /** The directory that the model asked for. */
  workdir: string | undefined;
  startedNs: bigint;
  /** When its output was sent back. */
  endedNs: bigint | undefined;
  /** What the command had written, as the model was shown it. */
  shownOutput: string | undefined;
  isRuntimeWritten: boolean;
}

const NS_PER_S = 1_000_000_000n;
/** The exit code that shells, and Codex, give to a command that a signal ended. */
const SIGNAL_BASE = 128;

export function toolRun(tool: RequestedTool, turnId: string, startedNs: bigint): ToolRun {
  const args = parseObject(stringAt(tool.invocation.payload, 'arguments') ?? '');
  return {
    callId: tool.callId,
    kind: tool.kind,
    turnId,
    workdir: stringAt(args, 'workdir'),
    startedNs,
    endedNs: undefined,
    shownOutput: undefined,
    isRuntimeWritten: false,
  };
}

/**
 * Adds tool_call_runtime_started and _ended for a command whose process was seen to end. One that still runs,
 * or whose end is not in the evidence yet, is left to `finishToolRuntime`.
 *
 * The reference needs a working directory: without one in the conversation there is nothing to add. `pid` and
 * `signal` are fields of our own.
 */
export function writeToolRuntime(
  rollout: Rollout,
  threadId: string,
  run: ToolRun,
  threadCwd: string | undefined,
): void {
  const process = rollout.shared.processes.tool(threadId, run.callId);
  if (process?.exit !== undefined) write(rollout, threadId, run, process, threadCwd);
}

/** The same when no more evidence comes: of a process that still runs, only the start is told. */
export function finishToolRuntime(
  rollout: Rollout,
  threadId: string,
  run: ToolRun,
  threadCwd: string | undefined,
): void {
  const process = rollout.shared.processes.tool(threadId, run.callId);
  if (process !== undefined) write(rollout, threadId, run, process, threadCwd);
}

function write(
  rollout: Rollout,
  threadId: string,
  run: ToolRun,
  process: ToolProcess,
  threadCwd: string | undefined,
): void {
  const { callId, kind, turnId } = run;
  const cwd = workingDirectory(run, threadCwd);
  if (run.isRuntimeWritten || kind.type !== 'exec_command' || cwd === undefined) return;
  run.isRuntimeWritten = true;
  const startedNs = later(process.startedNs, run.startedNs);
  const command = { call_id: callId, pid: process.pid, turn_id: turnId, command: process.argv, cwd };
  rollout.event(
    startedNs,
    {
      type: 'tool_call_runtime_started',
      tool_call_id: callId,
      kind,
      runtime_payload: rollout.payload('tool_runtime_event', { ...command, started_at_ms: toMs(startedNs) }),
    },
    threadId,
    turnId,
  );
  const { exit } = process;
  if (exit === undefined) return;
  const endedNs = later(exit.timeNs, startedNs);
  const durationNs = endedNs - startedNs;
  const exitCode = exit.exitCode ?? SIGNAL_BASE + (exit.signal ?? 0);
  const status = exitCode === 0 ? 'completed' : 'failed';
  rollout.event(
    endedNs,
    {
      type: 'tool_call_runtime_ended',
      tool_call_id: callId,
      status,
      runtime_payload: rollout.payload('tool_runtime_event', {
        ...command,
        completed_at_ms: toMs(endedNs),
        ...(run.shownOutput === undefined
          ? {}
          : { aggregated_output: run.shownOutput, output_as_shown_to_model: true }),
        exit_code: exitCode,
        ...(exit.signal === undefined ? {} : { signal: exit.signal }),
        duration: { secs: Number(durationNs / NS_PER_S), nanos: Number(durationNs % NS_PER_S) },
        status,
      }),
    },
    threadId,
    turnId,
  );
  run.shownOutput = undefined;
}

function workingDirectory({ workdir }: ToolRun, threadCwd: string | undefined): string | undefined {
  if (workdir === undefined) return threadCwd;
  if (workdir.startsWith('/')) return workdir;
  return threadCwd === undefined ? undefined : resolve(threadCwd, workdir);
}
