// A command that is linked to libssl: found through the program, probed before the command runs.

import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
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
