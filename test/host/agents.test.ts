// Processes with the names of agents, started in the ways in which agents are.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { findAgents, type RunningAgent } from '../../src/host/agents.js';
import type { AgentRole } from '../../src/sessions/agent-role.js';
import { requireThat } from '../support/requirements.js';

const thread = '01a1f9d1-8dbd-7db1-893a-ef157bae78d3';
const session = '01a1f9d1-0000-7db1-893a-ef157bae78d3';
const directory = mkdtempSync(join(tmpdir(), 'agsight-agents-'));
const started: ChildProcess[] = [];

afterAll(() => {
  for (const { pid } of started) {
    try {
      process.kill(-(pid ?? 0), 'SIGKILL');
    } catch {
      // It had ended.
    }
  }
  rmSync(directory, { recursive: true, force: true });
});

beforeEach((context) => requireThat(process.platform === 'linux', 'needs Linux', context));

/** Starts a program in a process group of its own; every argument after the script is the script's. */
function start(program: string, args: string[], env: NodeJS.ProcessEnv = process.env): number {
  const child = spawn(program, args, { stdio: 'ignore', detached: true, env });
  started.push(child);
  return child.pid ?? 0;
}

/** A shell under another name. */
function shellNamed(name: string): string {
  const path = join(directory, name);
  cpSync('/bin/bash', path);
  return path;
}

/** The process group of a process; undefined when it has ended meanwhile. */
function groupOf(pid: number): number | undefined {
  try {
    return Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[2]);
  } catch {
    return undefined;
  }
}

/** The agents in the process group of `pid`, once there are `count` of them in these roles. */
async function agentsOf(pid: number, roles: AgentRole[], names: string[] = []): Promise<RunningAgent[]> {
  let found: RunningAgent[] = [];
  const look = () => {
    found = findAgents(names).filter((agent) => groupOf(agent.pid) === pid);
    return found.map(({ role }) => role);
  };
  await expect.poll(look, { timeout: 30_000 }).toEqual(roles);
  return found;
}

const wait = 'sleep 60; :';

test('a Codex that a person started is a client, and one that it started a worker', async () => {
  const codex = shellNamed('codex');
  const pid = start(codex, ['-c', `bash -c '${codex} -c "${wait}"; :'; :`]);
  const [client, worker] = await agentsOf(pid, ['client', 'worker']);
  expect(client).toMatchObject({ pid, agent: 'codex', role: 'client', role_certain: true, ports: [] });
  expect(worker).toMatchObject({ agent: 'codex', role: 'worker', executable: codex, launcher_pid: null });
  expect(worker?.role_because).toMatch(new RegExp(`^process ${pid} of the same agent started it`));
  const age = Date.now() - Date.parse(client?.started_at ?? '');
  expect(Math.abs(age)).toBeLessThan(60_000);
});

test('one that listens is a gateway, whoever started it', async () => {
  const server = join(directory, 'server.cjs');
  writeFileSync(server, "require('net').createServer().listen(0, '127.0.0.1')");
  const listens = `bash -c 'exec -a codex ${process.execPath} ${server}'; :`;
  const pid = start(shellNamed('codex'), ['-c', listens]);
  const [, gateway] = await agentsOf(pid, ['client', 'gateway']);
  expect(gateway?.ports).toEqual([expect.any(Number)]);
  expect(gateway?.role_because).toBe(`it listens on port ${gateway?.ports?.[0]}`);
});

test('the script that npm installs is not an agent beside the program that it starts', async () => {
  const codex = shellNamed('codex');
  const script = join(directory, 'bin', 'codex.js');
  mkdirSync(join(directory, 'bin'), { recursive: true });
  writeFileSync(script, `require('child_process').spawn(${JSON.stringify(codex)}, ['-c', '${wait}'])`);
  const pid = start(process.execPath, [script]);
  // Until it has started the program, the script is all there is.
  const found = async () => (await agentsOf(pid, ['client']))[0];
  await expect
    .poll(found, { timeout: 30_000 })
    .toMatchObject({ agent: 'codex', role: 'client', launcher_pid: pid, executable: codex });
});

test('a Codex under another name is known by the file that it writes, which tells its session', async () => {
  const name = `rollout-2026-11-20T16-37-02-${thread}.jsonl`;
  const meta = { id: thread, session_id: session, cwd: '/', cli_version: '0.169.0' };
  const line = JSON.stringify({ timestamp: '2026-11-20T16:37:02Z', type: 'session_meta', payload: meta });
  writeFileSync(join(directory, name), `${line}\n`);
  const pid = start(shellNamed('my-agent'), ['-c', `exec 9>>${join(directory, name)}; sleep 60 9>&-; :`]);
  const reader = start('bash', ['-c', `exec 9<${join(directory, name)}; ${wait}`]);
  const [agent] = await agentsOf(pid, ['client']);
  expect(agent).toMatchObject({
    agent: 'codex',
    sessions: [
      {
        session_id: session,
        thread_id: thread,
        by: 'rollout file',
        rollout_file: join(directory, name),
      },
    ],
  });
  expect(findAgents().some((other) => other.pid === reader)).toBe(false);
});

test('other agents are known by their names, and any program is on demand', async () => {
  const env = { ...process.env, CODEX_THREAD_ID: thread };
  const claude = start(shellNamed('claude'), ['-c', wait], env);
  expect(await agentsOf(claude, ['client'])).toMatchObject([
    { agent: 'claude', role: 'client', sessions: [{ thread_id: thread, by: 'CODEX_THREAD_ID' }] },
  ]);
  const mine = start(shellNamed('their.tool-2'), ['-c', wait]);
  expect(await agentsOf(mine, ['client'], ['their.tool-*'])).toMatchObject([{ agent: 'their.tool-2' }]);
  expect(await agentsOf(mine, [], ['their?tool', 'theirXtool-*'])).toEqual([]);
});

test('whoever looks is none of them, whatever its name', () => {
  const other = start(process.execPath, ['-e', 'setTimeout(() => {}, 60_000)']);
  const pids = findAgents(['node']).map(({ pid }) => pid);
  expect(pids).toContain(other);
  expect(pids).not.toContain(process.pid);
});

test("a helper of Codex's own is no agent", async () => {
  const codex = shellNamed('codex');
  const pid = start('bash', ['-c', `exec -a codex-linux-sandbox ${codex} -c '${wait}'`]);
  const runs = () => execFileSync('ps', ['-o', 'args=', '-p', `${pid}`], { encoding: 'utf8' });
  await expect.poll(runs).toMatch(/^codex-linux-sandbox/);
  expect(await agentsOf(pid, [])).toEqual([]);
});
