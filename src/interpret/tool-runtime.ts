// The process behind a command that the model asked for, in the shape of the runtime events of Codex. What
// the kernel saw (argv, times, exit) is exact; what it did not see comes from the model's side and is marked.

import { resolve } from 'node:path/posix';
import type { CommandProcess } from './processes.js';
import { redactArguments } from './redact-arguments.js';
import type { Rollout } from './rollout.js';
import { later, toMs } from './time.js';

/** What the model's side knows of a command. */
export interface CommandRun {
  callId: string;
  turnId: string;
  startedNs: bigint;
  cwd: string;
  /** Codex's number for it, where the model was told. */
  sessionId: string | undefined;
  /** What it had written, as the model was shown it. */
  shown: string | undefined;
}

const NS_PER_S = 1_000_000_000n;
/** The exit code that shells, and Codex, give to a command that a signal ended. */
const SIGNAL_BASE = 128;

/**
 * Adds tool_call_runtime_started, and _ended when the end of the process was seen. `pid`, `signal`,
 * `output_as_shown_to_model` and `call_inferred` are fields of our own.
 */
export function writeCommandRuntime(
  rollout: Rollout,
  threadId: string,
  { callId, turnId, sessionId, cwd, shown, startedNs: askedNs }: CommandRun,
  process: CommandProcess,
): void {
  const startedNs = later(process.startedNs, askedNs);
  const command = {
    call_id: callId,
    // Every command has a number, but only of one that outlives its call is the model told it.
    process_id: sessionId ?? `pid-${process.pid}`,
    pid: process.pid,
    turn_id: turnId,
    command: redactArguments(process.argv, rollout.shared.redactor),
    cwd,
    ...(process.callId === undefined ? { call_inferred: true } : {}),
  };
  rollout.event(
    startedNs,
    {
      type: 'tool_call_runtime_started',
      tool_call_id: callId,
      kind: { type: 'exec_command' },
      runtime_payload: rollout.payload('tool_runtime_event', { ...command, started_at_ms: toMs(startedNs) }),
    },
    threadId,
    turnId,
    'after',
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
        ...(shown === undefined ? {} : { aggregated_output: shown, output_as_shown_to_model: true }),
        exit_code: exitCode,
        ...(exit.signal === undefined ? {} : { signal: exit.signal }),
        duration: { secs: Number(durationNs / NS_PER_S), nanos: Number(durationNs % NS_PER_S) },
        status,
      }),
    },
    threadId,
    turnId,
    'after',
  );
}

/** Where a command runs: the directory that the model asked for, else that of the thread. */
export function commandDirectory(
  workdir: string | undefined,
  threadCwd: string | undefined,
): string | undefined {
  if (workdir === undefined) return threadCwd;
  if (workdir.startsWith('/')) return workdir;
  return threadCwd === undefined ? undefined : resolve(threadCwd, workdir);
}
