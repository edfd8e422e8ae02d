// A thread of Codex as its requests tell it: turns, inferences, accepted history and tool calls. Owns what an
// exchange means for the thread. How things ended that have no event of their own is turn.ts; the payload
// files are thread-payload.ts. It knows nothing of bytes.

import type { RawEventPayload, RolloutStatus } from '../trace/raw-event.js';
import { derivedUuid } from './derived-id.js';
import type { Outcome } from './exchange.js';
import { isObject, type JsonObject, stringAt } from './json.js';
import { isComputedId, isModelOrToolItem, isSupported } from './model-item.js';
import type { ProcessExit } from './processes.js';
import type { CallEnd, CallRequest, ResponsesCall } from './responses-call.js';
import type { Rollout } from './rollout.js';
import {
  partialPayload,
  providerName,
  requestPayload,
  responsePayload,
  threadMetadata,
} from './thread-payload.js';
import type { Place } from './timeline.js';
import { commandOutput, requestedTool, type ToolOutput, toolOutput } from './tool-call.js';
import { finishToolRuntime, type ToolRun, toolRun, writeToolRuntime } from './tool-runtime.js';
import {
  boundaryOf,
  type Inference,
  type InferenceEnding,
  inferenceEnding,
  type ProcessRun,
  type Turn,
  turnEnding,
} from './turn.js';
import { type WireIds, workingDirectory } from './wire-ids.js';

export class Thread {
  readonly id: string;
  readonly ids: WireIds;
  readonly agentPath: string;
  readonly #rollout: Rollout;
  readonly #runs: ProcessRun[] = [];
  readonly #turns = new Map<string, Turn>();
  readonly #inferences = new Map<string, { turn: Turn; inference: Inference }>();
  readonly #of = new Map<ResponsesCall, { turn: Turn; inference: Inference }>();
  readonly #tools = new Map<string, ToolRun>();
  readonly #knownItems = new Set<string>();
  /** Ids of completed responses: what a request may continue. */
  readonly #responses = new Set<string>();
  #cwd: string | undefined;

  constructor(rollout: Rollout, id: string, ids: WireIds) {
    this.#rollout = rollout;
    this.id = id;
    this.ids = ids;
    this.agentPath = ids.agentPath ?? '/root';
  }

  /** The status that the thread ended with; undefined while it runs. */
  get endStatus(): RolloutStatus | undefined {
    const exit = this.#runs.at(-1)?.exit;
    return exit === undefined ? undefined : statusOf(exit);
  }

  /** How a call of this thread stands; undefined when it is not among the inferences. */
  outcomeOf(call: ResponsesCall): Outcome | undefined {
    const inference = this.#of.get(call)?.inference;
    if (inference === undefined) return undefined;
    if (inference.call !== call) return 'failed';
    return inference.ended ?? (call.end?.kind === 'unknown' ? 'unknown' : 'running');
  }

  /** A request is whole: what it carries back ends, and an inference of `turnId` begins. */
  requested(call: ResponsesCall, request: CallRequest, turnId: string): void {
    const retried = this.#inferences.get(call.ids?.inferenceCallId ?? '');
    if (retried !== undefined && retried.inference.ended === undefined) {
      retried.inference.call = call;
      this.#of.set(call, retried);
      return;
    }
    const at = call.startedNs;
    const isFirst = this.#runs.length === 0;
    const run = this.#run(call, request);
    const turn = this.#turn(turnId, at, run);
    if (turn === undefined) return;
    for (const earlier of turn.inferences) {
      if (earlier.ended === undefined) earlier.supersededNs ??= at;
    }
    this.#cwd = workingDirectory(request.input) ?? this.#cwd;
    this.#readInput(request.input, turn, at, isFirst);
    this.#begin(call, request, turn);
  }

  /** The model has finished an output item. */
  item(call: ResponsesCall, item: JsonObject, timeNs: bigint): void {
    const found = this.#of.get(call);
    if (found === undefined || !isSupported(item)) return;
    const { turn, inference } = found;
    this.#accept(item, turn, timeNs, 'after');
    const tool = requestedTool(item);
    if (tool === undefined || !this.#rollout.claim('tool call', tool.callId)) return;
    const run = toolRun(tool, turn.id, timeNs);
    inference.tools.push(run);
    this.#tools.set(tool.callId, run);
    const started: RawEventPayload = {
      type: 'tool_call_started',
      tool_call_id: tool.callId,
      model_visible_call_id: tool.callId,
      code_mode_runtime_tool_id: null,
      requester: { type: 'model' },
      kind: tool.kind,
      summary: tool.summary,
      invocation_payload: this.#rollout.payload('tool_invocation', tool.invocation),
    };
    this.#event(timeNs, turn, started, 'after');
  }

  /** A response has ended. After an HTTP error the same request may come again, so that one is left to `finish`. */
  ended(call: ResponsesCall, end: CallEnd, timeNs: bigint): void {
    const found = this.#of.get(call);
    if (found === undefined || found.inference.call !== call) return;
    const { turn, inference } = found;
    if (end.kind === 'failed') this.#breakOff(turn, inference, { status: 'failed', why: end.error, timeNs });
    if (end.kind !== 'completed') return;
    inference.ended = 'completed';
    if (call.responseId !== undefined) this.#responses.add(call.responseId);
    inference.endNs = timeNs;
    this.#event(timeNs, turn, {
      type: 'inference_completed',
      inference_call_id: inference.id,
      response_id: call.responseId ?? null,
      upstream_request_id: call.upstreamRequestId ?? null,
      response_payload: responsePayload(this.#rollout, call),
    });
  }

  exited(pid: number, exit: ProcessExit): void {
    const run = this.#runs.at(-1);
    if (run?.pid === pid && run.exit === undefined) run.exit = exit;
  }

  /** Adds every ending that the evidence shows. Nothing else comes after. */
  finish(): void {
    const turns = [...this.#turns.values()];
    for (const [index, turn] of turns.entries()) {
      const boundary = boundaryOf(turn, turns[index + 1]);
      for (const inference of turn.inferences) {
        const ending = inferenceEnding(inference, boundary);
        if (ending !== undefined) this.#breakOff(turn, inference, ending);
      }
      const ending = turnEnding(turn, boundary);
      if (ending === undefined) continue;
      const ended: RawEventPayload = {
        type: 'codex_turn_ended',
        codex_turn_id: turn.id,
        status: ending.status,
      };
      this.#event(ending.timeNs, turn, ended, ending.place);
    }
    for (const tool of this.#tools.values()) finishToolRuntime(this.#rollout, this.id, tool, this.#cwd);
    for (const { exit } of this.#runs) {
      if (exit === undefined) continue;
      this.#rollout.event(exit.timeNs, { type: 'thread_ended', thread_id: this.id, status: statusOf(exit) });
    }
  }

  /** The process that sends on the thread; another one after the first has ended resumes it. */
  #run(call: ResponsesCall, request: CallRequest): ProcessRun {
    const current = this.#runs.at(-1);
    if (current !== undefined && (current.pid === call.pid || current.exit === undefined)) return current;
    const run: ProcessRun = { pid: call.pid, exit: undefined };
    this.#runs.push(run);
    this.#rollout.event(
      call.startedNs,
      current !== undefined
        ? { type: 'thread_resumed', thread_id: this.id }
        : {
            type: 'thread_started',
            thread_id: this.id,
            agent_path: this.agentPath,
            metadata_payload: threadMetadata(this.#rollout, this, call, request),
          },
    );
    return run;
  }

  #turn(id: string, at: bigint, run: ProcessRun): Turn | undefined {
    const known = this.#turns.get(id);
    if (known !== undefined) return known;
    if (!this.#rollout.claim('turn', id)) return undefined;
    const turn: Turn = { id, startedNs: at, run, inferences: [] };
    this.#turns.set(id, turn);
    this.#event(at, turn, { type: 'codex_turn_started', codex_turn_id: id, thread_id: this.id });
    return turn;
  }

  #begin(call: ResponsesCall, request: CallRequest, turn: Turn): void {
    const id =
      call.ids?.inferenceCallId ??
      derivedUuid(this.#rollout.shared.salt, 'inference', call.connection, call.startedNs, call.place);
    if (!this.#rollout.claim('inference', id)) return;
    const inference: Inference = {
      id,
      call,
      ended: undefined,
      endNs: call.startedNs,
      tools: [],
      supersededNs: undefined,
    };
    turn.inferences.push(inference);
    this.#inferences.set(id, { turn, inference });
    this.#of.set(call, { turn, inference });
    this.#event(call.startedNs, turn, {
      type: 'inference_started',
      inference_call_id: id,
      thread_id: this.id,
      codex_turn_id: turn.id,
      model: call.model ?? 'unknown',
      provider_name: providerName(call),
      request_payload: requestPayload(this.#rollout, request, this.#responses),
    });
  }

  /** New items of the request's input: outputs end their tool calls, and all become history. */
  #readInput(input: readonly unknown[], turn: Turn, at: bigint, isFirstRequest: boolean): void {
    // The first request of a resumed or forked thread repeats a history that was accepted long before.
    const lastOld = isFirstRequest ? input.findLastIndex(isModelOrToolItem) : -1;
    for (const [index, item] of input.entries()) {
      if (!isObject(item)) continue;
      const output = toolOutput(item);
      if (output !== undefined) this.#endTool(output, turn, at);
      if (index > lastOld) this.#accept(item, turn, at);
      else this.#knownItems.add(stringAt(item, 'id') ?? '');
    }
  }

  #endTool(output: ToolOutput, turn: Turn, at: bigint): void {
    const tool = this.#tools.get(output.callId);
    if (tool === undefined || tool.endedNs !== undefined) return;
    tool.endedNs = at;
    tool.shownOutput = commandOutput(output.text);
    this.#event(at, turn, {
      type: 'tool_call_ended',
      tool_call_id: output.callId,
      status: output.status,
      result_payload: this.#rollout.payload('tool_result', output.result),
    });
    writeToolRuntime(this.#rollout, this.id, tool, this.#cwd);
  }

  #accept(item: JsonObject, turn: Turn, at: bigint, place?: Place): void {
    const id = stringAt(item, 'id');
    if (id === undefined || isComputedId(id) || this.#knownItems.has(id)) return;
    this.#knownItems.add(id);
    const accepted: RawEventPayload = { type: 'history_item_accepted', item_id: id };
    if (item.type === 'agent_message') {
      accepted.agent_message_payload = this.#rollout.payload('protocol_event', item);
    }
    this.#event(at, turn, accepted, place);
  }

  /** An inference ends without its response being complete; what had come of it is kept. */
  #breakOff(
    turn: Turn,
    inference: Inference,
    { status, why, timeNs, place }: Omit<InferenceEnding, 'place'> & { place?: Place },
  ): void {
    inference.ended = status;
    inference.endNs = timeNs;
    const ids = {
      inference_call_id: inference.id,
      upstream_request_id: inference.call.upstreamRequestId ?? null,
    };
    const partial = { partial_response_payload: partialPayload(this.#rollout, inference.call) };
    const ended: RawEventPayload =
      status === 'failed'
        ? { type: 'inference_failed', ...ids, error: why, ...partial }
        : { type: 'inference_cancelled', ...ids, reason: why, ...partial };
    this.#event(timeNs, turn, ended, place);
  }

  #event(timeNs: bigint, turn: Turn, payload: RawEventPayload, place?: Place): void {
    this.#rollout.event(timeNs, payload, this.id, turn.id, place);
  }
}

function statusOf(exit: ProcessExit): RolloutStatus {
  return exit.signal === undefined ? 'completed' : 'aborted';
}
