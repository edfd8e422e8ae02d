// Socket events to and from their part of a frame. Owns how addresses are told: bytes there, text here.

import type { EventBase, SocketAddress, SocketEvent } from './event.js';
import type { MessageWriter } from './message-writer.js';
import { type Bytes, toBigint, toCount, type WireSocket } from './wire.js';

const OPERATIONS = [undefined, 'listen', 'connect', 'accept', 'close', 'open'] as const;
const CONTENTS = ['unknown', 'http', 'tls', 'served', 'other', 'none'] as const;
const ENDINGS = [undefined, 'here', 'there'] as const;

export function writeSocket(writer: MessageWriter, event: SocketEvent): void {
  const start = writer.begin(112);
  writer.uint32(1, OPERATIONS.indexOf(event.operation));
  writer.uint64(2, event.connection);
  writer.uint64(3, event.carries);
  writer.bytes(4, addressBytes(event.local.address));
  writer.uint32(5, event.local.port);
  writer.bytes(6, addressBytes(event.remote.address));
  writer.uint32(7, event.remote.port);
  writer.uint32(8, CONTENTS.indexOf(event.content));
  writer.uint64(9, event.sent);
  writer.uint64(10, event.received);
  writer.uint32(11, ENDINGS.indexOf(event.endedBy));
  writer.uint32(12, event.errno);
  writer.uint64(13, event.endedNs ?? 0n);
  writer.uint64(14, event.lastSentNs ?? 0n);
  writer.end(start);
}

/** @throws RangeError for a number that this version does not know */
export function socketFromWire(socket: WireSocket): Omit<SocketEvent, 'kind' | keyof EventBase> {
  const operation = OPERATIONS[socket.operation];
  const content = CONTENTS[socket.content];
  if (operation === undefined) throw new RangeError(`socket operation ${socket.operation}`);
  if (content === undefined) throw new RangeError(`socket content ${socket.content}`);
  if (socket.endedBy >= ENDINGS.length) throw new RangeError(`socket ending ${socket.endedBy}`);
  const endedBy = ENDINGS[socket.endedBy];
  const endedNs = toBigint(socket.endedNs);
  const lastSentNs = toBigint(socket.lastSentNs);
  return {
    operation,
    connection: toBigint(socket.connection),
    carries: toBigint(socket.carries),
    local: socketAddress(socket.localAddress, socket.localPort),
    remote: socketAddress(socket.remoteAddress, socket.remotePort),
    content,
    sent: toCount(socket.sent),
    received: toCount(socket.received),
    ...(endedBy === undefined ? {} : { endedBy }),
    ...(endedNs === 0n ? {} : { endedNs }),
    ...(lastSentNs === 0n ? {} : { lastSentNs }),
    errno: socket.errno,
  };
}

/** The text form of 4 or 16 bytes in network order (RFC 5952 for IPv6). */
export function socketAddress(bytes: Bytes, port: number): SocketAddress {
  if (bytes.length === 4) return { address: bytes.join('.'), port };
  if (bytes.length !== 16) throw new RangeError(`an address of ${bytes.length} bytes`);
  const words = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0));
  const full = words.map((word) => word.toString(16)).join(':');
  return { address: new URL(`http://[${full}]`).hostname.slice(1, -1), port };
}

function addressBytes(address: string): Uint8Array {
  if (!address.includes(':')) return Uint8Array.from(address.split('.'), Number);
  const [head = '', tail] = address.split('::');
  const words = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((word) => Number.parseInt(word, 16));
  const before = words(head);
  const after = tail === undefined ? [] : words(tail);
  const zeros: number[] = new Array(8 - before.length - after.length).fill(0);
  return Uint8Array.from([...before, ...zeros, ...after].flatMap((word) => [word >> 8, word & 0xff]));
}
