// Frames: `u32le length, u32le crc32c(payload), payload`, back to back. Owns framing and the recognition of
// damage. What a payload means is event-decoder.ts, where the bytes come from is reader.ts.
import { crc32c } from './crc32c.js';

/** The CRC-32C of `bytes[start, end)`. */
export type Checksum = (bytes: Uint8Array, start: number, end: number) => number;

export const FRAME_HEADER_BYTES = 8;
/** Largest payload. A length beyond it is damage, not data. */
export const MAX_PAYLOAD_BYTES = 32 * 1024 * 1024;

/**
 * Fills in the header of a frame whose payload already stands in `buffer` from `start` + 8 up to `end`.
 *
 * @throws RangeError when the payload is empty (it would look like a run of zeros, which is what a lost
 * write leaves behind) or longer than {@link MAX_PAYLOAD_BYTES}.
 */
export function sealFrame(buffer: Uint8Array, start: number, end: number, checksum: Checksum = crc32c): void {
  const length = end - start - FRAME_HEADER_BYTES;
  if (length < 1 || length > MAX_PAYLOAD_BYTES) {
    throw new RangeError(`a frame payload has 1 to ${MAX_PAYLOAD_BYTES} bytes, not ${length}`);
  }
  writeUint32(buffer, start, length);
  writeUint32(buffer, start + 4, checksum(buffer, start + FRAME_HEADER_BYTES, end));
}

/** The frame around `payload`, in memory of its own. */
export function encodeFrame(payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(FRAME_HEADER_BYTES + payload.length);
  frame.set(payload, FRAME_HEADER_BYTES);
  sealFrame(frame, 0, frame.length);
  return frame;
}

/** Length of the last prefix of `bytes[0, end)` that consists of whole frames, and how many they are. */
export function wholeFrames(bytes: Uint8Array, end: number): { bytes: number; frames: number } {
  let at = 0;
  let frames = 0;
  while (at + FRAME_HEADER_BYTES <= end) {
    const next = at + FRAME_HEADER_BYTES + readUint32(bytes, at);
    if (next > end) break;
    at = next;
    frames++;
  }
  return { bytes: at, frames };
}

/** What the scanner finds; `place` is the byte position of the frame's header in the segment. */
export type ScanItem =
  /** `raw` is the whole frame, `payload` its content. Both are views that hold until the next `push`. */
  | { kind: 'frame'; place: number; raw: Uint8Array; payload: Uint8Array }
  /** A frame whose checksum is wrong. It is skipped; the scan goes on behind it. */
  | { kind: 'bad-crc'; place: number; raw: Uint8Array }
  /** A length that no frame has: where the next frame starts is unknown, so the scan ends here. */
  | { kind: 'bad-length'; place: number; length: number }
  /** The segment ends inside a frame; `missing` bytes of its header or payload are not there. */
  | { kind: 'torn'; place: number; missing: number };

/** Cuts a segment that arrives in chunks of any size into frames. One scanner reads one segment. */
export class FrameScanner {
  #place = 0;
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  #wanted = FRAME_HEADER_BYTES;
  #lost = false;

  /** The items that are complete with `chunk`. The caller may reuse the memory of `chunk` afterwards. */
  push(chunk: Uint8Array): ScanItem[] {
    const items: ScanItem[] = [];
    if (this.#lost || chunk.length === 0) return items;
    if (this.#heldBytes + chunk.length < this.#wanted) {
      this.#hold(chunk);
      return items;
    }
    const bytes = this.#heldBytes === 0 ? chunk : Buffer.concat([...this.#held, chunk]);
    this.#held = [];
    this.#heldBytes = 0;
    const rest = this.#scan(bytes, items);
    if (rest !== undefined && rest < bytes.length) this.#hold(bytes.subarray(rest));
    return items;
  }

  /** The torn frame at the end of the segment, if there is one. */
  end(): ScanItem | undefined {
    if (this.#lost || this.#heldBytes === 0) return undefined;
    return { kind: 'torn', place: this.#place, missing: this.#wanted - this.#heldBytes };
  }

  #hold(bytes: Uint8Array): void {
    // Not slice(): on a Buffer that is a view of memory which the caller is free to reuse.
    this.#held.push(new Uint8Array(bytes));
    this.#heldBytes += bytes.length;
  }

  /** Where the first incomplete frame starts in `bytes`; undefined when the scan has ended for good. */
  #scan(bytes: Uint8Array, items: ScanItem[]): number | undefined {
    let at = 0;
    for (;;) {
      this.#wanted = FRAME_HEADER_BYTES;
      if (at + FRAME_HEADER_BYTES > bytes.length) return at;
      const length = readUint32(bytes, at);
      if (length === 0 || length > MAX_PAYLOAD_BYTES) {
        items.push({ kind: 'bad-length', place: this.#place, length });
        this.#lost = true;
        return undefined;
      }
      const end = at + FRAME_HEADER_BYTES + length;
      this.#wanted = end - at;
      if (end > bytes.length) return at;
      const raw = bytes.subarray(at, end);
      const good = crc32c(bytes, at + FRAME_HEADER_BYTES, end) === readUint32(bytes, at + 4);
      items.push(
        good
          ? { kind: 'frame', place: this.#place, raw, payload: raw.subarray(FRAME_HEADER_BYTES) }
          : { kind: 'bad-crc', place: this.#place, raw },
      );
      this.#place += raw.length;
      at = end;
    }
  }
}

function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

/** Little-endian; the caller has checked that four bytes are there. */
function readUint32(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] ?? 0) |
      ((bytes[at + 1] ?? 0) << 8) |
      ((bytes[at + 2] ?? 0) << 16) |
      ((bytes[at + 3] ?? 0) << 24)) >>>
    0
  );
}
