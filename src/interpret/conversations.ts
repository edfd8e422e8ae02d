// Threads and turns of agents that do not name theirs, as Codex before 0.116 names no turns and other agents name
// nothing: which requests continue each other. A request carries its whole history, or the id of the response that it
// goes on from. Requests of one process, or of one session that they name, with the same beginning are one thread; each
// message of the user begins a turn. All of it is inferred, and says so.

import { createHash } from 'node:crypto';
import { derivedUuid } from './derived-id.js';
import { stringAt } from './json.js';
import type { CallRequest, ResponsesCall } from './responses-call.js';

const CONVERSATION_LIMITS = {
  /** Threads, and responses that may be continued, that are remembered. What goes on from a forgotten one is another thread. */
  remembered: 10_000,
} as const;

/** Where a request stands in its conversation. */
interface Position {
  threadId: string;
  userMessages: number;
}

const NO_SALT = new Uint8Array();

export class Conversations {
  readonly #threads = new Map<string, string>();
  readonly #positions = new WeakMap<ResponsesCall, Position>();
  readonly #responses = new Map<string, Position>();

  /** Gives the call the ids that it lacks. True when there were some. */
  complete(call: ResponsesCall, request: CallRequest): boolean {
    const { ids } = call;
    if (ids === undefined || (ids.threadId !== undefined && ids.turnId !== undefined)) return false;
    // What is no turn has no turn to be named.
    if (call.isWarmUp || ids.requestKind !== undefined) return false;
    const own = request.userMessages ?? request.input.filter(isUserMessage).length;
    const before = this.#responses.get(stringAt(request.body, 'previous_response_id') ?? '');
    const threadId = ids.threadId ?? before?.threadId ?? this.#threadOf(call, request);
    const userMessages = own + (before?.userMessages ?? 0);
    const turnId = ids.turnId ?? derivedUuid(NO_SALT, 'turn', threadId, userMessages);
    this.#positions.set(call, { threadId, userMessages });
    call.ids = { ...ids, threadId, turnId, isThreadInferred: ids.threadId === undefined };
    return true;
  }

  /** Its response may be continued. */
  ended(call: ResponsesCall): void {
    const position = this.#positions.get(call);
    if (position !== undefined && call.responseId !== undefined) {
      remember(this.#responses, call.responseId, position);
    }
  }

  #threadOf(call: ResponsesCall, { input }: CallRequest): string {
    const first = JSON.stringify(input.find(isUserMessage) ?? null);
    const whose = call.ids?.sessionId ?? `process ${call.pid}`;
    const key = `${whose} ${createHash('sha256').update(first).digest('hex')}`;
    const threadId = this.#threads.get(key) ?? derivedUuid(NO_SALT, 'thread', key, call.startedNs);
    remember(this.#threads, key, threadId);
    return threadId;
  }
}

function isUserMessage(item: unknown): boolean {
  return stringAt(item, 'role') === 'user';
}

function remember<Value>(known: Map<string, Value>, key: string, value: Value): void {
  known.delete(key);
  known.set(key, value);
  const [oldest] = known.keys();
  if (oldest !== undefined && known.size > CONVERSATION_LIMITS.remembered) known.delete(oldest);
}
