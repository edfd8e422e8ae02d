// Content codings of a response that is written piece by piece: each piece can be decoded as soon as it has arrived.

import { createBrotliCompress, createDeflate, createDeflateRaw, createGzip } from 'node:zlib';

/**
 * `deflate-raw` is what some servers send under the name of `deflate`.
 *
 * @typedef {'gzip' | 'deflate' | 'deflate-raw' | 'br' | 'zstd'} Encoding
 */

const compressors = {
  gzip: createGzip,
  deflate: createDeflate,
  'deflate-raw': createDeflateRaw,
  br: createBrotliCompress,
};

/**
 * What is written comes out of `target` encoded.
 *
 * @param {Encoding | undefined} encoding none: as it is
 * @param {import('node:stream').Writable} target
 * @returns {{ write(text: string): void, end(): void }}
 */
export function contentEncoder(encoding, target) {
  if (encoding === undefined) {
    return { write: (text) => void target.write(text), end: () => void target.end() };
  }
  if (encoding === 'zstd') {
    return {
      write: (text) => void target.write(storedZstd(Buffer.from(text))),
      end: () => void target.end(),
    };
  }
  const compressor = compressors[encoding]();
  compressor.pipe(target);
  return {
    write(text) {
      compressor.write(text);
      compressor.flush();
    },
    end: () => void compressor.end(),
  };
}

const ZSTD_BLOCK_BYTES = 128 * 1024;

/**
 * A Zstandard frame (RFC 8878) that holds `bytes` as they are.
 *
 * @param {Uint8Array} bytes
 */
export function storedZstd(bytes) {
  const header = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 0]);
  header.writeUInt32LE(bytes.length, 5);
  const parts = [header];
  for (let at = 0; at === 0 || at < bytes.length; at += ZSTD_BLOCK_BYTES) {
    const block = bytes.subarray(at, at + ZSTD_BLOCK_BYTES);
    const isLast = at + ZSTD_BLOCK_BYTES >= bytes.length;
    const blockHeader = Buffer.alloc(3);
    blockHeader.writeUIntLE(block.length * 8 + Number(isLast), 0, 3);
    parts.push(blockHeader, Buffer.from(block));
  }
  return Buffer.concat(parts);
}
