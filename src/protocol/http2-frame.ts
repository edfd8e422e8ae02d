// The header of an HTTP/2 frame (RFC 9113 section 4.1) and what may stand in one. What the frames mean together is
// http2.ts.

/** What a client sends before its first frame. */
export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const FLAG = { endStream: 0x01, endHeaders: 0x04, padded: 0x08, priority: 0x20 } as const;

export const FRAME_HEADER_BYTES = 9;
/** Frames are no longer than this unless the receiver has allowed it, which agents and their servers do not. */
const USUAL_FRAME_BYTES = 16_384;
const PRIORITY_BYTES = 5;

export interface FrameHeader {
  length: number;
  type: number;
  flags: number;
  /** 0 for the connection as a whole. */
  stream: number;
}

/** Undefined when `bytes` has not a whole header from `at` on. */
export function readFrameHeader(bytes: Uint8Array, at = 0): FrameHeader | undefined {
  if (bytes.length < at + FRAME_HEADER_BYTES) return undefined;
  const byte = (place: number): number => bytes[at + place] ?? 0;
  return {
    length: byte(0) * 0x10000 + byte(1) * 0x100 + byte(2),
    type: byte(3),
    flags: byte(4),
    stream: (byte(5) & 0x7f) * 0x1000000 + byte(6) * 0x10000 + byte(7) * 0x100 + byte(8),
  };
}

/** Bytes in front of the header block or the data, and padding behind them, have to fit. */
const FIXED_LENGTH: Readonly<Record<number, number>> = {
  [FRAME.priority]: PRIORITY_BYTES,
  [FRAME.rstStream]: 4,
  [FRAME.ping]: 8,
  [FRAME.windowUpdate]: 4,
};
const ON_CONNECTION: ReadonlySet<number> = new Set([FRAME.settings, FRAME.ping, FRAME.goaway]);

/** Whether the sizes and the stream are such as RFC 9113 section 6 allows. Types that it does not know may hold anything. */
export function isValidFrame({ length, type, stream }: FrameHeader): boolean {
  if (type > FRAME.continuation) return true;
  if ((FIXED_LENGTH[type] ?? length) !== length) return false;
  if (type === FRAME.settings && length % 6 !== 0) return false;
  if (type === FRAME.goaway && length < 8) return false;
  return type === FRAME.windowUpdate || ON_CONNECTION.has(type) === (stream === 0);
}

const FLAGS: Readonly<Record<number, number>> = {
  [FRAME.data]: FLAG.endStream | FLAG.padded,
  [FRAME.headers]: FLAG.endStream | FLAG.endHeaders | FLAG.padded | FLAG.priority,
  [FRAME.settings]: 1,
  [FRAME.ping]: 1,
  [FRAME.pushPromise]: FLAG.endHeaders | FLAG.padded,
  [FRAME.continuation]: FLAG.endHeaders,
};

/** Whether `bytes` are frames from their first byte on, the last of them perhaps cut: little else could be. */
export function startsWithFrames(bytes: Uint8Array): boolean {
  let at = 0;
  while (at < bytes.length) {
    const header = readFrameHeader(bytes, at);
    if (header === undefined) return at > 0;
    const { length, type, flags } = header;
    const isReserved = ((bytes[at + 5] ?? 0) & 0x80) !== 0;
    if (type > FRAME.continuation || length > USUAL_FRAME_BYTES || isReserved) return false;
    if (!isValidFrame(header) || (flags & ~(FLAGS[type] ?? 0)) !== 0) return false;
    at += FRAME_HEADER_BYTES + length;
  }
  return at > 0;
}
