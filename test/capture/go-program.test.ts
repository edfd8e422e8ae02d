// A program of Go, whose goroutines go from thread to thread while they are inside a call: the official build of Buf, which
// is stripped as most are.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createSecureServer } from 'node:http2';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test, vi } from 'vitest';
import { capture } from '../../src/capture/capture.js';
import { inspectForProbes } from '../../src/capture/probed-binaries.js';
import { readEvidence } from '../../src/evidence/reader.js';
import { toolCallEffects } from '../../src/governance/tool-call-effects.js';
import { createServerIdentity } from '../support/certificate.js';
import { requireGoProgram, requireRoot } from '../support/requirements.js';

const directory = mkdtempSync(join(tmpdir(), 'agsight-go-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const schema = `syntax = "proto3";
package a.v1;
message Text { string text = 1; }
service Echo { rpc Say(Text) returns (Text); }
`;
const clients = 4;
const sentCharacters = 200_000;
/** A message of Protocol Buffers with one text in its first field. */
const answer = Buffer.concat([Buffer.from([0x0a, 0xa0, 0x8d, 0x06]), Buffer.alloc(100_000, 'x')]);

const server = {
  'HTTP/2': (identity: { key: string; cert: string }): Server => createSecureServer(identity) as never,
  'HTTP/1.1': (identity: { key: string; cert: string }): Server => createServer(identity),
};

/** Answers every request, not before `mayAnswer`, and remembers how long it was. */
async function startServer(
  protocol: keyof typeof server,
  mayAnswer: Promise<void> = Promise.resolve(),
): Promise<{ url: string; lengths: number[]; close(): void }> {
  const { key, certificate: cert } = createServerIdentity();
  const started = server[protocol]({ key, cert });
  const lengths: number[] = [];
  started.on('request', (request, response) => {
    let length = 0;
    request.on('data', (bytes: Buffer) => {
      length += bytes.length;
    });
    request.on('end', async () => {
      lengths.push(length);
      await mayAnswer;
      response.writeHead(200, { 'content-type': 'application/proto' });
      response.end(answer);
    });
  });
  started.listen(0, '127.0.0.1');
  await once(started, 'listening');
  const { port } = started.address() as AddressInfo;
  return { url: `https://127.0.0.1:${port}`, lengths, close: () => started.close() };
}

/** What runs Buf for a request that it sends to `url`. */
function askCommand(buf: string, url: string): string {
  writeFileSync(join(directory, 'echo.proto'), schema);
  writeFileSync(join(directory, 'ask.json'), JSON.stringify({ text: 'y'.repeat(sentCharacters) }));
  return `'${buf}' curl -k --protocol connect --schema ${directory} -d @${directory}/ask.json ${url}/a.v1.Echo/Say`;
}

test.for(['HTTP/2', 'HTTP/1.1'] as const)(
  'what it sends and receives is recorded: %s',
  async (protocol, context) => {
    requireRoot(context);
    const buf = await requireGoProgram(context);
    // Remembered: the four begin at once, and are probed as a program that was met before.
    inspectForProbes(buf);
    const { url, lengths, close } = await startServer(protocol);
    const output = join(directory, protocol.replace('/', '-'));
    const script = `for i in $(seq ${clients}); do ${askCommand(buf, url)} > ${directory}/answer.$i & done; wait`;
    try {
      await capture({
        output,
        target: { command: ['sh', '-c', script] },
        ringBytes: 16 << 20,
        stop: new AbortController().signal,
      });
    } finally {
      close();
    }
    expect(lengths.length).toBe(clients);
    const { roots, isSound } = await toolCallEffects(output, { roots: true });
    expect(isSound).toBe(true);
    const told = { method: 'POST', path: '/a.v1.Echo/Say', status: 200, received_bytes: answer.length };
    expect(roots.flatMap(({ http_requests }) => http_requests)).toMatchObject(
      lengths.map((sent_bytes) => ({ ...told, sent_bytes })),
    );
    const libraries = new Set<string>();
    for await (const event of readEvidence(output)) if (event.kind === 'tls') libraries.add(event.library);
    expect([...libraries]).toEqual(['crypto/tls']);
  },
);

test('what it waits for when the capture begins is recorded', async (context) => {
  requireRoot(context);
  const buf = await requireGoProgram(context);
  let answer = () => {};
  const mayAnswer = new Promise<void>((resolve) => {
    answer = resolve;
  });
  const { url, lengths, close } = await startServer('HTTP/1.1', mayAnswer);
  const child = spawn('sh', ['-c', `exec ${askCommand(buf, url)}`], { stdio: 'ignore' });
  const output = join(directory, 'waiting');
  try {
    await vi.waitUntil(() => lengths.length > 0, { timeout: 30_000 });
    await capture({
      output,
      target: { pids: [child.pid ?? 0] },
      ringBytes: 1 << 20,
      observer: { follow: answer, push() {}, recorded() {} },
      stop: new AbortController().signal,
    });
  } finally {
    close();
  }
  let received = '';
  for await (const event of readEvidence(output)) {
    if (event.kind === 'tls' && event.direction === 'receive')
      received += Buffer.from(event.data).toString('latin1');
  }
  const [head = '', body = ''] = received.split('\r\n\r\n');
  expect(head).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  expect(body.split('x').length - 1).toBe(100_000);
});
