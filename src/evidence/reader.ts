// Reads the evidence of a bundle in order, with bounded memory, and past any damage. Owns the walk over the
// segments and the list of what can be wrong with them. It judges nothing: that is verify.ts.
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { systemErrorCode } from '../errors.js';
import type { EvidenceEvent } from './event.js';
import { decodeEvent } from './event-decoder.js';
import { FrameScanner, type ScanItem } from './frame.js';
import { evidenceDirectory, listSegments, segmentName } from './segment.js';

/** Something in the evidence that is not a readable event. `place` counts bytes from the segment's start. */
export interface EvidenceAnomaly {
  kind:
    | 'torn-frame'
    | 'bad-checksum'
    | 'bad-length'
    | 'unknown-event'
    | 'missing-segment'
    | 'unreadable-segment'
    | 'no-end';
  /** The segment's file name, as `000001.pb`. */
  segment: string;
  place: number;
  detail: string;
}

export interface ReadEvidenceOptions {
  /** Is told of each anomaly when the reader meets it. */
  onAnomaly?: (anomaly: EvidenceAnomaly) => void;
  /** Bytes per read, 1 MiB unless told. */
  chunkBytes?: number;
}

/** A frame, sound or not, or a segment that cannot be read, with its place. */
export type SegmentItem = { segment: string } & (
  | ScanItem
  | { kind: 'missing-segment'; place: number; count: number }
  | { kind: 'unreadable-segment'; place: number; detail: string }
);

const CHUNK_BYTES = 1024 * 1024;

/**
 * The events of a bundle's evidence, oldest first; each event owns its bytes.
 *
 * Damage never ends the reading: a frame with a wrong checksum is left out, a segment is given up where its
 * frames can no longer be found, and `onAnomaly` hears of both.
 *
 * @param bundleDir the directory that holds `evidence/`
 * @throws AgsightError `no-evidence` when there is none at all
 */
export async function* readEvidence(
  bundleDir: string,
  options: ReadEvidenceOptions = {},
): AsyncGenerator<EvidenceEvent, void, undefined> {
  const report = options.onAnomaly ?? (() => {});
  let last: { segment: string; place: number; isEnd: boolean } | undefined;
  for await (const item of scanEvidence(bundleDir, options.chunkBytes)) {
    if (item.kind !== 'frame') {
      report(damageOf(item));
      continue;
    }
    const event = decodeEvent(item.payload);
    last = {
      segment: item.segment,
      place: item.place + item.raw.length,
      isEnd: event.kind === 'capture-end',
    };
    if (event.kind === 'unknown') {
      report({ kind: 'unknown-event', segment: item.segment, place: item.place, detail: event.reason });
    } else {
      yield event;
    }
  }
  if (last?.isEnd !== true) report(noEnd(last?.segment ?? segmentName(1), last?.place ?? 0));
}

/**
 * Every frame of a bundle's evidence and everything between them that is not a frame. The bytes of an item
 * hold only until the next one is asked for.
 *
 * @throws AgsightError `no-evidence`
 */
export async function* scanEvidence(
  bundleDir: string,
  chunkBytes = CHUNK_BYTES,
): AsyncGenerator<SegmentItem, void, undefined> {
  const chunk = Buffer.allocUnsafe(chunkBytes);
  let expected = 1;
  for (const number of listSegments(bundleDir)) {
    if (expected < number) {
      yield { kind: 'missing-segment', segment: segmentName(expected), place: 0, count: number - expected };
    }
    expected = number + 1;
    yield* scanSegment(join(evidenceDirectory(bundleDir), segmentName(number)), segmentName(number), chunk);
  }
}

async function* scanSegment(
  path: string,
  segment: string,
  chunk: Buffer,
): AsyncGenerator<SegmentItem, void, undefined> {
  const scanner = new FrameScanner();
  let file: FileHandle | undefined;
  let position = 0;
  try {
    file = await open(path);
    for (;;) {
      const { bytesRead } = await file.read(chunk, 0, chunk.length, position);
      if (bytesRead === 0) break;
      position += bytesRead;
      for (const item of scanner.push(chunk.subarray(0, bytesRead))) yield { segment, ...item };
    }
  } catch (cause) {
    yield {
      kind: 'unreadable-segment',
      segment,
      place: position,
      detail: systemErrorCode(cause) ?? String(cause),
    };
    return;
  } finally {
    await file?.close();
  }
  const torn = scanner.end();
  if (torn !== undefined) yield { segment, ...torn };
}

/** The anomaly that a damaged item is. */
export function damageOf(item: Exclude<SegmentItem, { kind: 'frame' }>): EvidenceAnomaly {
  const at = { segment: item.segment, place: item.place };
  switch (item.kind) {
    case 'torn':
      return { kind: 'torn-frame', ...at, detail: `the last frame lacks ${item.missing} bytes` };
    case 'bad-crc':
      return {
        kind: 'bad-checksum',
        ...at,
        detail: `a frame of ${item.raw.length} bytes does not match its checksum`,
      };
    case 'bad-length':
      return {
        kind: 'bad-length',
        ...at,
        detail: `no frame is ${item.length} bytes long: the rest of the segment is given up`,
      };
    case 'missing-segment':
      return { kind: 'missing-segment', ...at, detail: `${item.count} missing from here on` };
    case 'unreadable-segment':
      return { kind: 'unreadable-segment', ...at, detail: item.detail };
  }
}

export function noEnd(segment: string, place: number): EvidenceAnomaly {
  return {
    kind: 'no-end',
    segment,
    place,
    detail: 'the capture did not end in order: its last moments may be missing',
  };
}
