// A Responses API server on loopback that answers from a script: TLS, HTTP/1.1 or HTTP/2, server-sent events or WebSocket.
// It knows the stream's event grammar and nothing about Codex; what a run says is in demo-script.js and in
// test/agreement/scenarios.ts.

import { createServer as createPlainServer } from 'node:http';
import { createSecureServer, constants as http2Constants } from 'node:http2';
import { createServer } from 'node:https';
import { decompress } from 'fzstd';
import { WebSocketServer } from 'ws';
import { createServerIdentity } from './certificate.js';
import { contentEncoder } from './content-encoder.js';

/**
 * @typedef {object} Usage
 * @property {number} input
 * @property {number} [cached] part of `input`
 * @property {number} output
 * @property {number} [reasoning] part of `output`
 *
 * @typedef {Record<string, unknown> & { type: string, id: string }} OutputItem an item of the Responses API
 *
 * @typedef {object} Step the answer to one request
 * @property {OutputItem[]} output
 * @property {Usage} usage
 * @property {boolean} [stall] send everything but the end, and keep the connection open
 * @property {string} [unfinished] text of a last message that is begun and not finished
 * @property {boolean} [cut] break the connection off in place of the end
 * @property {{ code: string, message: string }} [failure] end with `response.failed`
 * @property {string} [incomplete] end with `response.incomplete` for this reason
 * @property {{ status: number, body: unknown }} [refusal] answer with this JSON instead; over HTTP only
 * @property {() => void} [sent] called when all of it is sent
 *
 * @typedef {object} ScriptRequest a request that wants output
 * @property {string} path
 * @property {Record<string, any>} body
 * @property {number} number from 0, in the order of arrival
 *
 * @typedef {(request: ScriptRequest) => Step | undefined | Promise<Step | undefined>} Script
 *
 * @typedef {object} ReceivedRequest
 * @property {string} path
 * @property {import('node:http').IncomingHttpHeaders} headers
 * @property {string} body decompressed
 * @property {string} httpVersion
 *
 * @typedef {object} MockResponses
 * @property {string} baseUrl `https://127.0.0.1:PORT/v1`, or with `http:`
 * @property {import('./certificate.js').ServerIdentity} identity
 * @property {ReceivedRequest[]} requests in the order of arrival, those that the script had no answer for included
 * @property {string[]} messages what came over WebSocket, in the order of arrival
 * @property {() => Promise<void>} close also cuts the connections that a stalled step keeps open
 */

const NOT_FOUND = 404;
const UPGRADE_REFUSED = 426;
const DELTAS = /.{1,400}/gsu;
/** What was sent before a cut is to arrive. */
const CUT_AFTER_MS = 50;

/** @param {Usage} usage */
const usageObject = ({ input, cached = 0, output, reasoning = 0 }) => ({
  input_tokens: input,
  input_tokens_details: { cached_tokens: cached },
  output_tokens: output,
  output_tokens_details: { reasoning_tokens: reasoning },
  total_tokens: input + output,
});

/**
 * The text of a message item, or an empty string for any other item.
 *
 * @param {OutputItem} item
 */
function messageText(item) {
  if (!Array.isArray(item.content)) return '';
  return item.content.map((part) => (part.type === 'output_text' ? part.text : '')).join('');
}

/**
 * @param {Step} step
 * @param {{ id: string, model: unknown }} identity
 * @returns {Generator<Record<string, unknown> & { type: string }>}
 */
function* streamEvents(step, { id, model }) {
  const response = { id, object: 'response', created_at: Math.floor(Date.now() / 1000), model };
  yield { type: 'response.created', response: { ...response, status: 'in_progress', output: [] } };
  for (const [index, item] of step.output.entries()) {
    const place = { item_id: item.id, output_index: index };
    const text = messageText(item);
    const begun = text === '' ? item : { ...item, content: [] };
    yield { type: 'response.output_item.added', output_index: index, item: begun };
    for (const delta of text.match(DELTAS) ?? []) {
      yield { type: 'response.output_text.delta', ...place, content_index: 0, delta };
    }
    yield { type: 'response.output_item.done', output_index: index, item };
  }
  if (step.unfinished !== undefined) {
    const place = { item_id: `msg_unfinished_${id}`, output_index: step.output.length };
    const item = { type: 'message', id: place.item_id, role: 'assistant', content: [] };
    yield { type: 'response.output_item.added', output_index: place.output_index, item };
    yield { type: 'response.output_text.delta', ...place, content_index: 0, delta: step.unfinished };
  }
  if (step.stall || step.cut) return;
  if (step.failure !== undefined) {
    yield { type: 'response.failed', response: { ...response, status: 'failed', error: step.failure } };
    return;
  }
  if (step.incomplete !== undefined) {
    const why = { incomplete_details: { reason: step.incomplete } };
    yield { type: 'response.incomplete', response: { ...response, status: 'incomplete', ...why } };
    return;
  }
  const completed = { ...response, status: 'completed', output: step.output, usage: usageObject(step.usage) };
  yield { type: 'response.completed', response: completed };
}

/**
 * Ends a response in its middle: its connection, or over HTTP/2 its stream.
 *
 * @param {import('node:http').IncomingMessage | import('node:http2').Http2ServerRequest} request
 */
function breakOff(request) {
  if ('stream' in request) request.stream.close(http2Constants.NGHTTP2_INTERNAL_ERROR);
  else request.socket.destroy();
}

/**
 * Codex opens a WebSocket with a request that it wants no output for.
 *
 * @type {Step}
 */
const warmUpAnswer = { output: [], usage: { input: 0, output: 0 } };

/**
 * Starts a server that answers the nth `POST …/responses` with the nth step, or as a function says, and anything else
 * with status 404.
 *
 * A WebSocket on the same path is refused, unless `webSocket` says with what compression it is accepted; its nth
 * message that wants output is answered like a request.
 *
 * @param {readonly Step[] | Script} script
 * @param {object} [options]
 * @param {'plain' | 'deflate'} [options.webSocket]
 * @param {boolean} [options.http2] speak nothing but HTTP/2
 * @param {boolean} [options.tls] false for plain HTTP/1.1
 * @param {import('node:tls').SecureVersion} [options.maxVersion] of TLS
 * @param {string} [options.ciphers] of TLS 1.2, as OpenSSL names them
 * @param {import('./content-encoder.js').Encoding} [options.encoding] of the answers, whether asked for or not
 * @returns {Promise<MockResponses>}
 */
export async function startMockResponses(
  script,
  { webSocket, http2 = false, tls = true, maxVersion, ciphers, encoding } = {},
) {
  const identity = createServerIdentity();
  /** @type {ReceivedRequest[]} */
  const requests = [];
  /** @type {string[]} */
  const messages = [];
  let answered = 0;
  let warmUps = 0;

  /**
   * The next step, with its number from 1.
   *
   * @param {string} path
   * @param {Record<string, any>} body
   */
  const next = async (path, body) => {
    const number = answered++;
    const step = typeof script === 'function' ? await script({ path, body, number }) : script[number];
    if (step === undefined) answered -= 1;
    return { step, number: number + 1 };
  };

  /**
   * @param {import('node:http').IncomingMessage | import('node:http2').Http2ServerRequest} request
   * @param {(import('node:http').ServerResponse | import('node:http2').Http2ServerResponse) & import('node:stream').Writable} response
   */
  async function answer(request, response) {
    const path = request.url ?? '/';
    /** @type {Buffer[]} */
    const parts = [];
    for await (const part of request) parts.push(part);
    const sent = Buffer.concat(parts);
    const body = new TextDecoder().decode(
      request.headers['content-encoding'] === 'zstd' ? decompress(sent) : sent,
    );
    requests.push({ path, headers: request.headers, body, httpVersion: request.httpVersion });

    const isCall = request.method === 'POST' && path.endsWith('/responses');
    const { step, number } = isCall ? await next(path, JSON.parse(body)) : { step: undefined, number: 0 };
    if (step === undefined || step.refusal !== undefined) {
      const message = `the script has no answer for ${request.method} ${path}`;
      // Codex tries a WebSocket again after any other answer.
      const missing = request.headers.upgrade === 'websocket' ? UPGRADE_REFUSED : NOT_FOUND;
      const { status, body: said } = step?.refusal ?? { status: missing, body: { error: { message } } };
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(said));
      return;
    }
    response.writeHead(200, {
      'content-type': 'text/event-stream',
      'x-request-id': `req_mock_${number}`,
      ...(encoding === undefined ? {} : { 'content-encoding': encoding.replace('-raw', '') }),
    });
    const encoder = contentEncoder(encoding, response);
    const events = streamEvents(step, { id: `resp_mock_${number}`, model: JSON.parse(body).model });
    let sequence = 0;
    for (const event of events) {
      const data = JSON.stringify({ ...event, sequence_number: sequence++ });
      encoder.write(`event: ${event.type}\ndata: ${data}\n\n`);
    }
    step.sent?.();
    if (step.cut) setTimeout(() => breakOff(request), CUT_AFTER_MS);
    else if (!step.stall) encoder.end();
  }

  const keys = {
    key: identity.key,
    cert: identity.certificate,
    ...(maxVersion === undefined ? {} : { maxVersion }),
    ...(ciphers === undefined ? {} : { ciphers }),
  };
  const secure = http2 ? createSecureServer(keys, answer) : createServer(keys, answer);
  const server = tls ? secure : createPlainServer(answer);
  /** @type {Set<import('node:net').Socket>} */
  const connections = new Set();
  server.on(tls ? 'secureConnection' : 'connection', (socket) => {
    connections.add(socket);
    socket.on('close', () => connections.delete(socket));
  });

  if (webSocket !== undefined) {
    const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: webSocket === 'deflate' });
    server.on('upgrade', (request, socket, head) => {
      sockets.handleUpgrade(request, socket, head, (opened) => sockets.emit('connection', opened, request));
    });
    sockets.on('connection', (socket, { url = '/' }) => {
      socket.on('message', async (data) => {
        const text = data.toString();
        messages.push(text);
        const body = JSON.parse(text);
        const isWarmUp = body.generate === false;
        const { step, number } = isWarmUp ? { step: warmUpAnswer, number: ++warmUps } : await next(url, body);
        if (step === undefined) return socket.close(1011, 'the script has no answer');
        const id = `${isWarmUp ? 'resp_warm' : 'resp_mock'}_${number}`;
        for (const event of streamEvents(step, { id, model: body.model })) socket.send(JSON.stringify(event));
        step.sent?.();
        if (step.cut) setTimeout(() => socket.terminate(), CUT_AFTER_MS);
      });
    });
  }

  await /** @type {Promise<void>} */ (new Promise((resolve) => server.listen(0, '127.0.0.1', resolve)));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the mock server has no TCP address');
  return {
    baseUrl: `${tls ? 'https' : 'http'}://127.0.0.1:${address.port}/v1`,
    identity,
    requests,
    messages,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const connection of connections) connection.destroy();
      }),
  };
}
