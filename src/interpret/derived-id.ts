// Ids for what has none on the wire. They depend on the evidence alone, so that the same evidence always
// gives the same bytes.

import { createHmac } from 'node:crypto';

/** A UUID (version 8: its content is ours) for the thing that `parts` name within one capture. */
export function derivedUuid(salt: Uint8Array, ...parts: (string | number | bigint)[]): string {
  const bytes = createHmac('sha256', salt).update(parts.join('\0')).digest().subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
