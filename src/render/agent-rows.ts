// Running agents as rows for a table.

import { howFound, type TlsVerdict } from '../elf/tls-verdict.js';
import type { RunningAgent } from '../host/agents.js';

export const AGENT_HEAD = ['Process', 'Agent', 'Version', 'Role', 'Ports', 'Started', 'Session', 'TLS'];

export function agentRow(agent: RunningAgent): string[] {
  const { pid, version, role, role_certain, ports, started_at, sessions, tls } = agent;
  return [
    `${pid}`,
    agent.agent,
    version ?? '',
    `${role}${role_certain ? '' : '?'}`,
    ports === null ? '?' : ports.join('\n'),
    started_at.replace('T', ' ').replace(/\.\d+Z$/, ''),
    sessions.map(({ session_id, thread_id }) => session_id ?? thread_id).join('\n'),
    tls === null ? '?' : tlsCell(tls),
  ];
}

/** `openssl by table, confidence high`, a line for each library. */
function tlsCell(tls: readonly TlsVerdict[]): string {
  if (tls.length === 0) return 'none known';
  const lines = tls.map((verdict) =>
    verdict.is_captured
      ? `${verdict.library} ${howFound(verdict)}`
      : `${verdict.library}: not captured, ${verdict.reason}`,
  );
  return [...new Set(lines)].join('\n');
}
