import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { inspectBinary } from '../../src/elf/binary.js';
import { bareLibrary, openWorkshop } from './build.js';

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

describe('fingerprint', () => {
  const workshop = openWorkshop();
  afterAll(workshop.close);

  it.each([[100], [200_000]])('is size and head of a file with %d bytes of data', (size) => {
    const source = `const char data[${size}] = "x"; const char tail[] = "end";`;
    const path = workshop.compile(`data-${size}.so`, source, bareLibrary);
    const bytes = readFileSync(path);
    expect(inspectBinary(path).fingerprint).toEqual({
      file_size: bytes.length,
      head_64k_sha256: sha256(bytes.subarray(0, 65_536)),
      build_id: null,
    });
  });
});
