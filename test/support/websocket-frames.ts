// WebSocket frames made by hand, compressed by a stream that keeps its context as a peer does.

import { constants, createDeflateRaw, type DeflateRaw, type ZlibOptions } from 'node:zlib';

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export interface FrameFields {
  opcode?: number;
  final?: boolean;
  compressed?: boolean;
  /** Client frames have one. */
  mask?: readonly [number, number, number, number];
  /** Number of bytes that hold the length: as few as possible unless told. */
  lengthBytes?: 0 | 2 | 8;
}

export const MASK = [0x12, 0x34, 0x56, 0x78] as const;

export function frame(payload: string | Uint8Array, fields: FrameFields = {}): Buffer {
  const { opcode = OPCODE.text, final = true, compressed = false, mask } = fields;
  const bytes = Buffer.from(payload);
  const { length } = bytes;
  const lengthBytes = fields.lengthBytes ?? (length < 126 ? 0 : length < 65536 ? 2 : 8);
  const head = Buffer.alloc(2 + lengthBytes);
  head[0] = (final ? 0x80 : 0) | (compressed ? 0x40 : 0) | opcode;
  head[1] = (mask === undefined ? 0 : 0x80) | (lengthBytes === 0 ? length : lengthBytes === 2 ? 126 : 127);
  if (lengthBytes === 2) head.writeUInt16BE(length, 2);
  if (lengthBytes === 8) head.writeBigUInt64BE(BigInt(length), 2);
  if (mask === undefined) return Buffer.concat([head, bytes]);
  const masked = bytes.map((byte, index) => byte ^ (mask[index & 3] ?? 0));
  return Buffer.concat([head, Buffer.from(mask), masked]);
}

/** Compresses messages one after the other in one stream, as RFC 7692 section 7.2.1 has it. */
export class Deflater {
  readonly #stream: DeflateRaw;
  readonly #contextTakeover: boolean;

  constructor(contextTakeover: boolean, options: ZlibOptions = {}) {
    this.#contextTakeover = contextTakeover;
    this.#stream = createDeflateRaw(options);
  }

  async compress(text: string | Uint8Array): Promise<Buffer> {
    const parts: Buffer[] = [];
    const collect = (part: Buffer) => parts.push(part);
    this.#stream.on('data', collect);
    this.#stream.write(text);
    await new Promise<void>((resolve) => this.#stream.flush(constants.Z_SYNC_FLUSH, resolve));
    this.#stream.off('data', collect);
    if (!this.#contextTakeover) this.#stream.reset();
    return Buffer.concat(parts).subarray(0, -4);
  }
}
