// What the kernel announces at once, in a ring of its own: that a process may need probes, or that a root has ended.

import { layout, RecordType } from './record.js';
import { RecordReader } from './record-reader.js';

/** A process has begun a program or mapped a library that may need probes, or was its own root and has ended. */
export interface Notice {
  pid: number;
  rootPid: number;
  /** The kernel's name of the process at that time. */
  comm: string;
  of: 'program' | 'library' | 'end';
  monotonicNs: bigint;
}

const noticeKinds = new Map<number, Notice['of']>([
  [RecordType.program, 'program'],
  [RecordType.library, 'library'],
  [RecordType.end, 'end'],
]);

export class NoticeReader {
  readonly #buffer = Buffer.alloc(64 << 10);
  readonly #reader = new RecordReader(this.#buffer);

  /** @param drain moves notices into the buffer and returns how many bytes were filled; 0 when there was nothing */
  read(drain: (buffer: Uint8Array) => number): Notice[] {
    const found: Notice[] = [];
    for (;;) {
      const filled = drain(this.#buffer);
      if (filled === 0) return found;
      this.#reader.forEach(filled, (notice) => {
        found.push({
          pid: notice.uint32(layout.pid),
          rootPid: notice.uint32(layout.rootPid),
          comm: notice.cString(layout.comm, layout.commBytes),
          of: noticeKinds.get(notice.type) ?? 'program',
          monotonicNs: notice.uint64(layout.time),
        });
      });
    }
  }
}
