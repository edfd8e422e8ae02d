// The payload files of a thread: what was sent, what came back, and who the thread is.

import { field } from '../protocol/http1-head.js';
import type { RawPayloadRef } from '../trace/raw-event.js';
import type { History } from './history.js';
import { type JsonObject, stringAt } from './json.js';
import type { CallRequest, ResponsesCall } from './responses-call.js';
import type { Rollout } from './rollout.js';
import type { WireIds } from './wire-ids.js';

/**
 * The body as it was sent; re-emitted only when it holds what the reference refuses: unknown items, or a response to
 * continue that the request cannot be told to continue.
 */
export function requestPayload(
  rollout: Rollout,
  history: History,
  request: CallRequest,
  isContinued: boolean,
): RawPayloadRef {
  const { previous_response_id: previous, ...body } = request.body;
  const isKnown = typeof previous !== 'string' || isContinued;
  const input = request.input.filter((item) => history.takes(item));
  if (isKnown && input.length === request.input.length)
    return rollout.payload('inference_request', request.text);
  if (!isKnown) rollout.shared.anomalies.add('unknown-previous-response', previous);
  return rollout.payload('inference_request', {
    ...(isKnown ? request.body : { ...body, unknown_previous_response_id: previous }),
    input,
    ...setAside(rollout, request.input, input),
  });
}

/** `items` are all that the response brought. */
export function responsePayload(
  rollout: Rollout,
  history: History,
  call: ResponsesCall,
  items: readonly JsonObject[],
): RawPayloadRef {
  return rollout.payload('inference_response', {
    response_id: call.responseId ?? null,
    upstream_request_id: call.upstreamRequestId ?? null,
    token_usage: call.usage ?? null,
    ...output(rollout, history, items),
  });
}

/** What had arrived of a response that did not complete; null when no item had. Codex gives it no id and no usage. */
export function partialPayload(
  rollout: Rollout,
  history: History,
  call: ResponsesCall,
): RawPayloadRef | null {
  if (call.items.length === 0) return null;
  return rollout.payload('inference_response', {
    response_id: null,
    upstream_request_id: call.upstreamRequestId ?? null,
    token_usage: null,
    ...output(rollout, history, call.items),
  });
}

/** What the wire tells of a thread, in the shape of the metadata that Codex records at its start. */
export function threadMetadata(
  rollout: Rollout,
  thread: { id: string; agentPath: string; ids: WireIds; model: string | undefined },
  { cwd, provider, nickname }: { cwd: string | undefined; provider: string; nickname: string | null },
): RawPayloadRef {
  const task = thread.agentPath.split('/').at(-1);
  return rollout.payload('session_metadata', {
    thread_id: thread.id,
    agent_path: thread.agentPath,
    task_name: task === undefined || task === 'root' ? null : task,
    nickname,
    agent_role: null,
    session_source: sessionSource(thread.ids, thread.agentPath, nickname),
    cwd: cwd ?? null,
    model: thread.model ?? null,
    provider_name: provider,
  });
}

/** How Codex calls a provider in its configuration is not on the wire: the host it is reached at stands for it. */
export function providerName(call: ResponsesCall): string {
  const host = field(call.head.headers, 'host') ?? '';
  return host.replace(/:\d+$/, '') || 'unknown';
}

/** Who started the thread; null when the wire does not tell. */
function sessionSource(ids: WireIds, agentPath: string, nickname: string | null): JsonObject | null {
  if (ids.subagentKind === undefined) return null;
  if (ids.subagentKind !== 'thread_spawn' || ids.parentThreadId === undefined) {
    return { subagent: ids.subagentKind };
  }
  const spawn = { parent_thread_id: ids.parentThreadId, agent_path: agentPath };
  return { subagent: { thread_spawn: { ...spawn, agent_nickname: nickname, agent_role: null } } };
}

function output(rollout: Rollout, history: History, items: readonly JsonObject[]): JsonObject {
  const output_items = items.filter((item) => history.takes(item));
  return { output_items, ...setAside(rollout, items, output_items) };
}

/** Items that would make the reference reject the bundle stay in the payload under a name of their own. */
function setAside(
  rollout: Rollout,
  items: readonly unknown[],
  taken: readonly unknown[],
): { unsupported_items?: unknown[] } {
  if (items.length === taken.length) return {};
  const unsupported = items.filter((item) => !taken.includes(item));
  const example = stringAt(unsupported[0], 'type') ?? 'an item without a type';
  rollout.shared.anomalies.add('unsupported-item', example, unsupported.length);
  return { unsupported_items: unsupported };
}
