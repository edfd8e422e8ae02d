// What ran already when a capture began, as evidence: programs with their parents, TCP sockets, and calls in progress whose
// bytes are not seen whole.

import type { EventBase } from '../evidence/event.js';
import type { EvidenceWriter } from '../evidence/writer.js';
import { note } from '../render/notes.js';
import { openSockets, waitingCalls } from './open-sockets.js';
import { type ProcessDescription, runningProcess } from './process.js';
import { type CaptureSummary, newTarget } from './summary.js';

type Target = CaptureSummary['targets'][number];

export class Snapshot {
  readonly #writer: EvidenceWriter;
  readonly #base: EventBase;

  /** @param base what the events of the capture itself have in common now */
  constructor(writer: EvidenceWriter, base: EventBase) {
    this.#writer = writer;
    this.#base = base;
  }

  /** A root, which is described in `target` too. */
  target(target: Target): void {
    const process = runningProcess(target.pid);
    if (process !== undefined) this.#describe(process, target, target.pid);
  }

  /**
   * The others, with the root of each: what the roots have started, or processes that belong to nobody yet and may turn out
   * to be an agent, or what an agent has started. Parents come first.
   *
   * @returns those that had connections
   */
  others(roots: ReadonlyMap<number, number>): Target[] {
    const left = new Map(roots);
    const connected: Target[] = [];
    const describe = (pid: number): void => {
      const rootPid = left.get(pid);
      if (rootPid === undefined) return;
      left.delete(pid);
      const process = runningProcess(pid);
      if (process === undefined) return;
      describe(process.parentPid);
      const target = newTarget(pid, process.execPath);
      this.#describe(process, target, rootPid);
      if (target.open_connections > 0) connected.push(target);
    };
    for (const pid of roots.keys()) describe(pid);
    return connected;
  }

  #describe(process: ProcessDescription, target: Target, rootPid: number): void {
    this.#writer.append({ kind: 'running', ...this.#base, ...process, rootPid });
    const sockets = openSockets(target.pid);
    const connections = sockets.filter(({ isListener }) => !isListener);
    target.open_connections = connections.length;
    target.in_progress = waitingCalls(target.pid, connections).map(({ tid, call, remote }) => ({
      tid,
      call,
      remote: `${remote.address}:${remote.port}`,
    }));
    // Of all that a machine runs it would be a line for each that waits.
    if (rootPid !== 0) tellInProgress(target);
    for (const { isListener, local, remote } of sockets) {
      this.#writer.append({
        kind: 'socket',
        ...this.#base,
        pid: target.pid,
        tid: target.pid,
        rootPid,
        operation: isListener ? 'listen' : 'open',
        connection: 0n,
        carries: 0n,
        local,
        remote,
        content: isListener ? 'none' : 'unknown',
        sent: 0,
        received: 0,
        errno: 0,
      });
    }
  }
}

function tellInProgress({ in_progress }: Target): void {
  for (const { tid, call, remote } of in_progress) {
    note(`agsight: thread ${tid} was inside ${call} from ${remote}: what that call received is not recorded`);
  }
}
