// The bytes that the ws package exchanges with itself, read by the decoder: an independent reading of the two RFCs.

import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { type PerMessageDeflateOptions, WebSocket, WebSocketServer } from 'ws';
import type { HeaderFields } from '../../src/protocol/http1-head.js';
import { WebSocketDecoder } from '../../src/protocol/websocket.js';
import { expectedAccept, webSocketParameters } from '../../src/protocol/websocket-handshake.js';

const messages = [
  '{"type":"one"}',
  '{"type":"one"}',
  `{"type":"${'long '.repeat(40_000)}"}`,
  '{"type":"one"}',
];

interface Talk {
  request: HeaderFields;
  response: HeaderFields;
  sent: Buffer;
  received: Buffer;
}

const fieldsOf = (headers: NodeJS.Dict<string | string[]>): HeaderFields =>
  Object.entries(headers).map(([name, value]) => [name, String(value)] as const);

/** A client sends all messages, the server sends each back, the client closes. */
async function talk(perMessageDeflate: false | PerMessageDeflateOptions): Promise<Talk> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate });
  await new Promise((resolve) => server.once('listening', resolve));
  const [sent, received]: Buffer[][] = [[], []];
  let request: HeaderFields = [];
  let response: HeaderFields = [];
  server.on('connection', (socket, { socket: raw, headers }) => {
    request = fieldsOf(headers);
    // In front of the receiver, which takes the masks off in place.
    raw.prependListener('data', (bytes: Buffer) => sent?.push(Buffer.from(bytes)));
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  });
  const { port } = server.address() as AddressInfo;
  const client = new WebSocket(`ws://127.0.0.1:${port}/`, { perMessageDeflate });
  client.on('upgrade', (answer) => {
    response = fieldsOf(answer.headers);
    answer.socket.prependListener('data', (bytes: Buffer) => received?.push(Buffer.from(bytes)));
  });
  let left = messages.length;
  client.on('open', () => {
    for (const message of messages) client.send(message);
    client.ping();
  });
  client.on('message', () => {
    left -= 1;
    if (left === 0) client.close(1000);
  });
  await new Promise((resolve) => client.once('close', resolve));
  await new Promise((resolve) => server.close(resolve));
  return { request, response, sent: Buffer.concat(sent ?? []), received: Buffer.concat(received ?? []) };
}

test.each([
  ['no compression', false],
  ['context takeover', { threshold: 0 }],
  ['no context takeover', { threshold: 0, serverNoContextTakeover: true, clientNoContextTakeover: true }],
  ['small windows', { threshold: 0, serverMaxWindowBits: 9, clientMaxWindowBits: 9 }],
  ['only long messages compressed', { threshold: 1000 }],
] as [string, false | PerMessageDeflateOptions][])('%s', async (_, perMessageDeflate) => {
  const { request, response, sent, received } = await talk(perMessageDeflate);
  const accept = response.find(([name]) => name === 'sec-websocket-accept');
  expect(accept?.[1]).toBe(expectedAccept(request));
  const parameters = webSocketParameters(response);
  expect(parameters.client === undefined).toBe(perMessageDeflate === false);
  for (const [from, bytes] of [
    ['client', sent],
    ['server', received],
  ] as const) {
    const told: string[] = [];
    const decoder = new WebSocketDecoder(
      {
        message: ({ kind, bytes: content }) => told.push(`${kind} ${content}`),
        damaged: (why) => told.push(why),
        closed: (code) => told.push(`closed ${code}`),
        lost: (reason) => told.push(reason),
      },
      from,
      parameters[from],
    );
    for (let at = 0; at < bytes.length; at += 1000) decoder.data(bytes.subarray(at, at + 1000));
    expect(told).toEqual([...messages.map((message) => `text ${message}`), 'closed 1000']);
  }
});
