// Threads and turns of agents that name none: which requests continue each other. A request carries its whole history,
// so that those of one process, or of the session that they name, with the same beginning are one thread; each message of
// the user begins a turn. All of it is inferred, and says so.

import { createHash } from 'node:crypto';
import type { ReadRequest } from './api-reader.js';
import { derivedUuid } from './derived-id.js';
import { type JsonObject, stringAt } from './json.js';

const CONVERSATION_LIMITS = {
  /** Threads that are remembered. One that is forgotten goes on as another. */
  threads: 10_000,
} as const;

const NO_SALT = new Uint8Array();

export class Conversations {
  readonly #threads = new Map<string, string>();

  /** Ids in the form in which Codex puts its own into a request. */
  idsOf(request: ReadRequest, { pid, startedNs }: { pid: number; startedNs: bigint }): JsonObject {
    const whose = request.sessionId ?? `process ${pid}`;
    const key = `${whose} ${digest(request.input.find((item) => stringAt(item, 'role') === 'user'))}`;
    const threadId = this.#threads.get(key) ?? derivedUuid(NO_SALT, 'thread', key, startedNs);
    this.#threads.delete(key);
    this.#threads.set(key, threadId);
    const [oldest] = this.#threads.keys();
    if (oldest !== undefined && this.#threads.size > CONVERSATION_LIMITS.threads)
      this.#threads.delete(oldest);
    return {
      thread_id: threadId,
      session_id: request.sessionId ?? threadId,
      turn_id: derivedUuid(NO_SALT, 'turn', threadId, request.userMessages),
    };
  }
}

function digest(item: JsonObject | undefined): string {
  return createHash('sha256')
    .update(JSON.stringify(item ?? null))
    .digest('hex');
}
