// One scenario over one transport: the real Codex with its own tracer on, under `agsight capture`; then both bundles
// reduced, and their facts compared.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, readlinkSync, realpathSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type CodexRun, prepareCodexRun } from '../support/codex-run.js';
import { startMockResponses } from '../support/mock-responses.js';
import { connectAppServer } from './app-server.js';
import { script } from './ask.js';
import { type Comparison, compareFacts, mergeFacts } from './compare.js';
import { factsOf, type ReducedState } from './facts.js';
import { PIXEL, type Process, type Scenario, type Transport } from './scenarios.js';

const agsight = fileURLToPath(new URL('../../bin/agsight.js', import.meta.url));
const mcpServer = fileURLToPath(new URL('../support/mcp-server.js', import.meta.url));

export interface Outcome {
  scenario: string;
  transport: Transport;
  /** One per root thread and capture. */
  comparisons: Comparison[];
  /** Bundles of the capture that the reference refused, or reduced to other bytes than agsight. */
  refused: string[];
  /** Bundles of Codex's own tracer that the reference refused: there is nothing to compare with. */
  unreadable: number;
}

const TRANSPORTS: Readonly<Record<Transport, Partial<Parameters<typeof prepareCodexRun>[0]>>> = {
  'HTTP, OpenSSL': {},
  'HTTP, rustls': { caVariable: true },
  'HTTP/2, rustls': { caVariable: true },
  'WebSocket, rustls': { provider: 'built-in' },
};

/** Runs it in `directory`, which is new. `codex` is the native binary. */
export async function runScenario(
  scenario: Scenario,
  transport: Transport,
  place: { codex: string; directory: string },
): Promise<Outcome> {
  const bundles: string[] = [];
  const { traceRoot } = await playScenario(scenario, transport, place, (command) => {
    const bundle = join(place.directory, `outside-${bundles.length}`);
    bundles.push(bundle);
    return [process.execPath, agsight, 'capture', '-o', bundle, '--', ...command];
  });
  const isWebSocket = transport === 'WebSocket, rustls';
  return compareBundles(
    { scenario: scenario.name, transport },
    { ...place, traceRoot, bundles, isWebSocket },
  );
}

/**
 * Plays it with Codex's own tracer on, whose bundles are then in `traceRoot`, one per root thread and process.
 *
 * @param wrap makes the command that runs a command of Codex.
 */
export async function playScenario(
  scenario: Scenario,
  transport: Transport,
  { codex, directory }: { codex: string; directory: string },
  wrap: (command: string[]) => string[],
): Promise<{ traceRoot: string }> {
  let codexPid = (): number | undefined => undefined;
  const kill = (signal: NodeJS.Signals) => {
    const pid = codexPid();
    if (pid !== undefined) process.kill(pid, signal);
  };
  const server = await startMockResponses(script(scenario.answer, kill), {
    http2: transport === 'HTTP/2, rustls',
    ...(transport === 'WebSocket, rustls' ? { webSocket: 'plain' } : {}),
  });
  const traceRoot = join(directory, 'inside');
  mkdirSync(traceRoot, { recursive: true });
  const { settings = {}, mcpServer: hasMcp } = scenario;
  const mcp = `[mcp_servers.sums]\ncommand = "${process.execPath}"\nargs = ["${mcpServer}"]\n`;
  const codexRun = prepareCodexRun({
    ...{ codex, directory: join(directory, 'home'), server, traceRoot, prompt: 'Do the scripted thing.' },
    workspace: {},
    settings: { ...settings, tables: `${settings.tables ?? ''}${hasMcp ? mcp : ''}` },
    ...TRANSPORTS[transport],
  });
  writeFileSync(join(codexRun.work, 'pixel.png'), Buffer.from(PIXEL, 'base64'));
  if (scenario.inRepository) makeRepository(codexRun.work);

  const run = (command: string[]): ChildProcess => {
    const [program = '', ...args] = wrap(command);
    const child = spawn(program, args, {
      cwd: codexRun.work,
      env: codexRun.env,
      stdio: [scenario.appServer === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    });
    codexPid = () => processOf(codex, child.pid ?? 0);
    return child;
  };
  try {
    if (scenario.appServer !== undefined) {
      const child = run([codex, 'app-server']);
      const ended = end(child);
      await scenario.appServer(await connectAppServer(child, codexRun.work));
      child.stdin?.end();
      await ended;
    } else {
      await runProcesses(scenario, codexRun, async (command) => await end(run(command)));
    }
  } finally {
    await server.close();
  }
  return { traceRoot };
}

async function runProcesses(
  { processes = [['exec', 'Do the scripted thing.']], oneCapture, attachesImage }: Scenario,
  { command: [codex = ''], flags, work }: CodexRun,
  run: (command: string[]) => Promise<string>,
): Promise<void> {
  let threadId = '';
  const image = attachesImage ? ['-i', join(work, 'pixel.png')] : [];
  const commandOf = ([kind, prompt = '']: Process): string[] => {
    const exec = [codex, 'exec', ...flags];
    if (kind === 'exec') return [...exec, '-C', work, ...image, '--', prompt];
    if (kind === 'resume') return [...exec, 'resume', '--last', prompt];
    if (kind === 'fork') return [...exec, 'fork', threadId, prompt];
    return [...exec, 'review', '--uncommitted'];
  };
  if (oneCapture) {
    const lines = processes.map((one) =>
      commandOf(one)
        .map((word) => `'${word}'`)
        .join(' '),
    );
    await run(['/bin/sh', '-c', lines.join(' </dev/null; ')]);
    return;
  }
  for (const one of processes) {
    const output = await run(commandOf(one));
    threadId ||= /"thread_id":"([^"]+)"/.exec(output)?.[1] ?? '';
  }
}

interface Bundles {
  codex: string;
  directory: string;
  traceRoot: string;
  bundles: string[];
  isWebSocket: boolean;
}

function compareBundles(
  of: Pick<Outcome, 'scenario' | 'transport'>,
  { codex, directory, traceRoot, bundles, isWebSocket }: Bundles,
): Outcome {
  const reference = referenceReducer(codex, directory);
  const facts = (state: string) => factsOf(JSON.parse(state), { carriesInferenceIds: !isWebSocket });
  const insides = readdirSync(traceRoot).map((name) => join(traceRoot, name));
  const startedAt = (dir: string): number => readJson(dir, 'manifest.json').started_at_unix_ms;
  const readable = insides.sort((a, b) => startedAt(a) - startedAt(b)).flatMap((dir) => reference(dir) ?? []);
  const unreadable = insides.length - readable.length;
  const root = (state: string): string => JSON.parse(state).root_thread_id;

  const refused: string[] = [];
  const comparisons: Comparison[] = [];
  const outsides = bundles.flatMap(reducedBundles);
  for (const dir of outsides) {
    const own = readFileSync(join(dir, 'state.json'), 'utf8');
    if (reference(dir) !== own) refused.push(basename(dir));
    const last = outsides.filter((other) => rootOf(other) === rootOf(dir)).at(-1) === dir;
    const partners = readable.filter((state) => root(state) === root(own));
    // Each process makes a bundle of its own of a thread that it resumes; a capture that saw several holds them all.
    const taken = last ? partners.splice(0) : partners.splice(0, 1);
    for (const state of taken) readable.splice(readable.indexOf(state), 1);
    if (taken.length > 0) comparisons.push(compareFacts(mergeFacts(taken.map(facts)), facts(own)));
  }
  for (const state of readable) comparisons.push(compareFacts(facts(state), facts(EMPTY_STATE)));
  return { ...of, comparisons, refused, unreadable };
}

const EMPTY_STATE = JSON.stringify({
  ...{ threads: {}, codex_turns: {}, conversation_items: {}, inference_calls: {}, tool_calls: {} },
  ...{ code_cells: {}, compactions: {}, compaction_requests: {}, interaction_edges: {} },
  ...{ terminal_operations: {}, terminal_sessions: {} },
} satisfies ReducedState);

const readJson = (...path: string[]) => JSON.parse(readFileSync(join(...path), 'utf8'));
const rootOf = (bundle: string): string => readJson(bundle, 'manifest.json').root_thread_id;

function reducedBundles(bundle: string): string[] {
  const names = readdirSync(bundle);
  if (names.includes('state.json')) return [bundle];
  if (!names.includes('rollouts')) return [];
  return readdirSync(join(bundle, 'rollouts')).map((name) => join(bundle, 'rollouts', name));
}

/** Reduces a bundle with Codex itself; undefined when it refuses. */
function referenceReducer(codex: string, directory: string): (bundle: string) => string | undefined {
  const home = join(directory, 'reference');
  const temporary = join(directory, 'reference-tmp');
  for (const path of [home, temporary]) mkdirSync(path, { recursive: true });
  const env = { HOME: home, CODEX_HOME: home, TMPDIR: temporary };
  const output = join(home, 'state.json');
  return (bundle) => {
    try {
      execFileSync(codex, ['debug', 'trace-reduce', bundle, '-o', output], { env, stdio: 'ignore' });
      return readFileSync(output, 'utf8');
    } catch {
      return undefined;
    }
  };
}

const ENDS_WITHIN_MS = 120_000;

/** What the process wrote to its standard output, once it has ended. */
function end(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = '';
    child.stdout?.on('data', (data) => {
      output += data;
    });
    child.stderr?.resume();
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error('the capture does not end'));
    }, ENDS_WITHIN_MS);
    child.once('close', () => {
      clearTimeout(timer);
      resolve(output);
    });
  });
}

/** The process below `pid` that runs `program`. */
function processOf(program: string, pid: number): number | undefined {
  try {
    if (readlinkSync(`/proc/${pid}/exe`) === realpathSync(program)) return pid;
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
    for (const child of children.filter((word) => word !== '')) {
      const found = processOf(program, Number(child));
      if (found !== undefined) return found;
    }
  } catch {
    // It has ended.
  }
  return undefined;
}

function makeRepository(work: string): void {
  const git = (...args: string[]) => execFileSync('git', ['-C', work, ...args], { stdio: 'ignore' });
  git('init', '-q');
  git('-c', 'user.email=a@example.com', '-c', 'user.name=a', 'commit', '-q', '--allow-empty', '-m', 'begin');
}
