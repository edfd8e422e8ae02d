// A command that is linked to libssl or GnuTLS: found through the program, probed before the command runs.

import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { capture } from '../../src/capture/capture.js';
import { findCommand } from '../../src/capture/command.js';
import { linkedTlsLibraries } from '../../src/elf/linked-libraries.js';
import { readEvidence } from '../../src/evidence/reader.js';
import { createServerIdentity } from '../support/certificate.js';
import { requireRoot, requireThat } from '../support/requirements.js';

function linkedCurl(): string | undefined {
  try {
    const curl = findCommand('curl');
    return linkedTlsLibraries(curl).length > 0 ? curl : undefined;
  } catch {
    return undefined;
  }
}

test.for([['directly'], ['through a shell']])(
  'curl is recorded when it is started %s',
  async ([how], context) => {
    requireRoot(context);
    const curl = linkedCurl();
    requireThat(curl !== undefined, 'needs a curl that is linked to libssl', context);
    const { key, certificate } = createServerIdentity();
    const server = createServer({ key, cert: certificate }, (_, response) => response.end('the answer'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const directory = mkdtempSync(join(tmpdir(), 'agsight-curl-'));
    try {
      const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/by-curl`;
      const request = [curl ?? '', '-sk', '-o', '/dev/null', url];
      const output = join(directory, 'bundle');
      await capture({
        output,
        target: { command: how === 'directly' ? request : ['/bin/sh', '-c', `${request.join(' ')}; true`] },
        ringBytes: 1 << 20,
        stop: new AbortController().signal,
      });
      let sent = '';
      for await (const event of readEvidence(output)) {
        if (event.kind === 'tls' && event.direction === 'send')
          sent += Buffer.from(event.data).toString('latin1');
      }
      expect(sent).toContain('by-curl');
    } finally {
      server.close();
      rmSync(directory, { recursive: true, force: true });
    }
  },
);

const gnutls = `
  #include <string.h>
  #include <sys/types.h>
  static int again = 1;
  int gnutls_handshake(void *session) { return session == 0; }
  ssize_t gnutls_record_send(void *session, const void *data, size_t size) {
    __asm__ volatile("" : : "r"(session), "r"(data) : "memory");
    return size;
  }
  ssize_t gnutls_record_recv(void *session, void *data, size_t size) {
    __asm__ volatile("" : : "r"(session) : "memory");
    memset(data, 'x', size);
    if (again-- > 0) return -28;
    memcpy(data, "the answer", 10);
    return 10;
  }`;
const gnutlsProgram = `
  #include <sys/types.h>
  int gnutls_handshake(void *);
  ssize_t gnutls_record_send(void *, const void *, size_t);
  ssize_t gnutls_record_recv(void *, void *, size_t);
  int main(void) {
    static char session[16], data[64], question[] = "the question";
    question[0] = 'T';
    gnutls_handshake(session);
    gnutls_record_send(session, question, 12);
    gnutls_record_recv(session, data, sizeof(data));
    gnutls_record_recv(session, data, sizeof(data));
    return 0;
  }`;

test('what GnuTLS sends and receives is recorded, and nothing of a call that is to be made again', async (context) => {
  requireRoot(context);
  const directory = mkdtempSync(join(tmpdir(), 'agsight-gnutls-'));
  try {
    const compile = (name: string, source: string, ...flags: string[]) => {
      const file = join(directory, `${name}.c`);
      writeFileSync(file, source);
      execFileSync('cc', ['-O1', '-o', join(directory, name), file, ...flags], { cwd: directory });
      return join(directory, name);
    };
    const library = compile('libgnutls.so.30', gnutls, '-shared', '-fPIC', '-Wl,-soname,libgnutls.so.30');
    const program = compile('program', gnutlsProgram, library, `-Wl,-rpath,${directory}`);
    const output = join(directory, 'bundle');
    await capture({
      output,
      target: { command: [program] },
      ringBytes: 1 << 20,
      stop: new AbortController().signal,
    });
    const seen: string[] = [];
    for await (const event of readEvidence(output)) {
      if (event.kind === 'tls') seen.push(`${event.library} ${event.direction}: ${Buffer.from(event.data)}`);
    }
    expect(seen).toEqual(['gnutls send: The question', 'gnutls receive: the answer']);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
