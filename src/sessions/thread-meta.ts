// What a session_meta line says of its thread. Owns the spellings of all versions: fields
// that moved, that were renamed, and that older versions did not have.
import { countAt, type JsonObject, objectAt, stringAt } from '../interpret/json.js';
import { parseUuid } from './rollout-name.js';

export type ThreadKind = 'root' | 'subagent' | 'fork' | 'review';

export interface ThreadMeta {
  id: string | null;
  sessionId: string | null;
  parentThreadId: string | null;
  forkedFromId: string | null;
  kind: ThreadKind;
  agentPath: string | null;
  nickname: string | null;
  role: string | null;
  cwd: string | null;
  cliVersion: string | null;
  /** RFC 3339 as Codex wrote it. */
  timestamp: string | null;
  /** Lines with lower ordinals were copied from another thread. */
  firstOwnOrdinal: number | undefined;
}

export function readThreadMeta(meta: JsonObject): ThreadMeta {
  const spawn = spawnOf(meta);
  const kind = kindOf(meta);
  const isRoot = kind === 'root' || kind === 'fork';
  const text = (key: string) => stringAt(meta, key) ?? null;
  const timestamp = stringAt(meta, 'timestamp');
  return {
    id: idAt(meta, 'id'),
    sessionId: idAt(meta, 'session_id'),
    parentThreadId: idAt(meta, 'parent_thread_id') ?? idAt(spawn, 'parent_thread_id'),
    forkedFromId: idAt(meta, 'forked_from_id'),
    kind,
    agentPath: text('agent_path') ?? stringAt(spawn, 'agent_path') ?? (isRoot ? '/root' : null),
    nickname: text('agent_nickname') ?? stringAt(spawn, 'agent_nickname') ?? null,
    role: text('agent_role') ?? text('agent_type') ?? stringAt(spawn, 'agent_role') ?? null,
    cwd: text('cwd'),
    cliVersion: text('cli_version'),
    timestamp: timestamp === undefined || Number.isNaN(Date.parse(timestamp)) ? null : timestamp,
    firstOwnOrdinal: countAt(meta, 'subagent_history_start_ordinal'),
  };
}

function kindOf(meta: JsonObject): ThreadKind {
  const source = objectAt(meta, 'source');
  if (stringAt(source, 'subagent') === 'review') return 'review';
  if (source?.subagent !== undefined || stringAt(meta, 'thread_source') === 'subagent') return 'subagent';
  return idAt(meta, 'forked_from_id') === null ? 'root' : 'fork';
}

/** What `source` says of a spawned sub-agent; older versions say it nowhere else. */
function spawnOf(meta: JsonObject): JsonObject | undefined {
  return objectAt(objectAt(objectAt(meta, 'source'), 'subagent'), 'thread_spawn');
}

function idAt(value: unknown, key: string): string | null {
  const id = stringAt(value, key);
  return id === undefined ? null : (parseUuid(id) ?? id);
}
