// Content codings over a real connection: curl asks the scripted server for a model's answer in each coding, over OpenSSL,
// with HTTP/1.1 and HTTP/2. (Codex asks for none, and does not understand what it did not ask for.)

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { capture } from '../../src/capture/capture.js';
import { findCommand } from '../../src/capture/command.js';
import { linkedTlsLibraries } from '../../src/elf/linked-libraries.js';
import { interpretBundle } from '../../src/interpret/interpret-bundle.js';
import { type Encoding, storedZstd } from '../support/content-encoder.js';
import { demoSteps } from '../support/demo-script.js';
import { startMockResponses } from '../support/mock-responses.js';
import { requireRoot, requireThat } from '../support/requirements.js';

const directory = mkdtempSync(join(tmpdir(), 'agsight-encodings-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

let curl: string;

beforeEach((context) => {
  requireRoot(context);
  try {
    curl = findCommand('curl');
  } catch {
    curl = '';
  }
  requireThat(
    curl !== '' && linkedTlsLibraries(curl).length > 0,
    'needs a curl that is linked to libssl',
    context,
  );
});

const THREAD = '01a1f929-0000-7000-8000-000000000001';
const [callTool] = demoSteps;

test.for<[Encoding, '1.1' | '2']>([
  ['gzip', '1.1'],
  ['deflate', '1.1'],
  ['deflate-raw', '1.1'],
  ['br', '1.1'],
  ['zstd', '1.1'],
  ['gzip', '2'],
  ['br', '2'],
])('%s over HTTP/%s', async ([encoding, version]) => {
  const place = join(directory, `${encoding}-${version}`);
  const server = await startMockResponses([callTool ?? { output: [], usage: { input: 0, output: 0 } }], {
    encoding,
    http2: version === '2',
  });
  const body = {
    model: 'gpt-5.5',
    input: [{ type: 'message', role: 'user', content: [{ type: 'input_text', text: 'hi' }] }],
    client_metadata: { thread_id: THREAD, session_id: THREAD, turn_id: THREAD },
  };
  const bodyFile = `${place}.zst`;
  writeFileSync(bodyFile, storedZstd(Buffer.from(JSON.stringify(body))));
  const headers = ['content-type: application/json', 'content-encoding: zstd', 'expect:'];
  try {
    await capture({
      output: place,
      target: {
        command: [
          curl,
          ...['-sk', '-o', '/dev/null', version === '2' ? '--http2' : '--http1.1'],
          ...headers.flatMap((header) => ['-H', header]),
          ...['--data-binary', `@${bodyFile}`, `${server.baseUrl}/responses`],
        ],
      },
      ringBytes: 1 << 20,
      stop: new AbortController().signal,
    });
  } finally {
    await server.close();
  }
  expect(server.requests.map(({ httpVersion }) => httpVersion)).toEqual([version === '2' ? '2.0' : '1.1']);
  const { exchanges, anomalies, rootThreadIds } = await interpretBundle(place);
  expect(anomalies).toEqual([]);
  expect(rootThreadIds).toEqual([THREAD]);
  expect(exchanges).toMatchObject([
    {
      path: '/v1/responses',
      status: 200,
      call: {
        outcome: 'completed',
        responseId: 'resp_mock_1',
        usage: {
          input_tokens: 4200,
          cached_input_tokens: 3072,
          output_tokens: 64,
          reasoning_output_tokens: 32,
        },
      },
    },
  ]);
});
