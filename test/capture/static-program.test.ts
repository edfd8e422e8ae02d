// A program that holds its TLS library itself and is no Codex: Node, as most agents of other makes run on it.

import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { capture } from '../../src/capture/capture.js';
import { inspectBinary } from '../../src/elf/binary.js';
import { readEvidence } from '../../src/evidence/reader.js';
import { createServerIdentity } from '../support/certificate.js';
import { requireRoot, requireThat } from '../support/requirements.js';

/** More than a TLS record holds, so that one write becomes several. */
const bodyBytes = 100_000;
const program = (url: string) => `
  const body = 'x'.repeat(${bodyBytes - 3}) + 'end';
  const { request } = require('node:https');
  request('${url}', { method: 'POST', rejectUnauthorized: false }, (response) => response.resume()).end(body);`;

test("Node's own TLS is recorded in both directions", async (context) => {
  requireRoot(context);
  const node = process.execPath;
  const isStatic = inspectBinary(node).tls.some(({ functions }) => functions.length > 0);
  requireThat(isStatic, 'needs a Node with a TLS library of its own, as the official builds have', context);
  const { key, certificate } = createServerIdentity();
  const server = createServer({ key, cert: certificate }, (request, response) => {
    request.resume().on('end', () => response.end('the answer'));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const directory = mkdtempSync(join(tmpdir(), 'agsight-node-'));
  try {
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/by-node`;
    const output = join(directory, 'bundle');
    await capture({
      output,
      target: { command: [node, '-e', program(url)] },
      ringBytes: 1 << 20,
      stop: new AbortController().signal,
    });
    const text = { send: '', receive: '' };
    for await (const event of readEvidence(output)) {
      if (event.kind === 'tls') text[event.direction] += Buffer.from(event.data).toString('latin1');
    }
    const [head = '', body = ''] = text.send.split('\r\n\r\n');
    expect(head).toMatch(/^POST \/by-node HTTP\/1\.1\r\n/);
    expect([body.length, body.slice(-6)]).toEqual([bodyBytes, 'xxxend']);
    expect(text.receive).toMatch(/^HTTP\/1\.1 200 OK\r\n.*the answer/s);
  } finally {
    server.close();
    rmSync(directory, { recursive: true, force: true });
  }
});
