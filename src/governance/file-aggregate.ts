// Joins reads and writes of the same file by the same thread into rows, as DeepFlow's file_agg reducer does: a pause
// of more than 100 ms, or a change to the file itself, begins a new row. Rows leave after three seconds of evidence
// without an addition, or when there are too many.

import type { FileIoEvent } from '../evidence/event.js';
import type { Cause } from './processes.js';

export interface FileAggregate {
  /** The first of the joined events, for all that they have in common. */
  event: FileIoEvent;
  cause: Cause;
  endNs: bigint;
  bytes: number;
  count: number;
  durationNs: bigint;
  offset: number;
}

const idleGapNs = 100_000_000n;
/** DeepFlow flushes its reducer that often. */
const flushNs = 3_000_000_000n;
const maxOpen = 65_536;

export class FileAggregator {
  /** Oldest addition first. */
  readonly #open = new Map<string, FileAggregate>();
  /** Keys of `#open` by agent and file. */
  readonly #ofFile = new Map<string, Set<string>>();

  /** Takes one event in; what it completes. */
  add(event: FileIoEvent, cause: Cause): FileAggregate[] {
    const key = keyOf(event, cause);
    const current = this.#open.get(key);
    if (current !== undefined && event.timeNs - current.endNs <= idleGapNs) {
      current.count += event.count;
      current.bytes += event.bytes;
      current.durationNs += event.durationNs;
      if (event.endNs > current.endNs) current.endNs = event.endNs;
      current.offset = Math.max(current.offset, event.offset);
      this.#open.delete(key);
      this.#open.set(key, current);
      return [];
    }
    const done = current === undefined ? [] : [this.#close(key, current)];
    const { endNs, bytes, count, durationNs, offset } = event;
    this.#open.set(key, { event, cause, endNs, bytes, count, durationNs, offset });
    const file = fileKey(event.rootPid, event.path);
    const keys = this.#ofFile.get(file) ?? new Set();
    this.#ofFile.set(file, keys.add(key));
    return [...done, ...this.#expire(event.endNs)];
  }

  /** The rows of a file that something else is about to happen to. */
  endFile(rootPid: number, path: string): FileAggregate[] {
    const keys = [...(this.#ofFile.get(fileKey(rootPid, path)) ?? [])];
    return keys.flatMap((key) => {
      const found = this.#open.get(key);
      return found === undefined ? [] : [this.#close(key, found)];
    });
  }

  end(): FileAggregate[] {
    const rest = [...this.#open.values()];
    this.#open.clear();
    this.#ofFile.clear();
    return rest;
  }

  #expire(nowNs: bigint): FileAggregate[] {
    const expired: FileAggregate[] = [];
    for (const [key, aggregate] of this.#open) {
      if (this.#open.size <= maxOpen && nowNs - aggregate.endNs <= flushNs) break;
      expired.push(this.#close(key, aggregate));
    }
    return expired;
  }

  #close(key: string, aggregate: FileAggregate): FileAggregate {
    this.#open.delete(key);
    const file = fileKey(aggregate.event.rootPid, aggregate.event.path);
    const keys = this.#ofFile.get(file);
    keys?.delete(key);
    if (keys?.size === 0) this.#ofFile.delete(file);
    return aggregate;
  }
}

function fileKey(rootPid: number, path: string): string {
  return `${rootPid} ${path}`;
}

/** DeepFlow's key, without what one host has only one of, and with the result and the tool call. */
function keyOf(event: FileIoEvent, { threadId, callId }: Cause): string {
  const { rootPid, operation, pid, tid, fileType, mode, errno, comm, path } = event;
  return JSON.stringify([rootPid, operation, pid, tid, fileType, mode, errno, comm, threadId, callId, path]);
}
