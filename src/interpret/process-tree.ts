// Which process an event is of, where pids come again: a number for each process in the order in which they are met, and
// the process that started it. The same events give the same numbers, so that one reading can refer to another.

import type { EvidenceEvent } from '../evidence/event.js';

export interface TreeProcess {
  readonly pid: number;
  readonly number: number;
  /** Undefined when it is not known who started it. */
  readonly parent: TreeProcess | undefined;
}

/** What the kernel tells of a process after its end, sockets that close for example, belongs to it all the same. */
const maxEnded = 65_536;

export class ProcessTree {
  readonly #running = new Map<number, TreeProcess>();
  /** Longest ended first. */
  readonly #ended = new Map<number, TreeProcess>();
  #count = 0;

  /** The process of the next event, in the order of the evidence; undefined for an event of the capture itself. */
  push(event: EvidenceEvent): TreeProcess | undefined {
    const { pid } = event;
    if (pid === 0) return undefined;
    switch (event.kind) {
      case 'fork':
        return this.#begin(pid, event.parentPid);
      case 'running':
      case 'exec':
        return this.#running.get(pid) ?? this.#begin(pid, event.parentPid);
      case 'exit': {
        const process = this.#running.get(pid) ?? this.#begin(pid, event.parentPid);
        this.#running.delete(pid);
        this.#ended.delete(pid);
        this.#ended.set(pid, process);
        if (this.#ended.size > maxEnded) {
          for (const oldest of this.#ended.keys()) {
            this.#ended.delete(oldest);
            break;
          }
        }
        return process;
      }
      default:
        return this.#running.get(pid) ?? this.#ended.get(pid) ?? this.#begin(pid);
    }
  }

  #begin(pid: number, parentPid?: number): TreeProcess {
    const parent = parentPid === undefined ? undefined : this.#running.get(parentPid);
    const process = { pid, number: this.#count++, parent };
    this.#ended.delete(pid);
    this.#running.set(pid, process);
    return process;
  }
}
