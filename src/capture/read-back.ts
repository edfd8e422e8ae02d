// Bytes of rollout files that the kernel program told of but did not copy: read from the file, which only ever
// grows. Owns finding the file and cutting it into events.

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import type { EventBase, FileContentEvent, FileOpEvent } from '../evidence/event.js';

const pieceBytes = 1 << 20;
const rolloutName = /\/rollout-[^/]*\.jsonl$/;

/** Whether a rename has put a file, written under another name, in the place of a rollout file. */
export function becomesRollout(event: FileOpEvent): boolean {
  const { operation, errno, path, target = '' } = event;
  return operation === 'rename' && errno === 0 && rolloutName.test(target) && !rolloutName.test(path);
}

/**
 * What stands in a rollout file: `bytes` from `offset` on, or everything. Ends with an event of missing bytes where
 * the file is gone, is another one, or is shorter than it was.
 *
 * @param base process and time of the events.
 */
export function* readBack(
  base: EventBase,
  file: { path: string; inode: number; device: number },
  range: { offset: number; bytes: number } = { offset: 0, bytes: Number.POSITIVE_INFINITY },
): Generator<FileContentEvent> {
  const { pid, tid, comm, timeNs, rootPid } = base;
  const { path, device } = file;
  const common = {
    kind: 'file-content' as const,
    ...{ pid, tid, comm, timeNs, rootPid },
    path,
    device,
    source: 'file' as const,
  };
  let { offset } = range;
  let left = range.bytes;
  const descriptor = openOf(pid, path);
  const inode = descriptor === undefined ? 0 : fstatSync(descriptor).ino;
  try {
    const isSame = descriptor !== undefined && (file.inode === 0 || file.inode === inode);
    while (isSame && left > 0) {
      const data = new Uint8Array(Math.min(left, pieceBytes));
      const length = readSync(descriptor, data, 0, data.length, offset);
      if (length === 0) break;
      yield { ...common, inode, offset, data: data.subarray(0, length), missing: 0 };
      offset += length;
      left -= length;
    }
    const isLost = Number.isFinite(left) ? left > 0 : !isSame;
    if (!isLost) return;
    const missing = Number.isFinite(left) ? left : 0;
    yield { ...common, inode: file.inode, offset, data: new Uint8Array(0), missing };
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/** The file as the process names it, or, when the process is gone, as we do. */
function openOf(pid: number, path: string): number | undefined {
  for (const name of [`/proc/${pid}/root${path}`, path]) {
    try {
      return openSync(name, 'r');
    } catch {
      // The process or the file is gone.
    }
  }
  return undefined;
}
