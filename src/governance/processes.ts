// The processes of a capture while its events go by: what each runs, who started it, and which tool call it belongs
// to. A pid that comes again is a new process.

import type {
  EventBase,
  EvidenceEvent,
  ExecEvent,
  ExitEvent,
  ForkEvent,
  RunningEvent,
} from '../evidence/event.js';
import type { ToolCalls } from './tool-calls.js';

/**
 * How the tool call of an event was found. `environment`: CODEX_TOOL_CALL_ID stood in the environment of what the process
 * runs. Inferred: `ancestry` from the process that started it, `command` because the call asked for just this command,
 * `time` because no other call of the thread was running, `path` because the call named the file.
 */
type Attribution = 'environment' | 'ancestry' | 'command' | 'time' | 'path';

export interface Cause {
  threadId: string | null;
  callId: string | null;
  by: Attribution | null;
}

export interface Process {
  pid: number;
  parentPid: number;
  argv: readonly string[];
  execPath: string;
  cwd: string | undefined;
  cause: Cause;
}

const rolloutThread = /\/rollout-[^/]*-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.jsonl$/;
const unknownCause: Cause = { threadId: null, callId: null, by: null };

export class Processes {
  readonly #calls: ToolCalls;
  readonly #running = new Map<number, Process>();

  constructor(calls: ToolCalls) {
    this.#calls = calls;
  }

  /** Takes part in the life of processes; the process that the event is about, before an exit forgets it. */
  push(event: ForkEvent | ExecEvent | ExitEvent): Process {
    switch (event.kind) {
      case 'fork':
        return this.#fork(event);
      case 'exec':
        return this.#exec(event);
      case 'exit': {
        const process = this.of(event.pid);
        this.#running.delete(event.pid);
        return { ...process, parentPid: event.parentPid, cwd: event.cwd ?? process.cwd };
      }
    }
  }

  of(pid: number): Process {
    const known = this.#running.get(pid);
    if (known !== undefined) return known;
    const process = { pid, parentPid: 0, argv: [], execPath: '', cwd: undefined, cause: unknownCause };
    this.#running.set(pid, process);
    return process;
  }

  /** The tool call behind an event that is about a file, or about none. */
  causeOf(event: EventBase, path?: string): Cause {
    const { cause } = this.of(event.pid);
    if (cause.callId !== null || path === undefined) return cause;
    // The agent itself does it, as it does with patches and with the file that it keeps of a thread.
    const call = this.#calls.ofPath(event.timeNs, path);
    if (call !== undefined) return { threadId: call.threadId, callId: call.id, by: 'path' };
    const threadId = rolloutThread.exec(path)?.[1];
    return threadId === undefined ? cause : { ...cause, threadId };
  }

  #fork(event: ForkEvent): Process {
    const parent = this.of(event.parentPid);
    const { threadId, callId } = parent.cause;
    const process: Process = {
      pid: event.pid,
      parentPid: event.parentPid,
      argv: parent.argv,
      execPath: parent.execPath,
      cwd: event.cwd ?? parent.cwd,
      cause: { threadId, callId, by: callId === null ? null : 'ancestry' },
    };
    this.#running.set(event.pid, process);
    return process;
  }

  /** A process that ran when the capture began. */
  met(event: RunningEvent): void {
    if (!this.#running.has(event.pid)) this.#exec(event);
  }

  #exec(event: ExecEvent | RunningEvent): Process {
    const before = this.of(event.pid);
    const process: Process = {
      pid: event.pid,
      parentPid: event.parentPid,
      argv: event.argv,
      execPath: event.execPath,
      cwd: event.cwd ?? before.cwd,
      cause: this.#causeOfExec(event, before.cause),
    };
    this.#running.set(event.pid, process);
    return process;
  }

  #causeOfExec(event: ExecEvent | RunningEvent, before: Cause): Cause {
    const { CODEX_THREAD_ID: threadId, CODEX_TOOL_CALL_ID: callId } = event.environment;
    if (threadId !== undefined && callId !== undefined) return { threadId, callId, by: 'environment' };
    if (threadId === undefined) return before;
    const found = this.#calls.ofProcess(threadId, event.timeNs, event.argv);
    // A wrapper goes first, and becomes the command that was asked for.
    if (before.callId !== null && (before.callId !== found?.call.id || found.by === 'time')) return before;
    return { threadId, callId: found?.call.id ?? null, by: found?.by ?? null };
  }
}

export function isLifecycle(event: EvidenceEvent): event is ForkEvent | ExecEvent | ExitEvent {
  return event.kind === 'fork' || event.kind === 'exec' || event.kind === 'exit';
}
