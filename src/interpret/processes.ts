// The processes that the kernel saw, as far as the story needs them: how each agent process ended, and which
// process ran a tool call. Codex names the call in the environment of the commands that it starts; before 0.163 it names
// the thread alone: then its command and its time tell which call a process is of.

import type { ExecEvent, ExitEvent } from '../evidence/event.js';
import { askedCommand, isAsked } from './asked-command.js';

export interface ProcessExit {
  timeNs: bigint;
  exitCode: number | undefined;
  signal: number | undefined;
}

/** The first process of a command: what the agent itself started, not what that started in turn. */
export interface CommandProcess {
  /** Undefined where its environment names none. */
  callId: string | undefined;
  pid: number;
  /** The command as the agent was asked for it. */
  argv: readonly string[];
  startedNs: bigint;
  exit: ProcessExit | undefined;
}

/** One whose environment names its call. */
export interface ToolProcess extends CommandProcess {
  callId: string;
}

/** One whose environment names no call. */
interface UnnamedProcess extends CommandProcess {
  callId: undefined;
  threadId: string | undefined;
  /** It is known whose it is. */
  isTaken: boolean;
}

/** A call that asked for a command. */
export interface CommandRequest {
  agentPid: number;
  threadId: string;
  command: string;
  startedNs: bigint;
  /** Undefined while it runs. */
  endedNs: bigint | undefined;
}

export class Processes {
  /** By thread and call. */
  readonly #tools = new Map<string, Map<string, ToolProcess>>();
  /** By the process that started them, in the order in which they started. */
  readonly #unnamed = new Map<number, UnnamedProcess[]>();
  /** Those of both that are running, by pid. */
  readonly #running = new Map<number, ToolProcess | UnnamedProcess>();

  /** The process talks to somebody, as agents do: what it starts may be a command. */
  talks(pid: number): void {
    if (!this.#unnamed.has(pid)) this.#unnamed.set(pid, []);
  }

  exec(event: ExecEvent): void {
    const { CODEX_TOOL_CALL_ID: callId, CODEX_THREAD_ID: threadId } = event.environment;
    if (callId !== undefined && threadId !== undefined) this.#execNamed(event, threadId, callId);
    else this.#execUnnamed(event, threadId);
  }

  exit(event: ExitEvent): ProcessExit {
    const exit = { timeNs: event.timeNs, exitCode: event.exitCode, signal: event.signal };
    const running = this.#running.get(event.pid);
    if (running !== undefined) {
      running.exit = exit;
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

  /**
   * The first process that may be the requested one of those whose environment names no call. It is nobody else's from
   * then on: of calls that ask for the same at the same time, the one that came first is to take first.
   */
  takeUnnamed({ agentPid, threadId, command, startedNs, endedNs }: CommandRequest): {
    process: CommandProcess | undefined;
    isOnly: boolean;
  } {
    const started = this.#unnamed.get(agentPid) ?? [];
    const since = started.findLastIndex((process) => process.startedNs < startedNs) + 1;
    const [process, ...others] = started
      .slice(since)
      .filter(
        (one) =>
          !one.isTaken &&
          (endedNs === undefined || one.startedNs <= endedNs) &&
          (one.threadId ?? threadId) === threadId &&
          isAsked(one.argv, command),
      );
    if (process !== undefined) process.isTaken = true;
    return { process, isOnly: others.length === 0 };
  }

  #execNamed(event: ExecEvent, threadId: string, callId: string): void {
    const before = this.#running.get(event.pid);
    if (before !== undefined && before.callId === undefined) before.isTaken = true;
    let ofThread = this.#tools.get(threadId);
    if (ofThread === undefined) {
      ofThread = new Map();
      this.#tools.set(threadId, ofThread);
    }
    if (ofThread.has(callId)) return;
    const process = { callId, ...commandProcess(event) };
    ofThread.set(callId, process);
    this.#running.set(event.pid, process);
  }

  #execUnnamed(event: ExecEvent, threadId: string | undefined): void {
    const siblings = this.#unnamed.get(event.parentPid);
    if (siblings === undefined) return;
    const before = this.#running.get(event.pid);
    if (before === undefined) {
      const process = { ...commandProcess(event), callId: undefined, threadId, isTaken: false };
      siblings.push(process);
      this.#running.set(event.pid, process);
    } else if (before.callId === undefined && before.threadId === undefined && threadId !== undefined) {
      // A helper of Codex went first, and became the command.
      Object.assign(before, commandProcess(event), { threadId });
    }
  }
}

function commandProcess({ pid, argv, timeNs }: ExecEvent): Omit<CommandProcess, 'callId'> {
  return { pid, argv: askedCommand(argv), startedNs: timeNs, exit: undefined };
}
