// The processes that the kernel saw, as far as the story needs them: how each agent process ended, and which
// process ran a tool call. Codex names the call in the environment of the commands that it starts.

import type { ExecEvent, ExitEvent } from '../evidence/event.js';
import { askedCommand } from './asked-command.js';

export interface ProcessExit {
  timeNs: bigint;
  exitCode: number | undefined;
  signal: number | undefined;
}

/** The first process of a tool call: what Codex itself started, not what that started in turn. */
export interface ToolProcess {
  callId: string;
  pid: number;
  /** The command as Codex was asked for it. */
  argv: readonly string[];
  startedNs: bigint;
  exit: ProcessExit | undefined;
}

export class Processes {
  /** By thread and call. */
  readonly #tools = new Map<string, Map<string, ToolProcess>>();
  /** Tool processes that are running, by pid. */
  readonly #running = new Map<number, ToolProcess>();

  exec(event: ExecEvent): void {
    const { CODEX_TOOL_CALL_ID: callId, CODEX_THREAD_ID: threadId } = event.environment;
    if (callId === undefined || threadId === undefined) return;
    let ofThread = this.#tools.get(threadId);
    if (ofThread === undefined) {
      ofThread = new Map();
      this.#tools.set(threadId, ofThread);
    }
    if (ofThread.has(callId)) return;
    const { pid, argv, timeNs } = event;
    const process: ToolProcess = {
      callId,
      pid,
      argv: askedCommand(argv),
      startedNs: timeNs,
      exit: undefined,
    };
    ofThread.set(callId, process);
    this.#running.set(pid, process);
  }

  exit(event: ExitEvent): ProcessExit {
    const exit = { timeNs: event.timeNs, exitCode: event.exitCode, signal: event.signal };
    const tool = this.#running.get(event.pid);
    if (tool !== undefined) {
      tool.exit = exit;
      this.#running.delete(event.pid);
    }
    return exit;
  }

  tool(threadId: string, callId: string): ToolProcess | undefined {
    return this.#tools.get(threadId)?.get(callId);
  }

  /** The first processes of all tool calls of a thread, in the order in which they started. */
  toolsOf(threadId: string): Iterable<ToolProcess> {
    return this.#tools.get(threadId)?.values() ?? [];
  }
}
