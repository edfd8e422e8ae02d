// TLS in a shared library: Python's ssl module over the system's libssl, talking to a server on loopback.

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { capture } from '../../src/capture/capture.js';
import { readEvidence } from '../../src/evidence/reader.js';
import { createServerIdentity } from '../support/certificate.js';
import { requireRoot, requireThat } from '../support/requirements.js';

/** Loads the library, says so, waits for a line with the port, makes one request. */
const client = `
import ssl, socket, sys
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
print('loaded', flush=True)
port = int(sys.stdin.readline())
with context.wrap_socket(socket.create_connection(('127.0.0.1', port))) as tls:
    tls.sendall(b'GET /over-libssl HTTP/1.1\\r\\nHost: here\\r\\nConnection: close\\r\\n\\r\\n')
    while tls.recv(1000):
        pass
`;

/** The client once libssl is mapped; undefined where Python or its ssl module is missing. */
async function startClient(): Promise<ChildProcessWithoutNullStreams | undefined> {
  const child = spawn('python3', ['-c', client]);
  const started = await Promise.race([
    once(child.stdout, 'data').then(() => true),
    once(child, 'exit').then(() => false),
    once(child, 'error').then(() => false),
  ]);
  return started ? child : undefined;
}

test('a running process is recorded through the libssl that it has mapped', async (context) => {
  requireRoot(context);
  const child = await startClient();
  requireThat(child !== undefined, 'needs python3 with its ssl module', context);
  if (child === undefined) return;

  const { key, certificate } = createServerIdentity();
  const server = createServer({ key, cert: certificate }, (_, response) => response.end('the answer'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const directory = mkdtempSync(join(tmpdir(), 'agsight-libssl-'));
  try {
    const output = join(directory, 'bundle');
    const recording = capture({
      output,
      target: { pids: [child.pid ?? 0] },
      ringBytes: 1 << 20,
      stop: new AbortController().signal,
    });
    while (!existsSync(join(output, 'capture.json'))) await delay(10);
    child.stdin.end(`${(server.address() as AddressInfo).port}\n`);
    const summary = await recording;
    expect(summary).toMatchObject({ end_reason: 'target-exit', lost_events: 0 });

    const text = { send: '', receive: '' };
    for await (const event of readEvidence(output)) {
      if (event.kind === 'tls') text[event.direction] += Buffer.from(event.data).toString('latin1');
    }
    expect(text.send).toBe('GET /over-libssl HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n');
    expect(text.receive).toMatch(/^HTTP\/1\.1 200 OK\r\n.*the answer/s);
  } finally {
    server.close();
    rmSync(directory, { recursive: true, force: true });
  }
});
