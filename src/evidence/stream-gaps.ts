// Which parts of a capture's TLS streams are not in the evidence. Owns the arithmetic of offsets only.
// Positions are counted by the kernel program whether or not the bytes got through, so a gap is loss.
import type { Direction, TlsEvent } from './event.js';

/** Bytes of one direction of a connection that no event brought. */
export interface StreamGap {
  /** Decimal: the key has 64 bits. */
  connection: string;
  direction: Direction;
  offset: number;
  bytes: number;
}

interface Stream {
  connection: string;
  direction: Direction;
  /** Where the next event should start. */
  end: number;
  /** Ranges below `end` that are still missing, ascending. */
  gaps: { from: number; to: number }[];
}

/** Follows every direction of every connection. Events may come late: one that fills a gap closes it. */
export class StreamGaps {
  readonly #streams = new Map<string, Stream>();
  readonly #connections = new Set<bigint>();
  /** Bytes that came twice. */
  overlappingBytes = 0;

  get connections(): number {
    return this.#connections.size;
  }

  add(event: TlsEvent): void {
    const key = `${event.connection}/${event.direction}`;
    let stream = this.#streams.get(key);
    if (stream === undefined) {
      stream = { connection: String(event.connection), direction: event.direction, end: 0, gaps: [] };
      this.#streams.set(key, stream);
      this.#connections.add(event.connection);
    }
    const from = event.offset;
    const to = from + event.data.length + event.missing;
    if (from > stream.end) stream.gaps.push({ from: stream.end, to: from });
    if (from < stream.end) this.#fill(stream, from, Math.min(to, stream.end));
    stream.end = Math.max(stream.end, to);
  }

  /** What is missing in the end, by connection in the order of appearance. */
  list(): StreamGap[] {
    return [...this.#streams.values()].flatMap(({ connection, direction, gaps }) =>
      gaps.map(({ from, to }) => ({ connection, direction, offset: from, bytes: to - from })),
    );
  }

  #fill(stream: Stream, from: number, to: number): void {
    let filled = 0;
    stream.gaps = stream.gaps.flatMap((gap) => {
      const start = Math.max(gap.from, from);
      const end = Math.min(gap.to, to);
      if (start >= end) return [gap];
      filled += end - start;
      return [
        { from: gap.from, to: start },
        { from: end, to: gap.to },
      ].filter((rest) => rest.from < rest.to);
    });
    this.overlappingBytes += to - from - filled;
  }
}
