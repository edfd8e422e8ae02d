// Releases of Codex from before and after each change of what lies under their requests, over each transport that they
// have: what was seen from outside must be what Codex says of itself. codex.test.ts looks closer at the newest one.

import { execFile } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeEach, describe, expect, type TestContext, test } from 'vitest';
import { builtInTable } from '../../src/elf/offset-table.js';
import { readEvidence } from '../../src/evidence/reader.js';
import { reduceBundle } from '../../src/reduce/reduce.js';
import { prepareCodexRun } from '../support/codex-run.js';
import { demoPrompt, demoSteps, demoWorkspace } from '../support/demo-script.js';
import { startMockResponses } from '../support/mock-responses.js';
import { requireCodex, requireRoot } from '../support/requirements.js';

const agsight = fileURLToPath(new URL('../../bin/agsight.js', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'agsight-versions-'));
const fetchTimeoutMs = 300_000;

const readJson = (...path: string[]) => JSON.parse(readFileSync(join(...path), 'utf8'));

function run(args: readonly string[], env: NodeJS.ProcessEnv): Promise<{ code: unknown; stderr: string }> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, args, { env, maxBuffer: 64 << 20 }, (error, _, stderr) => {
      resolve({ code: error === null ? 0 : (error.code ?? error.signal), stderr });
    });
    child.stdin?.end();
  });
}

/** How Codex is made to talk, and the library that its plaintext is seen in. */
interface Transport {
  name: string;
  provider?: 'built-in';
  caVariable?: boolean;
  /** What the server takes. */
  serve?: Parameters<typeof startMockResponses>[1];
  library: (version: string) => string;
}

const openssl = () => 'openssl';
const underRustls = (version: string) => (version <= '0.140.0' ? 'ring' : 'aws-lc');
const transports: Transport[] = [
  { name: 'plain HTTP', serve: { tls: false }, library: () => 'socket' },
  { name: 'HTTP over OpenSSL', library: openssl },
  { name: 'HTTP over rustls', caVariable: true, library: underRustls },
  { name: 'HTTP/2 over rustls', caVariable: true, serve: { http2: true }, library: underRustls },
  { name: 'WebSocket', provider: 'built-in', serve: { webSocket: 'plain' }, library: underRustls },
  {
    name: 'compressed WebSocket',
    provider: 'built-in',
    serve: { webSocket: 'deflate' },
    library: underRustls,
  },
];

interface Thing {
  execution: { started_seq: number; status: string };
  [key: string]: unknown;
}

interface State {
  threads: Record<string, Thing & { conversation_item_ids: string[] }>;
  codex_turns: Record<string, Thing>;
  conversation_items: Record<string, { body: { parts: { text?: string }[] }; [key: string]: unknown }>;
  inference_calls: Record<string, Thing & { usage: Record<string, number> | null }>;
  tool_calls: Record<string, Thing>;
  terminal_operations: Record<
    string,
    Thing & { request: object; result: { exit_code: number; stdout: string } | null }
  >;
}

/** What releases with older forms of the trace bundle say, too: who spoke, what it cost, which tools ran. */
function factsOf(state: State) {
  const all = (things: Record<string, Thing>, keys: readonly string[]) =>
    Object.values(things)
      .sort((a, b) => a.execution.started_seq - b.execution.started_seq)
      .map((thing) => ({
        ...Object.fromEntries(keys.map((key) => [key, thing[key]])),
        status: thing.execution.status,
      }));
  return {
    threads: all(state.threads, ['thread_id']),
    turns: all(state.codex_turns, ['codex_turn_id', 'thread_id']),
    inferences: Object.values(state.inference_calls)
      .sort((a, b) => a.execution.started_seq - b.execution.started_seq)
      .map(({ model, response_id, usage, execution }) => {
        // Older releases do not count what was written to the cache.
        const { cache_write_input_tokens: _, ...tokens } = usage ?? {};
        return { model, response_id, usage: tokens, status: execution.status };
      }),
    tools: all(state.tool_calls, ['tool_call_id', 'started_by_codex_turn_id', 'kind']),
    // Older releases tell the output twice.
    commands: Object.values(state.terminal_operations).map(
      ({ tool_call_id, request, result, execution }) => ({
        ...{ tool_call_id, request, exit_code: result?.exit_code, stdout: result?.stdout },
        status: execution.status,
      }),
    ),
    items: Object.values(state.threads).map(({ conversation_item_ids }) =>
      conversation_item_ids.map((id) => {
        const { role, kind, call_id, body } = state.conversation_items[id] ?? { body: { parts: [] } };
        return { role, kind, call_id, text: body.parts.map(({ text }) => text ?? '').join('') };
      }),
    ),
  };
}

/** The TLS libraries whose plaintext was recorded. */
async function librariesIn(bundle: string): Promise<Set<string>> {
  const libraries = new Set<string>();
  for await (const event of readEvidence(bundle)) {
    if (event.kind === 'tls') libraries.add(event.library);
  }
  return libraries;
}

/** How much TLS authenticates beside what it seals: 5 bytes in TLS 1.3, 13 in TLS 1.2. */
async function additionalBytesIn(bundle: string): Promise<Set<number>> {
  const lengths = new Set<number>();
  for await (const event of readEvidence(bundle)) {
    if (event.kind === 'tls') lengths.add(event.additionalData?.length ?? 0);
  }
  return lengths;
}

/** What was sent over TLS. */
async function sentIn(bundle: string): Promise<string> {
  const sent: Uint8Array[] = [];
  for await (const event of readEvidence(bundle)) {
    if (event.kind === 'tls' && event.direction === 'send') sent.push(event.data);
  }
  return Buffer.concat(sent).toString();
}

beforeEach(requireRoot);
afterAll(() => rmSync(directory, { recursive: true, force: true }));

interface Run {
  bundle: string;
  traceRoot: string;
  code: unknown;
  stderr: string;
  server: Awaited<ReturnType<typeof startMockResponses>>;
}

async function capturedRun(
  codex: string,
  version: string,
  transport: Transport,
  variables: NodeJS.ProcessEnv = {},
): Promise<Run> {
  const { name, serve = {}, library: _, ...how } = transport;
  const place = join(directory, `${version} ${name}`.replaceAll(' ', '-'));
  const traceRoot = join(place, 'codex-trace');
  mkdirSync(traceRoot, { recursive: true });
  const server = await startMockResponses(demoSteps, serve);
  const { command, env } = prepareCodexRun({
    codex,
    directory: join(place, 'home'),
    server,
    prompt: demoPrompt,
    workspace: demoWorkspace,
    traceRoot,
    ...how,
  });
  const bundle = join(place, 'bundle');
  const { code, stderr } = await run([agsight, 'capture', '-o', bundle, '--', ...command], {
    ...env,
    ...variables,
  });
  await server.close();
  return { bundle, traceRoot, code, stderr, server };
}

describe('TLS 1.2', () => {
  const overTls12 = (ciphers?: string): Transport => ({
    name: ['TLS 1.2', ciphers].join(' '),
    caVariable: true,
    serve: { maxVersion: 'TLSv1.2', ...(ciphers === undefined ? {} : { ciphers }) },
    library: underRustls,
  });
  const aesGcm = 'ECDHE-ECDSA-AES256-GCM-SHA384';
  const chaCha20 = 'ECDHE-ECDSA-CHACHA20-POLY1305';

  /** Captures a run whose plaintext must come from one library and tell the whole turn. */
  async function seenRun(version: string, transport: Transport, context: TestContext) {
    const codex = await requireCodex(version, context);
    const { bundle, code, stderr, server } = await capturedRun(codex, version, transport);
    expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringContaining(', 0 lost') });
    expect(existsSync(join(bundle, 'anomalies.json'))).toBe(false);
    expect(await librariesIn(bundle)).toEqual(new Set([underRustls(version)]));
    const facts = factsOf(readJson(bundle, 'state.json'));
    expect(facts).toMatchObject({
      turns: [{ status: 'completed' }],
      inferences: [{ response_id: 'resp_mock_1' }, { response_id: 'resp_mock_2' }],
    });
    return { bundle, server, facts };
  }

  test.for([
    ['0.130.0', aesGcm],
    ['0.142.0', aesGcm],
    ['0.169.0', aesGcm],
    ['0.130.0', chaCha20],
    ['0.142.0', chaCha20],
    ['0.169.0', chaCha20],
  ] as const)(
    'of Codex %s with %s is seen',
    { timeout: fetchTimeoutMs },
    async ([version, ciphers], context) => {
      const { bundle, server } = await seenRun(version, overTls12(ciphers), context);
      const sent = await sentIn(bundle);
      expect(server.requests).toHaveLength(2);
      for (const { body } of server.requests) expect(sent.split(body)).toHaveLength(2);
    },
  );

  test.for([
    ['0.130.0', aesGcm],
    ['0.169.0', aesGcm],
    ['0.169.0', chaCha20],
  ] as const)(
    'under the WebSocket of Codex %s with %s is seen',
    { timeout: fetchTimeoutMs },
    async ([version, ciphers], context) => {
      const { name, serve } = overTls12(ciphers);
      const transport: Transport = {
        name: `${name} WebSocket`,
        provider: 'built-in',
        serve: { ...serve, webSocket: 'deflate' },
        library: underRustls,
      };
      const { bundle, server, facts } = await seenRun(version, transport, context);
      expect(server.requests).toEqual([]);
      expect(await additionalBytesIn(bundle)).toEqual(new Set([13]));
      expect(facts).toMatchObject({ tools: [{ tool_call_id: 'call_mock_1', status: 'completed' }] });
    },
  );

  test('of which a row of a table names only half is not told as complete', {
    timeout: fetchTimeoutMs,
  }, async (context) => {
    const codex = await requireCodex('0.142.0', context);
    const entries = builtInTable().entries.map((entry) => ({
      ...entry,
      offsets: entry.offsets && { ...entry.offsets, aead_seal_scatter: undefined },
    }));
    const config = join(directory, 'config');
    mkdirSync(join(config, 'agsight'), { recursive: true });
    writeFileSync(join(config, 'agsight', 'offsets.json'), JSON.stringify({ entries }));
    const { code, stderr } = await capturedRun(codex, '0.142.0', overTls12(), { XDG_CONFIG_HOME: config });
    expect({ code, stderr }).toMatchObject({ code: 3, stderr: expect.stringContaining('unpaired-message') });
  });
});

describe.for(['0.130.0', '0.142.0', '0.160.0'])('Codex %s', (version) => {
  test.for(transports)(
    'over $name is seen as it sees itself',
    { timeout: fetchTimeoutMs },
    async (transport, context) => {
      const codex = await requireCodex(version, context);
      const { serve = {}, library } = transport;
      const { bundle, traceRoot, code, stderr, server } = await capturedRun(codex, version, transport);
      expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringContaining(', 0 lost') });
      expect(server.requests.length === 0).toBe(serve.webSocket !== undefined);

      const [own = ''] = readdirSync(traceRoot);
      await reduceBundle(join(traceRoot, own));
      const inside = factsOf(readJson(traceRoot, own, 'state.json'));
      const outside = factsOf(readJson(bundle, 'state.json'));
      // The tracer of 0.130 says nothing of inferences over a WebSocket.
      const isSilent = version === '0.130.0' && serve.webSocket !== undefined;
      if (isSilent) expect(inside.inferences).toEqual([]);
      const { inferences, items } = isSilent ? outside : inside;
      expect(outside).toEqual({ ...inside, inferences, items });
      expect(await librariesIn(bundle)).toEqual(new Set([library(version)]));
      expect(outside).toMatchObject({
        turns: [{ status: 'completed' }],
        inferences: [
          { response_id: 'resp_mock_1', usage: { input_tokens: 4200, reasoning_output_tokens: 32 } },
          { response_id: 'resp_mock_2', usage: { cached_input_tokens: 4096, output_tokens: 9000 } },
        ],
        tools: [{ tool_call_id: 'call_mock_1', status: 'completed' }],
        commands: [{ tool_call_id: 'call_mock_1', status: 'completed', exit_code: 0 }],
      });
    },
  );
});
