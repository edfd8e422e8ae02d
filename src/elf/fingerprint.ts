// What tells one build of a program from every other, cheaply: size, hash of the first 64 KiB, BuildID.

import { createHash } from 'node:crypto';
import type { BinaryFile } from './file.js';
import type { ElfHeaders } from './headers.js';
import { readBuildId } from './notes.js';

const headBytes = 65_536;

export interface Fingerprint {
  file_size: number;
  /** SHA-256, hex, of the first 65,536 bytes, or of the whole file when it is shorter. */
  head_64k_sha256: string;
  build_id: string | null;
}

export function fingerprintOf(file: BinaryFile, headers: ElfHeaders): Fingerprint {
  const head = file.read(0, Math.min(file.size, headBytes));
  return {
    file_size: file.size,
    head_64k_sha256: createHash('sha256').update(head).digest('hex'),
    build_id: readBuildId(file, headers),
  };
}
