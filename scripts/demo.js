// `npm run demo`: the main job on this machine. Fetches the real Codex, lets it talk to a scripted server under
// `agsight capture`, and prints what was seen. Where capture cannot run, it shows the rest on a recorded bundle.

import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { requireCaptureHost } from '../dist/capture/host.js';
import { renderTable } from '../dist/render/table.js';
import { fetchCodex } from '../test/support/codex-package.js';
import { prepareCodexRun } from '../test/support/codex-run.js';
import { demoPrompt, demoSteps, demoWorkspace } from '../test/support/demo-script.js';
import { startMockResponses } from '../test/support/mock-responses.js';

const CODEX_VERSION = '0.169.0';
const EXIT_INCOMPLETE = 3;
const CAPTURE_TIMEOUT_MS = 100_000;

const root = fileURLToPath(new URL('..', import.meta.url));
const bundle = join(root, 'demo-bundle');
const home = join(root, 'demo-home');
/** Says that `home` and `bundle` are the demo's own and may be removed. */
const marker = join(home, '.made-by-agsight-demo');
const sample = join(root, 'test', 'fixtures', 'demo');

/** @param {string} message */
const say = (message) => console.log(message);

/**
 * Runs the agsight of this repository to its end.
 *
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {Promise<{ status: number | null, stdout: string, stderr: string }>}
 */
function agsight(args, env = process.env) {
  const options = {
    cwd: root,
    env,
    timeout: CAPTURE_TIMEOUT_MS,
    killSignal: /** @type {const} */ ('SIGINT'),
  };
  const child = spawn(process.execPath, [join(root, 'bin', 'agsight.js'), ...args], {
    ...options,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => resolve({ status, stdout, stderr }));
  });
}

/**
 * @param {string[]} args
 * @param {number[]} accepted exit codes that come with an answer
 */
async function agsightJson(args, accepted = [0, 3]) {
  const { status, stdout, stderr } = await agsight([...args, '--json']);
  if (status === null || !accepted.includes(status)) throw new Error(`agsight ${args[0]}: ${stderr.trim()}`);
  return JSON.parse(stdout);
}

/** @param {string} file */
const readJson = (file) => JSON.parse(readFileSync(file, 'utf8'));

/** Removes what an earlier demo left, and nothing else. */
function removeEarlierDemo() {
  const left = [bundle, home].filter((path) => existsSync(path));
  if (left.length > 0 && !existsSync(marker)) {
    throw new Error(
      `${relative(root, left[0] ?? '')}: was not made by the demo (move it away and run again)`,
    );
  }
  for (const path of left) rmSync(path, { recursive: true });
}

/** @param {unknown} value */
const cell = (value) => (value === null || value === undefined ? '-' : String(value));

/**
 * The command as the model asked for it: what ran has Codex's shell snapshot around it, some thousand characters.
 *
 * @param {any} item the conversation item of the call
 */
function requestedCommand(item) {
  const input = item?.body.parts[0]?.summary;
  try {
    return cell(JSON.parse(input).cmd);
  } catch {
    return cell(input);
  }
}

/**
 * Threads, requests and tool calls of a reduced bundle as tables.
 *
 * @param {any} state parsed state.json
 */
function describeState(state) {
  const turns = Object.values(state.codex_turns);
  const threads = Object.values(state.threads).map((thread) => [
    thread.thread_id,
    thread.agent_path,
    cell(turns.filter((turn) => turn.thread_id === thread.thread_id).length),
    thread.execution.status,
  ]);
  const inOrder = Object.values(state.inference_calls).sort(
    (a, b) => a.execution.started_seq - b.execution.started_seq,
  );
  const requests = inOrder.map(({ response_id, model, execution, usage }) => [
    cell(response_id),
    model,
    execution.status,
    cell(usage?.input_tokens),
    cell(usage?.cached_input_tokens),
    cell(usage?.output_tokens),
    cell(usage?.reasoning_output_tokens),
  ]);
  const tools = Object.values(state.tool_calls).map((call) => [
    call.tool_call_id,
    call.kind.type,
    requestedCommand(state.conversation_items[call.model_visible_call_item_ids[0]]),
    cell(state.terminal_operations[call.terminal_operation_id]?.result?.exit_code),
    call.execution.status,
  ]);
  return [
    renderTable(['Thread', 'Agent', 'Turns', 'Status'], threads),
    renderTable(['Response', 'Model', 'Status', 'Input', 'Cached', 'Output', 'Reasoning'], requests),
    renderTable(['Tool call', 'Tool', 'Command', 'Exit', 'Status'], tools),
  ].join('\n\n');
}

/**
 * @param {any} map what `agsight session-map --json` prints
 * @returns {string[][]} rows of name and value
 */
function describeSessions(map) {
  const rows = [];
  for (const session of map.sessions) {
    rows.push(['Session', session.session_id]);
    for (const thread of session.threads) {
      rows.push(['Rollout file', relative(root, thread.rollout_file)]);
      rows.push(['Tokens in it', cell(thread.usage?.total_tokens)]);
    }
  }
  return rows;
}

/** Codex under capture, against the scripted server. */
async function captureCodex() {
  const codex = await fetchCodex(CODEX_VERSION, { report: say });
  const server = await startMockResponses(demoSteps);
  try {
    const run = prepareCodexRun({
      codex,
      directory: home,
      server,
      prompt: demoPrompt,
      workspace: demoWorkspace,
    });
    const args = ['capture', '-o', relative(root, bundle), '--', ...run.command];
    say(`agsight ${args.join(' ')}`);
    const { status, stderr } = await agsight(args, run.env);
    if (status === EXIT_INCOMPLETE) process.exitCode = EXIT_INCOMPLETE;
    else if (status !== 0 || server.requests.length !== demoSteps.length) {
      throw new Error(
        `capture ended with ${status} after ${server.requests.length} requests:\n${stderr.trim()}`,
      );
    }
  } finally {
    await server.close();
  }
}

async function showCapture() {
  const summary = readJson(join(bundle, 'capture.json'));
  const evidence = await agsightJson(['verify', bundle]);
  const rows = [
    ...describeSessions(await agsightJson(['session-map', bundle])),
    ['Evidence', `${evidence.bytes} bytes, ${evidence.frames} events, verify says ${evidence.verdict}`],
    ['Lost events', cell(summary.lost_events)],
  ];
  say(`\n${describeState(readJson(join(bundle, 'state.json')))}`);
  say(`\n${renderTable(['Capture', relative(root, bundle)], rows)}`);
}

async function showSample() {
  const trace = join(sample, 'bundle');
  const codexHome = join(sample, 'codex-home');
  const state = join(home, 'state.json');
  const { status, stderr } = await agsight(['reduce', trace, '-o', state]);
  if (status !== 0) throw new Error(`agsight reduce: ${stderr.trim()}`);
  const rows = describeSessions(await agsightJson(['session-map', codexHome]));
  say(`\nagsight reduce ${relative(root, trace)}\n\n${describeState(readJson(state))}`);
  say(`\nagsight session-map ${relative(root, codexHome)}\n\n${renderTable(['Codex home', ''], rows)}`);
}

/** Why this host cannot capture; undefined when it can. */
function whyNoCapture() {
  try {
    requireCaptureHost();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

try {
  removeEarlierDemo();
  mkdirSync(home, { mode: 0o700 });
  writeFileSync(marker, '');
  const reason = whyNoCapture();
  if (reason === undefined) {
    await captureCodex();
    await showCapture();
  } else {
    say(`No capture here: ${reason}.`);
    say('As root on Linux, `sudo npm run demo` captures the real Codex. What follows was recorded before.');
    await showSample();
  }
} catch (error) {
  console.error(`demo: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
