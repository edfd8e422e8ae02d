// Zstandard decompression in bounded memory. Owns the limits: the decoder underneath takes any window that a
// frame asks for, up to 2 GiB. The format is RFC 8878, section 3.1.

import { Decompress } from 'fzstd';
import { messageOf } from '../errors.js';

export const ZSTD_LIMITS = {
  /** Codex's own files need 2 MiB, `zstd -19` needs 8. */
  windowBytes: 32 * 1024 * 1024,
  /** Far above any rollout: what says more is made to take up time. */
  outputBytes: 64 * 1024 ** 3,
} as const;

const MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;
/** A frame header is no longer than this. */
const MAX_HEADER_BYTES = 18;

/** Push-style: compressed bytes in, content out through `push` of the constructor. */
export class ZstdStream {
  readonly #decoder: Decompress;
  readonly #frames = new FrameWalk();
  #outputBytes = 0;
  /** Why the content ends early; undefined while all is well. */
  problem: string | undefined;

  constructor(push: (bytes: Uint8Array) => void) {
    this.#decoder = new Decompress((bytes) => {
      this.#outputBytes += bytes.length;
      push(bytes);
    });
  }

  /** Takes the next bytes, which may be reused afterwards; none at all mean the end. False after a problem. */
  push(bytes: Uint8Array): boolean {
    const windowBytes = this.#frames.push(bytes);
    if (windowBytes > ZSTD_LIMITS.windowBytes) {
      this.problem = `needs a window of ${windowBytes} bytes: decompress it with zstd -d --long=31`;
    } else if (this.#outputBytes > ZSTD_LIMITS.outputBytes) {
      this.problem = `holds more than ${ZSTD_LIMITS.outputBytes} bytes`;
    } else {
      try {
        // The decoder keeps what it cannot use yet.
        this.#decoder.push(Uint8Array.from(bytes), bytes.length === 0);
      } catch (error) {
        const why = messageOf(error);
        this.problem = bytes.length === 0 ? 'ends inside a frame' : `is damaged: ${why}`;
      }
    }
    return this.problem === undefined;
  }
}

/** Follows the frames of a stream without decoding them. */
class FrameWalk {
  #held: Uint8Array = new Uint8Array();
  #skip = 0;
  #at: 'frame' | 'block' = 'frame';
  #checksumBytes = 0;
  #windowBytes = 0;

  /** @returns the largest window that a frame has asked for */
  push(bytes: Uint8Array): number {
    const all = Buffer.concat([this.#held, bytes]);
    let place = 0;
    for (;;) {
      const skipped = Math.min(this.#skip, all.length - place);
      this.#skip -= skipped;
      place += skipped;
      const needed = this.#at === 'block' ? 3 : MAX_HEADER_BYTES;
      if (this.#skip > 0 || all.length - place < needed) break;
      if (this.#at === 'block') this.#block(all.readUIntLE(place, 3));
      else this.#frame(all.subarray(place, place + MAX_HEADER_BYTES));
    }
    this.#held = all.subarray(place);
    return this.#windowBytes;
  }

  #block(header: number): void {
    const isRepeated = ((header >> 1) & 3) === 1;
    this.#skip = 3 + (isRepeated ? 1 : header >> 3);
    if ((header & 1) === 0) return;
    this.#skip += this.#checksumBytes;
    this.#at = 'frame';
  }

  #frame(header: Buffer): void {
    const magic = header.readUInt32LE(0);
    if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC) {
      this.#skip = 8 + header.readUInt32LE(4);
      return;
    }
    // Anything else is for the decoder to refuse.
    if (magic !== MAGIC) {
      this.#skip = Number.POSITIVE_INFINITY;
      return;
    }
    const flags = header.readUInt8(4);
    const isSingle = (flags & 0x20) !== 0;
    const sizeFlag = flags >> 6;
    const sizeBytes = sizeFlag === 0 ? Number(isSingle) : 1 << sizeFlag;
    const dictionaryBytes = [0, 1, 2, 4][flags & 3] ?? 0;
    const sizeAt = 5 + Number(!isSingle) + dictionaryBytes;
    const descriptor = header.readUInt8(5);
    const base = 2 ** (10 + (descriptor >> 3));
    const windowBytes = isSingle
      ? Number(header.readBigUInt64LE(sizeAt) & (2n ** BigInt(8 * sizeBytes) - 1n))
      : base + (base / 8) * (descriptor & 7);
    this.#windowBytes = Math.max(this.#windowBytes, windowBytes);
    this.#checksumBytes = (flags & 4) === 0 ? 0 : 4;
    this.#skip = sizeAt + sizeBytes;
    this.#at = 'block';
  }
}
