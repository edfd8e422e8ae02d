// The real Codex under `agsight capture`, with Codex's own tracer on at the same time: what was seen from outside
// must be what Codex says of itself. Needs root; Codex comes from the npm registry, the rest stays on loopback.

import { execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { interpretBundle } from '../../src/interpret/interpret-bundle.js';
import { type CodexRun, prepareCodexRun } from '../support/codex-run.js';
import { demoPrompt, demoSteps, demoWorkspace, stalledSteps } from '../support/demo-script.js';
import { type MockResponses, type Step, startMockResponses } from '../support/mock-responses.js';
import { requireCodex, requireRoot } from '../support/requirements.js';
import { modelVisibleFacts } from './model-visible-facts.js';

const agsight = fileURLToPath(new URL('../../bin/agsight.js', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'agsight-e2e-'));
const fetchTimeoutMs = 300_000;

let codex: string;

interface Finished {
  status: number | string | null;
  stdout: string;
  stderr: string;
}

function run(file: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<Finished> {
  return new Promise((resolve) => {
    const child = execFile(file, args, { env, maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : (error.code ?? error.signal ?? null), stdout, stderr });
    });
    // Codex reads more of its prompt from a standard input that is open.
    child.stdin?.end();
  });
}

const runAgsight = (...args: string[]): Promise<Finished> => run(process.execPath, [agsight, ...args]);

const readText = (...path: string[]): string => readFileSync(join(...path), 'utf8');
const readJson = (...path: string[]) => JSON.parse(readText(...path));

/** All files below `path`, and the directories with them. */
function tree(path: string): string[] {
  const inside = readdirSync(path, { recursive: true, encoding: 'utf8' }).map((name) => join(path, name));
  return [path, ...inside];
}

/** How Codex can be made to talk to its model. */
interface Transport {
  provider?: 'custom' | 'built-in';
  caVariable?: boolean;
  login?: 'key' | 'chatgpt';
  webSocket?: 'plain' | 'deflate';
  http2?: boolean;
  /** False: a base URL with http:, as that of a proxy on the same host. */
  tls?: boolean;
}

interface Place {
  bundle: string;
  traceRoot: string;
  server: MockResponses;
  codexRun: CodexRun;
  captureArgs: string[];
}

async function prepare(
  name: string,
  steps: readonly Step[],
  { webSocket, http2 = false, tls = true, ...how }: Transport = {},
): Promise<Place> {
  const place = join(directory, name);
  const traceRoot = join(place, 'codex-trace');
  mkdirSync(traceRoot, { recursive: true });
  const server = await startMockResponses(steps, {
    http2,
    tls,
    ...(webSocket === undefined ? {} : { webSocket }),
  });
  const home = join(place, 'home');
  const workspace = demoWorkspace;
  const codexRun = prepareCodexRun({
    codex,
    directory: home,
    server,
    prompt: demoPrompt,
    workspace,
    traceRoot,
    ...how,
  });
  const bundle = join(place, 'bundle');
  const captureArgs = [agsight, '-v', 'capture', '-o', bundle, '--', ...codexRun.command];
  return { bundle, traceRoot, server, codexRun, captureArgs };
}

/** Reduces a bundle with Codex itself and returns the bytes of its state. */
async function referenceState(bundle: string): Promise<string> {
  const home = join(directory, 'reference-home');
  const temporary = join(directory, 'reference-tmp');
  for (const path of [home, temporary]) mkdirSync(path, { recursive: true });
  const output = join(directory, 'reference-state.json');
  const env = { HOME: home, CODEX_HOME: home, TMPDIR: temporary };
  const { status, stderr } = await run(codex, ['debug', 'trace-reduce', bundle, '-o', output], env);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  const state = readText(output);
  rmSync(output);
  return state;
}

type Facts = ReturnType<typeof modelVisibleFacts>;

/** Over WebSocket, Codex's own id of an inference is not on the wire: its response names it there. */
function namedByResponse(facts: Facts): Facts {
  let text = JSON.stringify(facts);
  for (const { inference_call_id, response_id } of JSON.parse(text).inferences) {
    text = text.replaceAll(inference_call_id, `of ${response_id}`);
  }
  return JSON.parse(text);
}

/** Codex outlives its capture; both and what they started are one process group. */
function killGroup(leader: number | undefined): void {
  try {
    if (leader !== undefined) process.kill(-leader, 'SIGKILL');
  } catch {
    // All of them had ended.
  }
}

beforeEach(async (context) => {
  requireRoot(context);
  codex = await requireCodex('0.169.0', context);
}, fetchTimeoutMs);

afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe.for<[string, Transport]>([
  ['HTTP over OpenSSL', {}],
  ['HTTP over rustls', { caVariable: true }],
  ['HTTP without TLS', { tls: false }],
  ['HTTP/2 over rustls', { caVariable: true, http2: true }],
  ['HTTP with compressed requests', { provider: 'built-in', login: 'chatgpt' }],
  ['WebSocket over rustls', { provider: 'built-in', webSocket: 'plain' }],
  ['compressed WebSocket over rustls', { provider: 'built-in', webSocket: 'deflate' }],
  ['WebSocket without TLS', { provider: 'built-in', webSocket: 'deflate', tls: false }],
])('codex exec with a tool call over %s', ([name, transport]) => {
  let recording: Promise<Place & { finished: Finished }> | undefined;
  /** Recorded once, for all tests. */
  const recorded = () => {
    recording ??= (async () => {
      const place = await prepare(name.replaceAll(/\W+/g, '-'), demoSteps, transport);
      const finished = await run(process.execPath, place.captureArgs, place.codexRun.env);
      await place.server.close();
      return { ...place, finished };
    })();
    return recording;
  };

  test('ends in order and loses nothing', async () => {
    const { finished, server, bundle } = await recorded();
    // With a login Codex asks for models and a WebSocket, which this server has not, and says so.
    const refused =
      /^\S+ ERROR codex_\S+ failed to (refresh available models|connect to Responses WebSocket)\b.*$/gm;
    expect(finished.stderr.replaceAll(refused, '')).not.toMatch(/warn|error/i);
    expect(finished.status).toBe(0);
    expect(finished.stdout).toContain('"type":"turn.completed"');
    const call =
      /^agsight: (POST|GET) 127\.0\.0\.1:\d+\/v1\/responses (200|101), gpt-5\.5 completed, (\d+) tokens in, \d+ out, \d+\.\d s$/gm;
    const told = [...finished.stderr.matchAll(call)].map(([, , , tokens]) => tokens);
    expect(told.filter((tokens) => tokens !== '0')).toEqual(['4200', '4300']);
    const messages = server.messages.filter((text) => JSON.parse(text).generate !== false);
    const requests = server.requests.filter(({ body }) => body !== '');
    expect(requests.length + messages.length).toBe(demoSteps.length);
    for (const { httpVersion, headers } of requests) {
      expect(httpVersion).toBe(transport.http2 ? '2.0' : '1.1');
      expect(headers['content-encoding']).toBe(transport.login === 'chatgpt' ? 'zstd' : undefined);
    }
    expect(messages.length > 0).toBe(transport.webSocket !== undefined);
    expect(readJson(bundle, 'capture.json')).toMatchObject({ end_reason: 'target-exit', lost_events: 0 });

    const { status, stdout } = await runAgsight('verify', bundle, '--json');
    expect(JSON.parse(stdout)).toMatchObject({ verdict: 'ok', findings: [] });
    expect(status).toBe(0);
  });

  test('the reference accepts the bundle and reduces it to the same bytes', async () => {
    const { bundle } = await recorded();
    expect(await referenceState(bundle)).toBe(readText(bundle, 'state.json'));
  });

  test("agrees with Codex's own bundle on all that the model saw", async () => {
    const { bundle, traceRoot } = await recorded();
    const [own, ...others] = readdirSync(traceRoot);
    expect(others).toEqual([]);
    const ids = transport.webSocket === undefined ? (facts: Facts) => facts : namedByResponse;
    const inside = ids(modelVisibleFacts(JSON.parse(await referenceState(join(traceRoot, own ?? '')))));
    const outside = ids(modelVisibleFacts(readJson(bundle, 'state.json')));
    expect(outside).toEqual(inside);

    // Guards against two empty states being equal.
    expect(outside).toMatchObject({
      threads: [{ status: 'completed' }],
      turns: [{ status: 'completed' }],
      inferences: [
        { response_id: 'resp_mock_1', usage: { input_tokens: 4200, reasoning_output_tokens: 32 } },
        { response_id: 'resp_mock_2', usage: { cached_input_tokens: 4096, output_tokens: 9000 } },
      ],
      tools: [{ tool_call_id: 'call_mock_1', kind: { type: 'exec_command' }, exit_code: 0 }],
    });
  });

  test('finds the rollout file with its thread and session', async () => {
    const { bundle, codexRun } = await recorded();
    const { status, stdout } = await runAgsight('session-map', bundle, '--json');
    expect(status).toBe(0);
    const [thread] = Object.keys(readJson(bundle, 'state.json').threads);
    const rollouts = tree(join(codexRun.codexHome, 'sessions')).filter((path) => path.endsWith('.jsonl'));
    expect(JSON.parse(stdout).sessions).toMatchObject([
      {
        session_id: thread,
        threads: [{ thread_id: thread, rollout_file: rollouts[0], cli_version: '0.169.0' }],
      },
    ]);
  });

  test('keeps the API key inside the evidence, and all of it from other users', async () => {
    const { bundle, codexRun } = await recorded();
    const holders: string[] = [];
    for (const path of tree(bundle)) {
      const status = statSync(path);
      expect([relative(bundle, path), status.mode & 0o777]).toEqual([
        relative(bundle, path),
        status.isDirectory() ? 0o700 : 0o600,
      ]);
      if (status.isFile() && readFileSync(path).includes(codexRun.apiKey)) holders.push(dirname(path));
    }
    // HTTP/2 compresses its header fields, so that the key is not even there to be read as it is.
    const expected = transport.http2 ? [] : [join(bundle, 'evidence')];
    expect(new Set(holders)).toEqual(new Set(expected));
  });
});

/** `agsight ps` knows the Codex that runs with this home: its role, its session, and that its TLS is captured. */
async function expectListed(codexHome: string): Promise<void> {
  const { agents } = JSON.parse((await runAgsight('ps', '--json')).stdout);
  const [rollout] = tree(join(codexHome, 'sessions')).filter((path) => path.endsWith('.jsonl'));
  const [agent] = agents.filter(({ sessions }: { sessions: { rollout_file: string }[] }) =>
    sessions.some(({ rollout_file }) => rollout_file === rollout),
  );
  expect(agent).toMatchObject({ agent: 'codex', version: '0.169.0', role: 'client', ports: [] });
  const [session] = agent.sessions;
  expect(rollout).toContain(session.thread_id);
  expect(session.session_id).toBe(session.thread_id);
  const captured = agent.tls.map(({ library, is_captured }: { library: string; is_captured: boolean }) => [
    library,
    is_captured,
  ]);
  expect(captured).toEqual([
    ['openssl', true],
    ['aws-lc', true],
    ['ring', true],
  ]);
}

/** Whether the second answer, which never ends, has begun and is in the evidence. */
function hasSecondAnswer({ server, bundle }: Place): boolean {
  const evidence = tree(join(bundle, 'evidence')).filter((path) => path.endsWith('.pb'));
  return server.requests.length === 2 && evidence.some((path) => readFileSync(path).includes('resp_mock_2'));
}

test('a Codex killed in the middle of an answer is told as far as it came, and as cancelled', async () => {
  const place = await prepare('codex-killed', stalledSteps);
  const { bundle, server, codexRun, captureArgs } = place;
  const capture = spawn(process.execPath, captureArgs, {
    env: codexRun.env,
    stdio: 'ignore',
    detached: true,
  });
  const ended = new Promise((resolve) => capture.once('exit', resolve));
  try {
    await expect.poll(() => hasSecondAnswer(place), { timeout: 30_000 }).toBe(true);
    const [target] = readJson(bundle, 'capture.json').targets;
    process.kill(target.pid, 'SIGKILL');
    expect(await ended).toBe(0);
  } finally {
    await server.close();
    killGroup(capture.pid);
  }
  expect(readJson(bundle, 'capture.json')).toMatchObject({ end_reason: 'target-exit', lost_events: 0 });
  const state = readJson(bundle, 'state.json');
  expect(modelVisibleFacts(state)).toMatchObject({
    inferences: [
      { response_id: 'resp_mock_1', status: 'completed' },
      { response_id: null, status: 'cancelled' },
    ],
    tools: [{ tool_call_id: 'call_mock_1', status: 'completed' }],
  });
  const cancelled = Object.values<{ execution: { status: string }; raw_response_payload_id: string }>(
    state.inference_calls,
  ).find(({ execution }) => execution.status === 'cancelled');
  const { path } = state.raw_payloads[cancelled?.raw_response_payload_id ?? ''];
  expect(readText(bundle, path)).toContain('1. Fünf Wörter — counted twice');
});

test('a capture killed in the middle of an answer leaves what it had seen', async () => {
  const place = await prepare('killed', stalledSteps);
  const { bundle, server, codexRun, captureArgs } = place;
  const capture = spawn(process.execPath, captureArgs, {
    env: codexRun.env,
    stdio: 'ignore',
    detached: true,
  });
  const ended = new Promise((resolve) => capture.once('exit', (_, signal) => resolve(signal)));
  try {
    await expect.poll(() => hasSecondAnswer(place), { timeout: 30_000 }).toBe(true);
    await expectListed(codexRun.codexHome);
    capture.kill('SIGKILL');
    expect(await ended).toBe('SIGKILL');
  } finally {
    await server.close();
    killGroup(capture.pid);
  }

  const { status, stdout } = await runAgsight('verify', bundle, '--json');
  expect(status).toBe(3);
  expect(JSON.parse(stdout)).toMatchObject({ verdict: 'incomplete', end: null });

  await interpretBundle(bundle);
  const state = JSON.parse(await referenceState(bundle));
  expect(modelVisibleFacts(state)).toMatchObject({
    inferences: [
      { response_id: 'resp_mock_1', status: 'completed' },
      { response_id: null, status: 'running' },
    ],
    tools: [{ tool_call_id: 'call_mock_1', status: 'completed' }],
  });
});
