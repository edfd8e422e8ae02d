// The role of an agent's process: the names are AgentSight's, so that both tools speak of the same thing. Owns
// what the evidence of a capture can and cannot say about it.
import { basename } from 'node:path';
import type { CapturedProcess } from './captured-processes.js';

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

/** How Codex is told to listen: `app-server --listen ws://127.0.0.1:4500`. */
const LISTEN = /^(?:ws|wss|http|https|tcp):\/\//;

/** Names by which Codex starts its own binary to do something else than being an agent. */
const HELPER = /^(?:codex-linux-sandbox|codex-execve-wrapper|apply_?patch)$/;

/** Whether a process ran a program that is named like Codex. */
export function isCodex({ exec }: CapturedProcess): boolean {
  const names = [exec?.path, exec?.argv[0]].map((path) => basename(path ?? ''));
  return names.some((name) => /^codex(?![a-z])/i.test(name)) && !names.some((name) => HELPER.test(name));
}

/**
 * The role of a Codex process. Ports come first, as in AgentSight. There a Codex without ports is a client even
 * when another Codex started it; here it is a worker, because otherwise none ever would be.
 *
 * @param isAgent which processes are Codex
 */
export function findRole(
  process: CapturedProcess,
  isAgent: (process: CapturedProcess) => boolean,
): RoleFinding {
  const argv = process.exec?.argv ?? [];
  const listen = argv[argv.indexOf('--listen') + 1] ?? '';
  if (argv.includes('--listen') && LISTEN.test(listen))
    return { role: 'gateway', because: `its command line says --listen ${listen}`, certain: true };
  const unknown = 'listening ports were not recorded: it may be a gateway';
  for (let ancestor = process.parent; ancestor !== undefined; ancestor = ancestor.parent) {
    if (isAgent(ancestor)) {
      const because = `process ${ancestor.pid} of the same agent started it; ${unknown}`;
      return { role: 'worker', because, certain: false };
    }
  }
  const origin =
    process.startedNs === undefined
      ? 'it ran before the capture began'
      : 'no other process of the agent started it';
  return { role: 'client', because: `${origin}; ${unknown}`, certain: false };
}
