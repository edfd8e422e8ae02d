// The bytes of a rollout file, whether Codex has compressed it or not. Owns which of its two forms is opened;
// decompression is zstd-stream.ts.
import { closeSync, openSync, readSync } from 'node:fs';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { systemErrorCode } from '../errors.js';
import { ZstdStream } from '../protocol/zstd-stream.js';
import { representations } from './rollout-name.js';

export interface RolloutBytes {
  /** The path that was read: the plain form wins over the compressed one. */
  path: string;
  /** What was wrong with the compression, when what was pushed is not all. */
  problem: string | undefined;
}

const CHUNK_BYTES = 1024 * 1024;
/** Little goes in at once, because much may come out. */
const COMPRESSED_CHUNK_BYTES = 16 * 1024;
/** As in Codex: its compressor may be putting one form into the place of the other. */
const OPEN_RETRIES = 3;
const RETRY_MS = 50;

let spareBuffer: Buffer | undefined;

/**
 * Calls `push` with the content, piece by piece; a piece holds until `push` returns.
 *
 * @throws the system error when the file cannot be read
 */
export async function readRolloutBytes(
  path: string,
  push: (bytes: Uint8Array) => void,
): Promise<RolloutBytes> {
  const opened = await openRollout(path);
  const zstd = opened.isCompressed ? new ZstdStream(push) : undefined;
  const size = opened.isCompressed ? COMPRESSED_CHUNK_BYTES : CHUNK_BYTES;
  const buffer = spareBuffer ?? Buffer.allocUnsafe(CHUNK_BYTES);
  // Not spare while in use: another file may be read meanwhile.
  spareBuffer = undefined;
  try {
    for (;;) {
      const length = readSync(opened.file, buffer, 0, size, null);
      const bytes = buffer.subarray(0, length);
      const goesOn = zstd === undefined ? push(bytes) === undefined : zstd.push(bytes);
      if (!goesOn || length === 0) return { path: opened.path, problem: zstd?.problem };
      await setImmediate();
    }
  } finally {
    closeSync(opened.file);
    spareBuffer = buffer;
  }
}

interface OpenedRollout {
  file: number;
  path: string;
  isCompressed: boolean;
}

async function openRollout(path: string): Promise<OpenedRollout> {
  const { plain, compressed } = representations(path);
  for (let attempt = 0; ; attempt++) {
    try {
      return { file: openSync(plain, 'r'), path: plain, isCompressed: false };
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') throw error;
    }
    try {
      return { file: openSync(compressed, 'r'), path: compressed, isCompressed: true };
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT' || attempt === OPEN_RETRIES) throw error;
    }
    await setTimeout(RETRY_MS);
  }
}
