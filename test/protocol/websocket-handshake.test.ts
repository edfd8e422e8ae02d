import { expect, test } from 'vitest';
import { expectedAccept, webSocketParameters } from '../../src/protocol/websocket-handshake.js';

test('the accept key of RFC 6455', () => {
  expect(expectedAccept([['sec-websocket-key', 'dGhlIHNhbXBsZSBub25jZQ==']])).toBe(
    's3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
  );
  expect(expectedAccept([['upgrade', 'websocket']])).toBeUndefined();
});

const agreed = (...values: string[]) =>
  webSocketParameters(values.map((value) => ['sec-websocket-extensions', value] as const));

test('no compression unless it was agreed on', () => {
  const none = { client: undefined, server: undefined };
  expect([agreed(), agreed('x-webkit-deflate-frame')]).toEqual([none, none]);
});

test('context takeover by direction, wherever the extension stands', () => {
  expect(agreed('permessage-deflate')).toEqual({
    client: { contextTakeover: true },
    server: { contextTakeover: true },
  });
  expect(agreed('mux, Permessage-Deflate ; server_no_context_takeover; client_max_window_bits=9')).toEqual({
    client: { contextTakeover: true },
    server: { contextTakeover: false },
  });
  expect(agreed('mux', 'permessage-deflate;client_no_context_takeover')).toEqual({
    client: { contextTakeover: false },
    server: { contextTakeover: true },
  });
});
