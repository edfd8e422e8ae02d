// The header of a WebSocket frame (RFC 6455 section 5.2). What the frames mean together is websocket.ts.

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;
const OPCODES: ReadonlySet<number> = new Set(Object.values(OPCODE));
const FIRST_CONTROL = 8;
const CONTROL_BYTES = 125;

export interface FrameHeader {
  isFinal: boolean;
  isCompressed: boolean;
  opcode: number;
  length: number;
  mask: Uint8Array | undefined;
  headerBytes: number;
}

export function isControl(frame: FrameHeader | undefined): boolean {
  return frame !== undefined && frame.opcode >= FIRST_CONTROL;
}

/** Undefined while bytes are lacking. `bytes` has none beyond the header. */
export function parseFrameHeader(bytes: readonly number[]): FrameHeader | 'malformed' | undefined {
  const [first, second] = bytes;
  if (first === undefined) return undefined;
  const opcode = first & 0x0f;
  const isFinal = (first & 0x80) !== 0;
  const isCompressed = (first & 0x40) !== 0;
  if ((first & 0x30) !== 0 || !OPCODES.has(opcode)) return 'malformed';
  if (isCompressed && opcode !== OPCODE.text && opcode !== OPCODE.binary) return 'malformed';
  if (opcode >= FIRST_CONTROL && !isFinal) return 'malformed';
  if (second === undefined) return undefined;
  const short = second & 0x7f;
  if (opcode >= FIRST_CONTROL && short > CONTROL_BYTES) return 'malformed';
  const lengthBytes = short === 127 ? 8 : short === 126 ? 2 : 0;
  const maskBytes = (second & 0x80) === 0 ? 0 : 4;
  const headerBytes = 2 + lengthBytes + maskBytes;
  if (bytes.length < headerBytes) return undefined;
  let length = lengthBytes === 0 ? short : 0;
  for (const byte of bytes.slice(2, 2 + lengthBytes)) length = length * 256 + byte;
  if (!Number.isSafeInteger(length)) return 'malformed';
  const mask = maskBytes === 0 ? undefined : Uint8Array.from(bytes.slice(2 + lengthBytes, headerBytes));
  return { isFinal, isCompressed, opcode, length, mask, headerBytes };
}
