// The processes of a capture, told apart by pid and start, since pids come again. Owns who descends from whom
// and the environment that tells a process's thread; what they sent is captured-exchanges.ts.
import type { EvidenceEvent, ExecEvent, RunningEvent, SocketEvent } from '../evidence/event.js';

export interface CapturedProcess {
  pid: number;
  /** Undefined when the process was running before the capture. */
  startedNs: bigint | undefined;
  endedNs: bigint | undefined;
  parentPid: number | undefined;
  /** The process that started it, when it was captured too. */
  parent: CapturedProcess | undefined;
  /** What it ran last; undefined for a fork that goes on with its parent's program, and for what ran before. */
  exec: { path: string; argv: readonly string[] } | undefined;
  /** CODEX_THREAD_ID of its environment: the thread whose tool call it is part of. */
  environmentThread: string | undefined;
  /** TCP ports that it has listened on; undefined when the capture did not record that. */
  ports: number[] | undefined;
}

export class CapturedProcesses {
  readonly #all: CapturedProcess[] = [];
  readonly #running = new Map<number, CapturedProcess>();
  #arePortsKnown = false;

  get all(): readonly CapturedProcess[] {
    return this.#all;
  }

  push(event: EvidenceEvent): void {
    switch (event.kind) {
      case 'fork': {
        const parent = this.#running.get(event.parentPid);
        const child = this.#begin(event.pid, event.timeNs, event.parentPid);
        child.environmentThread = parent?.environmentThread;
        return;
      }
      case 'exec':
        this.#exec(event);
        return;
      case 'running':
        if (!this.#running.has(event.pid))
          this.#describe(this.#begin(event.pid, undefined, event.parentPid), event);
        return;
      case 'capture-start':
        this.#arePortsKnown = event.recorded.includes('sockets');
        return;
      case 'exit': {
        this.of(event.pid).endedNs = event.timeNs;
        this.#running.delete(event.pid);
        return;
      }
      case 'socket':
        this.#socket(event);
        return;
      default:
    }
  }

  /** The process that has this pid now. */
  of(pid: number): CapturedProcess {
    return this.#running.get(pid) ?? this.#begin(pid, undefined, undefined);
  }

  #exec(event: ExecEvent): void {
    // The target of a capture is stopped between its fork and the capture's start: its exec comes first.
    const process = this.#running.get(event.pid) ?? this.#begin(event.pid, event.timeNs, event.parentPid);
    process.parentPid ??= event.parentPid;
    this.#describe(process, event);
  }

  #describe(process: CapturedProcess, { execPath, argv, environment }: ExecEvent | RunningEvent): void {
    process.exec = { path: execPath, argv };
    process.environmentThread = environment.CODEX_THREAD_ID;
  }

  #socket({ pid, operation, local }: SocketEvent): void {
    if (operation !== 'listen') return;
    const { ports } = this.of(pid);
    if (ports?.includes(local.port) === false) ports.push(local.port);
  }

  #begin(pid: number, startedNs: bigint | undefined, parentPid: number | undefined): CapturedProcess {
    const process: CapturedProcess = {
      pid,
      startedNs,
      endedNs: undefined,
      parentPid,
      parent: parentPid === undefined ? undefined : this.#running.get(parentPid),
      exec: undefined,
      environmentThread: undefined,
      ports: this.#arePortsKnown ? [] : undefined,
    };
    this.#all.push(process);
    this.#running.set(pid, process);
    return process;
  }
}
