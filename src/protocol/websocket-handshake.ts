// The opening handshake of WebSocket (RFC 6455 section 4) and of permessage-deflate (RFC 7692 section 7), as far as
// an observer needs it: which answer belongs to which request, and how the messages will be compressed.

import { createHash } from 'node:crypto';
import { field, type HeaderFields } from './http1-head.js';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** The `sec-websocket-accept` that answers these request fields; undefined when they ask for no WebSocket. */
export function expectedAccept(request: HeaderFields): string | undefined {
  const key = field(request, 'sec-websocket-key');
  if (key === undefined) return undefined;
  return createHash('sha1').update(`${key}${GUID}`).digest('base64');
}

/** How the messages of one direction are compressed. */
export interface Compression {
  /** Each message may refer to the ones before it. */
  contextTakeover: boolean;
  /** Messages came before the first one that is decoded. */
  isJoined?: boolean;
}

export interface WebSocketParameters {
  /** Undefined: no message is compressed. */
  client: Compression | undefined;
  server: Compression | undefined;
}

/**
 * What the response has agreed to. The window sizes do not matter to a reader: one for the largest window reads
 * what was written for a smaller one.
 */
export function webSocketParameters(response: HeaderFields): WebSocketParameters {
  const deflate = response
    .filter(([name]) => name === 'sec-websocket-extensions')
    .flatMap(([, value]) => value.split(','))
    .map((extension) => extension.split(';').map((part) => part.trim().toLowerCase()))
    .find(([name]) => name === 'permessage-deflate');
  if (deflate === undefined) return { client: undefined, server: undefined };
  return {
    client: { contextTakeover: !deflate.includes('client_no_context_takeover') },
    server: { contextTakeover: !deflate.includes('server_no_context_takeover') },
  };
}
