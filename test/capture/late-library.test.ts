// TLS that was not there when its process began: a library that is loaded later, a program that a script starts. The kernel
// announces both, and they are probed before they are used.

import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { capture } from '../../src/capture/capture.js';
import { findCommand } from '../../src/capture/command.js';
import { readEvidence } from '../../src/evidence/reader.js';
import { createServerIdentity } from '../support/certificate.js';
import { requireRoot, requireThat } from '../support/requirements.js';

let directory: string;
let server: Server;
let port: number;

beforeEach(async (context) => {
  requireRoot(context);
  directory = mkdtempSync(join(tmpdir(), 'agsight-late-'));
  const { key, certificate } = createServerIdentity();
  server = createServer({ key, cert: certificate }, (request, response) =>
    response.end(`got ${request.url}`),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  port = (server.address() as AddressInfo).port;
});

afterEach(() => {
  server?.closeAllConnections();
  server?.close();
  rmSync(directory, { recursive: true, force: true });
});

function has(command: string): boolean {
  try {
    findCommand(command);
    return true;
  } catch {
    return false;
  }
}

const python = (url: string): string[] => [
  'python3',
  '-c',
  `import urllib.request, ssl; urllib.request.urlopen("${url}", context=ssl._create_unverified_context()).read()`,
];
const node = (url: string): string[] => [
  process.execPath,
  '--no-warnings',
  '-e',
  `require("https").get("${url}", { rejectUnauthorized: false }, (answer) => answer.resume())`,
];

test.for<[string, string, (url: string) => string[]]>([
  ["Python's ssl module, which loads libssl", 'python3', python],
  ['Python, started by a shell', 'python3', (url) => throughShell(python(url))],
  ['Node, which has OpenSSL in it', process.execPath, node],
  ['Node, started by a shell', process.execPath, (url) => throughShell(node(url))],
])('the first request of %s is recorded', async ([, program, command], context) => {
  requireThat(has(program), `needs ${program}`, context);
  const output = join(directory, 'bundle');
  const summary = await capture({
    output,
    target: { command: command(`https://127.0.0.1:${port}/at-once`) },
    ringBytes: 4 << 20,
    files: false,
    stop: new AbortController().signal,
  });
  const text = { send: '', receive: '' };
  for await (const event of readEvidence(output)) {
    if (event.kind === 'tls') text[event.direction] += Buffer.from(event.data).toString('latin1');
  }
  expect(text.send).toMatch(/^GET \/at-once HTTP\/1\.1\r\n/);
  expect(text.receive).toMatch(/^HTTP\/1\.1 200 OK\r\n.*got \/at-once/s);
  expect(summary.lost_events).toBe(0);
  // What began while the capture ran says how long it was not probed; the command itself was held until it was.
  const [first] = summary.binaries;
  expect(first?.late === null).toBe(command === node);
  for (const { late } of summary.binaries) if (late !== null) expect(late.ms).toBeGreaterThan(0);
});

/** As a child of the shell, not in its place. */
function throughShell(command: string[]): string[] {
  return ['/bin/sh', '-c', '"$@"; true', 'sh', ...command];
}
