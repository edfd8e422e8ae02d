// `openssl s_server`, for what Node's TLS cannot do: to change the keys of a connection while it lasts. Its standard output
// holds what clients send between lines of its own; its standard input takes what is sent to them, and commands.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { vi } from 'vitest';
import { createServerIdentity, type ServerIdentity } from './certificate.js';

export interface OpensslServer {
  baseUrl: string;
  identity: ServerIdentity;
  /** The body of the next request with a Content-Length. */
  receive(): Promise<string>;
  /**
   * Answers on the connection that the last request came over. At most 16 KiB at a time, which must not begin with a letter
   * that is a command of s_server: B, K, P, Q, R, S, k, q or r.
   */
  send(text: string): void;
  /** Changes its keys and asks the client to do the same. Resolves when what is sent from now on has new keys. */
  updateKeys(): Promise<void>;
  close(): Promise<void>;
}

const patience = { timeout: 20_000, interval: 10 };
const requestHead = /POST \S+ HTTP\/1\.1\r\n(?:.+\r\n)*content-length: (\d+)\r\n(?:.+\r\n)*\r\n/gi;

/** Starts a server on loopback that speaks TLS 1.3 with one client after the other. */
export async function startOpensslServer(): Promise<OpensslServer> {
  const identity = createServerIdentity();
  const directory = mkdtempSync(join(tmpdir(), 'agsight-openssl-'));
  const path = (name: string) => join(directory, name);
  writeFileSync(path('certificate'), identity.certificate);
  writeFileSync(path('key'), identity.key);
  writeFileSync(path('messages'), '');
  const keys = ['-cert', path('certificate'), '-key', path('key'), '-tls1_3'];
  const told = ['-msg', '-msgfile', path('messages')];
  const server = spawn('openssl', ['s_server', '-accept', '127.0.0.1:0', ...keys, ...told], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  let output = '';
  server.stdout.setEncoding('latin1').on('data', (text: string) => {
    output += text;
  });
  const { port } = await vi.waitFor(() => {
    const [, port] = /^ACCEPT 127\.0\.0\.1:(\d+)$/m.exec(output) ?? [];
    if (port === undefined) throw new Error(`openssl s_server does not accept: ${output}`);
    return { port };
  }, patience);
  const updatesSent = () => readFileSync(path('messages'), 'utf8').match(/^>>> .*KeyUpdate$/gm)?.length ?? 0;
  let read = 0;
  return {
    baseUrl: `https://127.0.0.1:${port}/v1`,
    identity,
    receive: () =>
      vi.waitFor(() => {
        requestHead.lastIndex = read;
        const head = requestHead.exec(output);
        const end = requestHead.lastIndex + Number(head?.[1]);
        if (head === null || end > output.length) throw new Error('no whole request came');
        read = end;
        return Buffer.from(output.slice(end - Number(head[1]), end), 'latin1').toString();
      }, patience),
    send: (text) => void server.stdin.write(text),
    async updateKeys() {
      const before = updatesSent();
      server.stdin.write('K\n');
      await vi.waitFor(() => {
        if (updatesSent() === before) throw new Error('openssl s_server sent no KeyUpdate');
      }, patience);
    },
    async close() {
      const ended = once(server, 'exit');
      server.kill();
      await ended;
      rmSync(directory, { recursive: true });
    },
  };
}
