// The ids that a Codex request carries: header fields first, then x-codex-turn-metadata, then the body's
// client_metadata. Owns their spellings across versions (the underscores are those of 0.130).

import { field, type RequestHead } from '../protocol/http1-head.js';
import { isObject, type JsonObject, objectAt, parseObject, stringAt } from './json.js';

export interface WireIds {
  threadId: string | undefined;
  sessionId: string | undefined;
  turnId: string | undefined;
  /** Equal to the id in Codex's own trace; a retry of the request carries it again. */
  inferenceCallId: string | undefined;
  parentThreadId: string | undefined;
  /** `/root`, `/root/alpha`: where an agent is in the tree of agents. */
  agentPath: string | undefined;
  /** `thread_spawn` for an agent that another one started; others such as `review` run on their own. */
  subagentKind: string | undefined;
  /** `turn` for an inference of a turn; `compaction`, `prewarm` and others are not. */
  requestKind: string | undefined;
  /** The thread is not named on the wire: the history of the conversation tells it. */
  isThreadInferred?: boolean;
}

export function wireIds(head: RequestHead, body: JsonObject): WireIds {
  const clientMetadata = objectAt(body, 'client_metadata');
  const turnMetadata =
    parseObject(field(head.headers, 'x-codex-turn-metadata') ?? '') ??
    parseObject(stringAt(clientMetadata, 'x-codex-turn-metadata') ?? '');
  const header = (...names: string[]) => firstSet(names.map((name) => field(head.headers, name)));
  const metadata = (key: string) => firstSet([stringAt(turnMetadata, key), stringAt(clientMetadata, key)]);
  const subagent = header('x-openai-subagent') ?? stringAt(clientMetadata, 'x-openai-subagent');
  return {
    // Before 0.130 a thread had no id beside that of its session, which was its own.
    threadId:
      header('thread-id', 'thread_id') ?? metadata('thread_id') ?? header('conversation_id', 'session_id'),
    sessionId: header('session-id', 'session_id') ?? metadata('session_id'),
    turnId: metadata('turn_id'),
    inferenceCallId: header('x-codex-inference-call-id'),
    parentThreadId: header('x-codex-parent-thread-id') ?? metadata('parent_thread_id'),
    agentPath: metadata('agent_name'),
    subagentKind: metadata('subagent_kind') ?? (subagent === 'collab_spawn' ? 'thread_spawn' : subagent),
    requestKind: metadata('request_kind'),
  };
}

/** The first working directory that an environment_context message of the input names. */
export function workingDirectory(input: readonly unknown[]): string | undefined {
  for (const item of input) {
    const content = isObject(item) && Array.isArray(item.content) ? item.content : [];
    for (const part of content) {
      const [, cwd] =
        /^<environment_context>.*?<cwd>([^<]+)<\/cwd>/s.exec(stringAt(part, 'text') ?? '') ?? [];
      if (cwd !== undefined) return cwd;
    }
  }
  return undefined;
}

/** Codex sends an empty string for "none". */
function firstSet(values: readonly (string | undefined)[]): string | undefined {
  return values.find((value) => value !== undefined && value !== '');
}
