// The inferences of a thread: what was asked, what came back, and how it ended. Whether Codex has taken a response shows
// in its next request, so that ends wait for that.

import type { RawEventPayload } from '../trace/raw-event.js';
import { derivedUuid } from './derived-id.js';
import type { Outcome } from './exchange.js';
import type { History } from './history.js';
import { type JsonObject, stringAt } from './json.js';
import type { CallEnd, CallRequest, ResponsesCall } from './responses-call.js';
import type { Rollout } from './rollout.js';
import { partialPayload, providerName, requestPayload, responsePayload } from './thread-payload.js';
import { later } from './time.js';
import type { Place } from './timeline.js';
import type { ThreadTools } from './tools.js';
import type { Inference, InferenceEnding, Turn } from './turn.js';

interface Found {
  turn: Turn;
  inference: Inference;
}

const DROPPED = 'the next request of the thread does without this response';

export class Inferences {
  readonly #rollout: Rollout;
  readonly #threadId: string;
  readonly #history: History;
  readonly #tools: ThreadTools;
  readonly #byId = new Map<string, Found>();
  readonly #of = new Map<ResponsesCall, Found>();
  /** Ids of completed responses. */
  readonly #responses = new Set<string>();
  /** The request that was told last: which response it continues, and with what. */
  #last: { call: ResponsesCall; previous: string | undefined; input: readonly unknown[] } | undefined;
  /** The newest one with output that is not told as history yet. */
  #unsettled: Found | undefined;

  constructor(rollout: Rollout, threadId: string, history: History, tools: ThreadTools) {
    this.#rollout = rollout;
    this.#threadId = threadId;
    this.#history = history;
    this.#tools = tools;
  }

  /** How `call` stands; undefined when it is none of these. */
  outcomeOf(call: ResponsesCall): Outcome | undefined {
    const inference = this.#of.get(call)?.inference;
    if (inference === undefined) return undefined;
    if (inference.call !== call) return 'failed';
    return inference.ended ?? (call.end?.kind === 'unknown' ? 'unknown' : 'running');
  }

  /** Whether the request has been sent before, and failed: then this attempt takes its place. */
  retried(call: ResponsesCall): boolean {
    const found = this.#byId.get(call.ids?.inferenceCallId ?? '');
    if (found === undefined || found.inference.ended !== undefined) return false;
    found.inference.call = call;
    this.#of.set(call, found);
    return true;
  }

  /** `history` is all that the request stands for. */
  begin(
    call: ResponsesCall,
    request: CallRequest,
    turn: Turn,
    { history, atNs }: { history: readonly unknown[]; atNs: bigint },
  ): void {
    const { shared } = this.#rollout;
    const id =
      call.ids?.inferenceCallId ??
      derivedUuid(shared.salt, 'inference', call.connection, call.startedNs, call.place);
    if (!this.#rollout.claim('inference', id)) return;
    const inference: Inference = {
      ...{ id, call, ended: undefined, endNs: atNs, tools: [], supersededNs: undefined },
      input: call.transport === 'websocket' ? history : undefined,
      lastInputId: stringAt(request.input.at(-1), 'id'),
      output: [],
    };
    turn.inferences.push(inference);
    const found = { turn, inference };
    this.#byId.set(id, found);
    this.#of.set(call, found);
    const previous = stringAt(request.body, 'previous_response_id');
    const isContinued = previous !== undefined && this.#mayContinue(previous, request.input);
    this.#last = { call, previous: isContinued ? previous : undefined, input: request.input };
    this.#event(atNs, turn, {
      type: 'inference_started',
      inference_call_id: id,
      thread_id: this.#threadId,
      codex_turn_id: turn.id,
      model: call.model ?? 'unknown',
      provider_name: providerName(call),
      request_payload: requestPayload(this.#rollout, this.#history, request, isContinued),
    });
  }

  /** The model has finished an output item. */
  item(call: ResponsesCall, item: JsonObject, atNs: bigint): void {
    const found = this.#of.get(call);
    if (found === undefined || !this.#history.takes(item)) return;
    const { turn, inference } = found;
    // A server may answer before it has the whole request.
    const saidNs = later(atNs, inference.endNs);
    inference.output.push({ item, atNs: saidNs });
    this.#unsettled = found;
    const tool = this.#tools.requested(item, { turnId: turn.id, agentPid: call.pid, atNs: saidNs });
    if (tool !== undefined) inference.tools.push(tool);
  }

  /** A response has ended. After an HTTP error the same request may come again, so that one is left to the end. */
  ended(call: ResponsesCall, end: CallEnd, atNs: bigint): void {
    const found = this.#of.get(call);
    if (found === undefined || found.inference.call !== call) return;
    const { turn, inference } = found;
    const timeNs = later(atNs, inference.endNs);
    if (end.kind === 'failed') this.breakOff(turn, inference, { status: 'failed', why: end.error, timeNs });
    if (end.kind !== 'completed') return;
    inference.ended = 'completed';
    inference.endNs = timeNs;
    inference.items = call.items;
    if (call.responseId !== undefined) {
      this.#responses.add(call.responseId);
      if (inference.input !== undefined) {
        this.#history.answered(call.responseId, [...inference.input, ...call.items]);
      }
    }
    inference.input = undefined;
    this.#unsettled = found;
  }

  /** Tells what became of the last response: `next` is the whole input of the thread's next request, if there is one. */
  settle(next?: readonly unknown[]): void {
    const found = this.#unsettled;
    if (found === undefined) return;
    this.#unsettled = undefined;
    const { turn, inference } = found;
    const { output, items, lastInputId } = inference;
    const shown = next && new Set(next.map((item) => stringAt(item, 'id')));
    // Codex up to 0.130 leaves the ids away, and then nothing can be told by them.
    const isDropped =
      lastInputId !== undefined &&
      shown?.has(lastInputId) === true &&
      output.length > 0 &&
      output.every(({ item }) => item.id !== undefined && !shown.has(stringAt(item, 'id')));
    if (items !== undefined) {
      inference.items = undefined;
      if (isDropped) this.#drop(turn, inference);
      else this.#complete(turn, inference, items);
    }
    inference.output = [];
    if (isDropped) return;
    for (const { item, atNs } of output) this.#history.accept(item, turn.id, atNs, 'said');
  }

  /** An inference ends without its response being complete; what had come of it is kept. */
  breakOff(
    turn: Turn,
    inference: Inference,
    { status, why, timeNs, place }: Omit<InferenceEnding, 'place'> & { place?: Place },
  ): void {
    inference.ended = status;
    const isMoved = inference.endNs >= timeNs;
    inference.endNs = later(timeNs, inference.endNs);
    inference.input = undefined;
    const ids = {
      inference_call_id: inference.id,
      upstream_request_id: inference.call.upstreamRequestId ?? null,
    };
    const partial = {
      partial_response_payload: partialPayload(this.#rollout, this.#history, inference.call),
    };
    const ended: RawEventPayload =
      status === 'failed'
        ? { type: 'inference_failed', ...ids, error: why, ...partial }
        : { type: 'inference_cancelled', ...ids, reason: why, ...partial };
    this.#event(inference.endNs, turn, ended, isMoved ? 'at' : place);
  }

  /**
   * Whether the reference takes a request that continues a response: it expects what follows to be what the thread was
   * shown last, which is that response, or what an earlier request has continued it with.
   */
  #mayContinue(previous: string, input: readonly unknown[]): boolean {
    if (this.#last === undefined || !this.#responses.has(previous)) return false;
    if (this.#last.call.responseId === previous) return true;
    const { previous: theirs, input: known } = this.#last;
    const isSame = (item: unknown, index: number) =>
      index >= known.length || JSON.stringify(item) === JSON.stringify(known[index]);
    return theirs === previous && input.every(isSame);
  }

  #complete(turn: Turn, { id, call, endNs }: Inference, items: readonly JsonObject[]): void {
    this.#event(endNs, turn, {
      type: 'inference_completed',
      inference_call_id: id,
      response_id: call.responseId ?? null,
      upstream_request_id: call.upstreamRequestId ?? null,
      response_payload: responsePayload(this.#rollout, this.#history, call, items),
    });
  }

  /** The whole response was received, but something else had come up, and Codex did not take it any more. */
  #drop(turn: Turn, inference: Inference): void {
    const timeNs = inference.endNs;
    this.breakOff(turn, inference, { status: 'cancelled', why: DROPPED, timeNs });
  }

  #event(timeNs: bigint, turn: Turn, payload: RawEventPayload, place?: Place): void {
    this.#rollout.event(timeNs, payload, this.#threadId, turn.id, place);
  }
}
