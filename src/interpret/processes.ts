// The processes that the kernel saw, as far as the story needs them: how each agent process ended, and which
// process ran a tool call. Codex names the call in the environment of the commands that it starts.

import type { ExecEvent, ExitEvent } from '../evidence/event.js';

export interface ProcessExit {
  timeNs: bigint;
  exitCode: number | undefined;
  signal: number | undefined;
}

/** The first process of a tool call: what Codex itself started, not what that started in turn. */
export interface ToolProcess {
  pid: number;
  argv: readonly string[];
  startedNs: bigint;
  exit: ProcessExit | undefined;
}

export class Processes {
  readonly #tools = new Map<string, ToolProcess>();
  /** Tool processes that are running, by pid. */
  readonly #running = new Map<number, ToolProcess>();

  exec(event: ExecEvent): void {
    const { CODEX_TOOL_CALL_ID: callId, CODEX_THREAD_ID: threadId } = event.environment;
    if (callId === undefined || threadId === undefined) return;
    const key = toolKey(threadId, callId);
    if (this.#tools.has(key)) return;
    const process: ToolProcess = {
      pid: event.pid,
      argv: event.argv,
      startedNs: event.timeNs,
      exit: undefined,
    };
    this.#tools.set(key, process);
    this.#running.set(event.pid, process);
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
    return this.#tools.get(toolKey(threadId, callId));
  }
}

function toolKey(threadId: string, callId: string): string {
  return `${threadId}\0${callId}`;
}
