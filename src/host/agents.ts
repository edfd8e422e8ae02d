// The AI coding agents that run now: which processes they are, in which role, in which sessions, and how their TLS
// would be captured. Owns the names by which agents are known; the role is the rule of src/sessions/agent-role.ts.

import { closeSync, openSync, readSync } from 'node:fs';
import { basename } from 'node:path';
import { pid as ownPid } from 'node:process';
import { type NamePattern, namePattern } from '../capture/name-pattern.js';
import { inspectForProbes } from '../capture/probed-binaries.js';
import { environment, isAlive } from '../capture/process.js';
import { AgsightError, systemErrorCode } from '../errors.js';
import { type AgentRole, findRole, isCodex } from '../sessions/agent-role.js';
import { RolloutScan } from '../sessions/rollout-file.js';
import { parseRolloutName, parseUuid } from '../sessions/rollout-name.js';
import { type OpenFile, type RunningProcess, readProcessTable } from './process-table.js';
import { type ProgramVerdict, ProgramVerdicts } from './program-verdict.js';

export interface RunningAgent {
  pid: number;
  parent_pid: number;
  /** The process of the script that npm installs, when that started it. */
  launcher_pid: number | null;
  /** `codex`, or the name by which another agent is known. */
  agent: string;
  role: AgentRole;
  role_because: string;
  /** False when we may not see its listening ports. */
  role_certain: boolean;
  /** TCP ports that it listens on; null when we may not see them. */
  ports: number[] | null;
  uid: number;
  /** RFC 3339. */
  started_at: string;
  executable: string;
  version: string | null;
  sessions: AgentSession[];
  /** Null when we may not look at its program. */
  tls: ProgramVerdict['tls'] | null;
  remarks: string[];
}

interface AgentSession {
  session_id: string | null;
  thread_id: string;
  /** `rollout file`: it writes to the thread's file. `CODEX_THREAD_ID`: a tool call of the thread started it. */
  by: 'rollout file' | 'CODEX_THREAD_ID';
  rollout_file: string | null;
}

/** Agents beside Codex, by the names of their programs. */
const otherAgents = ['aider', 'claude', 'copilot', 'cursor-agent', 'gemini', 'opencode', 'qwen'];

const codex = 'codex';
const interpreter = /^(?:node|nodejs|bun|deno|python[\d.]*)$/;
const scriptSuffix = /\.(?:[cm]?js|py)$/;
/** The first line of a rollout file with the instructions of its agent in it. */
const firstLineBytes = 1 << 20;

/**
 * @param alsoNamed program names with `*` and `?`: those processes are taken for agents too
 * @throws AgsightError `bad-name`
 */
export function findAgents(alsoNamed: readonly string[] = []): RunningAgent[] {
  const names = [...otherAgents, ...alsoNamed].map(namePattern);
  const found = new Map<RunningProcess, string>();
  for (const process of readProcessTable().values()) {
    const agent = agentOf(process, names);
    if (agent !== undefined && process.pid !== ownPid) found.set(process, agent);
  }
  const launchers = new Set<RunningProcess>();
  for (const [process, agent] of found) {
    const { parent } = process;
    if (parent !== undefined && found.get(parent) === agent && isScript(parent) && !isScript(process)) {
      launchers.add(parent);
    }
  }
  const verdicts = new ProgramVerdicts(inspectForProbes);
  return [...found]
    .filter(([process]) => !launchers.has(process))
    .sort(([a], [b]) => a.pid - b.pid)
    .flatMap(([process, agent]) => {
      const isSameAgent = (other: RunningProcess) => found.get(other) === agent && !launchers.has(other);
      const { role, because, certain } = findRole(process, isSameAgent);
      const { pid, parentPid, parent, uid, ports, startedNs, exec } = process;
      const { version, tls, remarks } = verdictOf(verdicts, pid, exec?.path ?? '');
      if (!isAlive(pid)) return [];
      return {
        pid,
        parent_pid: parentPid,
        launcher_pid: parent !== undefined && launchers.has(parent) ? parentPid : null,
        agent,
        role,
        role_because: because,
        role_certain: certain,
        ports: ports === undefined ? null : [...ports],
        uid,
        started_at: new Date(Number(startedNs / 1_000_000n)).toISOString(),
        executable: exec?.path ?? '',
        version,
        sessions: sessionsOf(process),
        tls,
        remarks,
      };
    });
}

function agentOf(process: RunningProcess, names: readonly NamePattern[]): string | undefined {
  if (isCodex(process) || process.files.some(isOwnRollout)) return codex;
  const script = scriptName(process);
  return script === codex
    ? codex
    : [...programNames(process), script ?? ''].find((name) => names.some(({ matches }) => matches(name)));
}

/** Whoever else reads the file does not write to it. */
function isOwnRollout({ path, isWritable }: OpenFile): boolean {
  return isWritable && parseRolloutName(basename(path)) !== undefined;
}

function isScript({ exec }: RunningProcess): boolean {
  return interpreter.test(programName(exec?.path ?? ''));
}

function programName(path: string): string {
  return basename(path.replace(/ \(deleted\)$/, ''));
}

/** What a process runs goes by: its file, and what it calls itself. */
function programNames({ exec }: RunningProcess): string[] {
  return [programName(exec?.path ?? ''), programName(exec?.argv[0] ?? '')];
}

/** The script that an interpreter runs. */
function scriptName(process: RunningProcess): string | undefined {
  if (!isScript(process)) return undefined;
  const script = process.exec?.argv.slice(1).find((argument) => !argument.startsWith('-'));
  return script && programName(script).replace(scriptSuffix, '');
}

function verdictOf(
  verdicts: ProgramVerdicts,
  pid: number,
  name: string,
): { version: string | null; tls: ProgramVerdict['tls'] | null; remarks: string[] } {
  try {
    return verdicts.ofProcess(pid, name);
  } catch (error) {
    const code = systemErrorCode(error);
    if (!(error instanceof AgsightError) && code === undefined) throw error;
    const why = error instanceof AgsightError ? error.message : `its program cannot be read: ${code}`;
    return { version: null, tls: null, remarks: [why] };
  }
}

function sessionsOf({ pid, files }: RunningProcess): AgentSession[] {
  const sessions = new Map<string, AgentSession>();
  for (const file of files.filter(isOwnRollout)) {
    const session = rolloutSession(file);
    if (session !== undefined) sessions.set(session.thread_id, session);
  }
  const inherited = parseUuid(environment(pid).get('CODEX_THREAD_ID') ?? '');
  if (sessions.size > 0 || inherited === undefined) return [...sessions.values()];
  return [{ session_id: null, thread_id: inherited, by: 'CODEX_THREAD_ID', rollout_file: null }];
}

/** The file's first line tells the session; its name alone tells only the thread. */
function rolloutSession({ handle, path }: OpenFile): AgentSession | undefined {
  const threadId = parseRolloutName(basename(path))?.threadId;
  if (threadId === undefined) return undefined;
  const line = firstLine(handle);
  const scan = new RolloutScan(path);
  scan.push(line);
  const sessionId = line.length > 0 ? scan.end()?.sessionId : undefined;
  return {
    session_id: sessionId ?? null,
    thread_id: threadId,
    by: 'rollout file',
    rollout_file: path,
  };
}

function firstLine(path: string): Buffer {
  const bytes = Buffer.alloc(firstLineBytes);
  let length = 0;
  try {
    const file = openSync(path, 'r');
    try {
      length = readSync(file, bytes, 0, bytes.length, 0);
    } finally {
      closeSync(file);
    }
  } catch {
    // It is gone, or not ours to read.
  }
  const end = bytes.subarray(0, length).indexOf(10);
  return bytes.subarray(0, end === -1 ? 0 : end + 1);
}
