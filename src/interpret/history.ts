// The history of a thread: which items have become part of it, and what a request that continues a response stands for.

import type { RawEventPayload } from '../trace/raw-event.js';
import { arrayAt, type JsonObject, stringAt } from './json.js';
import { accepted, acceptedByKind, isComputedId } from './model-item.js';
import type { CallRequest } from './responses-call.js';
import type { Rollout } from './rollout.js';
import type { Place } from './timeline.js';

/** How Codex tells the model that it was interrupted. */
const TURN_ABORTED = '<turn_aborted>';
/** Longer items are read each time: what is kept of a thread is kept to its end. */
const MAX_JUDGED_CHARS = 4096;

export class History {
  readonly #rollout: Rollout;
  readonly #threadId: string;
  readonly #known = new Set<string>();
  /** What calls ask for, by kind and id. */
  readonly #calls = new Map<string, string>();
  /** Whether items were taken, by their text: over HTTP every request repeats them. */
  readonly #judged = new Map<string, boolean>();
  /** Over HTTP no request continues another one. */
  #last: { responseId: string; items: readonly unknown[] } | undefined;

  constructor(rollout: Rollout, threadId: string) {
    this.#rollout = rollout;
    this.#threadId = threadId;
  }

  /** The input with all that the response stands for that it continues. */
  wholeInput({ body, input }: CallRequest): readonly unknown[] {
    const previous = stringAt(body, 'previous_response_id');
    if (previous === undefined || previous !== this.#last?.responseId) return input;
    return [...this.#last.items, ...input];
  }

  /** A response may be continued: `items` are the whole input of its request, and its output. */
  answered(responseId: string, items: readonly unknown[]): void {
    this.#last = { responseId, items };
  }

  /** Whether the reference takes the item as part of this thread: one of its kinds, and no second content of a call. */
  takes(item: unknown): item is JsonObject {
    const byKind = acceptedByKind(item);
    if (byKind !== undefined) return byKind;
    const text = JSON.stringify(item);
    const judged = this.#judged.get(text);
    if (judged !== undefined) return judged;
    const isTaken = this.#judge(item as JsonObject);
    if (text.length <= MAX_JUDGED_CHARS) this.#judged.set(text, isTaken);
    return isTaken;
  }

  #judge(item: JsonObject): boolean {
    const taken = accepted(item);
    if (taken?.call === undefined) return taken !== undefined;
    const { key, content } = taken.call;
    const known = this.#calls.get(key);
    if (known === undefined) this.#calls.set(key, content);
    return known === undefined || known === content;
  }

  /** Whether new items say that a person has ended the turn before. */
  isInterrupted(input: readonly unknown[]): boolean {
    return input.some(
      (item) => !this.#known.has(stringAt(item, 'id') ?? '') && messageText(item).startsWith(TURN_ABORTED),
    );
  }

  /** Items that entered the history without being accepted now. */
  know(items: readonly unknown[]): void {
    for (const item of items) this.#known.add(stringAt(item, 'id') ?? '');
  }

  /** Tells that the item is now part of the history, once. */
  accept(item: JsonObject, turnId: string, atNs: bigint, place?: Place): void {
    const id = stringAt(item, 'id');
    if (id === undefined || isComputedId(id) || this.#known.has(id) || !this.takes(item)) return;
    this.#known.add(id);
    const accepted: RawEventPayload = { type: 'history_item_accepted', item_id: id };
    if (item.type === 'agent_message') {
      accepted.agent_message_payload = this.#rollout.payload('protocol_event', item);
      this.#rollout.agents.received(this.#threadId, item, atNs);
    }
    this.#rollout.event(atNs, accepted, this.#threadId, turnId, place);
  }
}

function messageText(item: unknown): string {
  return stringAt(arrayAt(item, 'content')?.[0], 'text') ?? '';
}
