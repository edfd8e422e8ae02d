// The role of an agent's process: the names are AgentSight's, so that both tools speak of the same thing. Owns the one
// rule, for the processes of a capture as for those that run now, and what of it is certain.
import { basename } from 'node:path';

/**
 * `gateway` serves others on a port of its own, `client` is an agent that a person or a script started, and
 * `worker` one that another process of the same agent started.
 */
export type AgentRole = 'gateway' | 'client' | 'worker';

export interface RoleFinding {
  role: AgentRole;
  /** What the role rests on. */
  because: string;
  /** False when evidence that could overturn it was not recorded. */
  certain: boolean;
}

/** What the rule looks at. */
export interface RoleProcess<Process> {
  pid: number;
  /** What it runs; undefined when that is not known. */
  exec: { path: string; argv: readonly string[] } | undefined;
  /** The process that started it, as far as it is known. */
  parent: Process | undefined;
  /** TCP ports that it listens on; undefined when nobody looked. */
  ports?: readonly number[] | undefined;
  /** Undefined when it ran before anybody looked. */
  startedNs: bigint | undefined;
}

/** How Codex is told to listen: `app-server --listen ws://127.0.0.1:4500`. */
const LISTEN = /^(?:ws|wss|http|https|tcp):\/\//;

/** Names by which Codex starts its own binary to do something else than being an agent. */
const HELPER = /^(?:codex-linux-sandbox|codex-execve-wrapper|apply_?patch)$/;

/** `codex`, `codex-0.169.0`, `codex.exe`, and not whatever title with that word a process gives itself. */
const CODEX = /^codex(?![a-z])[\w.+-]*(?: \(deleted\))?$/i;

/** Whether a process runs a program that is named like Codex. */
export function isCodex({ exec }: Pick<RoleProcess<unknown>, 'exec'>): boolean {
  const names = [exec?.path, exec?.argv[0]].map((path) => basename(path ?? ''));
  return names.some((name) => CODEX.test(name)) && !names.some((name) => HELPER.test(name));
}

/**
 * The role of an agent's process. Ports come first, as in AgentSight. There a Codex without ports is a client even
 * when another Codex started it; here it is a worker, because otherwise none ever would be.
 *
 * @param isSameAgent which processes are the same agent
 */
export function findRole<Process extends RoleProcess<Process>>(
  process: Process,
  isSameAgent: (process: Process) => boolean,
): RoleFinding {
  const { ports } = process;
  if (ports !== undefined && ports.length > 0) {
    return { role: 'gateway', because: `it listens on port ${ports.join(', ')}`, certain: true };
  }
  const argv = process.exec?.argv ?? [];
  const listen = argv[argv.indexOf('--listen') + 1] ?? '';
  if (ports === undefined && argv.includes('--listen') && LISTEN.test(listen))
    return { role: 'gateway', because: `its command line says --listen ${listen}`, certain: true };
  const certain = ports !== undefined;
  const noPorts = certain
    ? 'it listens on no port'
    : 'its listening ports are not known: it may be a gateway';
  for (let ancestor = process.parent; ancestor !== undefined; ancestor = ancestor.parent) {
    if (isSameAgent(ancestor)) {
      const because = `process ${ancestor.pid} of the same agent started it; ${noPorts}`;
      return { role: 'worker', because, certain };
    }
  }
  const origin =
    process.startedNs === undefined
      ? 'it ran before the capture began'
      : 'no other process of the agent started it';
  return { role: 'client', because: `${origin}; ${noPorts}`, certain };
}
