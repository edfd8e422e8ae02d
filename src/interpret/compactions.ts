// The compactions of a thread: requests for a shorter history, and the history that took the place of the old one. What
// that is shows in the next request. Owns only compactions that the server carries out: of those that Codex makes
// itself from a summary, its own trace tells nothing but their turn.

import { derivedUuid } from './derived-id.js';
import type { History } from './history.js';
import { type JsonObject, stringAt } from './json.js';
import { isComputedId } from './model-item.js';
import type { CallEnd, CallRequest, ResponsesCall } from './responses-call.js';
import type { Rollout } from './rollout.js';
import { providerName } from './thread-payload.js';
import { later } from './time.js';

interface Compaction {
  id: string;
  requestId: string;
  turnId: string;
  input: readonly unknown[];
  startedNs: bigint;
  /** Once the server has answered. */
  made: { encrypted: string; atNs: bigint } | undefined;
}

/** The item that asks the server to compact what stands before it. */
const TRIGGER = 'compaction_trigger';
/** Older versions of Codex send compactions to a place of their own. */
const COMPACT_PATH = /\/responses\/compact(?:[?#]|$)/;

export class Compactions {
  readonly #rollout: Rollout;
  readonly #threadId: string;
  readonly #history: History;
  readonly #of = new Map<ResponsesCall, Compaction>();
  /** The newest one, until its history is in place. */
  #latest: Compaction | undefined;

  constructor(rollout: Rollout, threadId: string, history: History) {
    this.#rollout = rollout;
    this.#threadId = threadId;
    this.#history = history;
  }

  /** `history` is all that the request stands for. */
  requested(
    call: ResponsesCall,
    request: CallRequest,
    turnId: string,
    { history: input, atNs }: { history: readonly unknown[]; atNs: bigint },
  ): void {
    const isTriggered = stringAt(input.at(-1), 'type') === TRIGGER;
    if (!isTriggered && !COMPACT_PATH.test(call.head.target)) return;
    const { shared } = this.#rollout;
    const again = this.#latest?.turnId === turnId && this.#latest.made === undefined;
    const compaction: Compaction = {
      id: again
        ? (this.#latest?.id ?? '')
        : derivedUuid(shared.salt, 'compaction', call.connection, call.startedNs, call.place),
      requestId: this.#rollout.nextCompactionRequestId(),
      turnId,
      input: this.#conversation(input),
      startedNs: atNs,
      made: undefined,
    };
    this.#latest = compaction;
    this.#of.set(call, compaction);
    const payload = {
      model: call.model ?? null,
      instructions: stringAt(request.body, 'instructions') ?? baseInstructions(input),
      input: input.filter((item) => !isBaseInstructions(item)),
      parallel_tool_calls: request.body.parallel_tool_calls === true,
    };
    this.#rollout.event(
      atNs,
      {
        type: 'compaction_request_started',
        compaction_id: compaction.id,
        compaction_request_id: compaction.requestId,
        thread_id: this.#threadId,
        codex_turn_id: turnId,
        model: call.model ?? 'unknown',
        provider_name: providerName(call),
        request_payload: this.#rollout.payload('compaction_request', payload),
      },
      this.#threadId,
      turnId,
    );
  }

  ended(call: ResponsesCall, end: CallEnd, endNs: bigint): void {
    const compaction = this.#of.get(call);
    if (compaction === undefined || end.kind === 'unknown') return;
    const atNs = later(endNs, compaction.startedNs);
    const { id, requestId, turnId } = compaction;
    const ids = { compaction_id: id, compaction_request_id: requestId };
    if (end.kind !== 'completed') {
      const failed = { type: 'compaction_request_failed', ...ids, error: end.error } as const;
      this.#rollout.event(atNs, failed, this.#threadId, turnId);
      return;
    }
    const encrypted = encryptedContent(call.items.findLast(isCompaction));
    if (encrypted !== undefined) compaction.made = { encrypted, atNs };
    const response_payload = this.#rollout.payload('compaction_response', { output_items: call.items });
    const completed = { type: 'compaction_request_completed', ...ids, response_payload } as const;
    this.#rollout.event(atNs, completed, this.#threadId, turnId);
  }

  /** The input of the thread's next request: it begins with the new history. Returns the items of that. */
  installed(input: readonly unknown[]): readonly unknown[] {
    const compaction = this.#latest;
    if (compaction?.made === undefined) return [];
    const { encrypted, atNs } = compaction.made;
    const last = input.findLastIndex((item) => isCompaction(item) && encryptedContent(item) === encrypted);
    if (last < 0) return [];
    this.#latest = undefined;
    const history = this.#conversation(input.slice(0, last + 1));
    const checkpoint = { input_history: compaction.input, replacement_history: history };
    this.#rollout.event(
      atNs,
      {
        type: 'compaction_installed',
        compaction_id: compaction.id,
        checkpoint_payload: this.#rollout.payload('compaction_checkpoint', checkpoint),
      },
      this.#threadId,
      compaction.turnId,
      'after',
    );
    return history;
  }

  /** Not part of it are the trigger and the instructions that Codex puts in front of every request. */
  #conversation(input: readonly unknown[]): readonly JsonObject[] {
    return input.filter((item): item is JsonObject => this.#history.takes(item) && !isBaseInstructions(item));
  }
}

export function isCompactionCall(call: ResponsesCall): boolean {
  return call.ids?.requestKind === 'compaction' || COMPACT_PATH.test(call.head.target);
}

function isBaseInstructions(item: unknown): boolean {
  return isComputedId(stringAt(item, 'id') ?? '');
}

function baseInstructions(input: readonly unknown[]): string {
  const item = input.find(isBaseInstructions);
  const content = Array.isArray(Object(item).content) ? Object(item).content : [];
  return content.map((part: unknown) => stringAt(part, 'text') ?? '').join('');
}

function isCompaction(item: unknown): boolean {
  const type = stringAt(item, 'type');
  return type === 'compaction' || type === 'compaction_summary' || type === 'context_compaction';
}

function encryptedContent(item: JsonObject | unknown): string | undefined {
  return stringAt(item, 'encrypted_content');
}
