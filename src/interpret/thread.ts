// A thread of Codex as its requests tell it: turns, inferences and accepted history. Owns what an exchange means for
// the thread. How things ended that have no event of their own is turn.ts; tools, compactions and agents have files of
// their own; the payload files are thread-payload.ts. It knows nothing of bytes.

import type { RawEventPayload, RolloutStatus } from '../trace/raw-event.js';
import { Compactions, isCompactionCall } from './compactions.js';
import type { Outcome } from './exchange.js';
import { History } from './history.js';
import { Inferences } from './inferences.js';
import { isObject, type JsonObject } from './json.js';
import { isModelOrToolItem } from './model-item.js';
import type { ProcessExit } from './processes.js';
import type { CallEnd, CallRequest, ResponsesCall } from './responses-call.js';
import type { Rollout } from './rollout.js';
import { providerName, threadMetadata } from './thread-payload.js';
import { later } from './time.js';
import type { Place } from './timeline.js';
import { ThreadTools } from './tools.js';
import { boundaryOf, inferenceEnding, type ProcessRun, type Turn, turnEnding } from './turn.js';
import { type WireIds, workingDirectory } from './wire-ids.js';

export class Thread {
  readonly id: string;
  readonly ids: WireIds;
  readonly agentPath: string;
  /** When its first request was sent. */
  readonly startedNs: bigint;
  /** The model of its first request. */
  readonly model: string | undefined;
  readonly #rollout: Rollout;
  readonly #first: { cwd: string | undefined; provider: string };
  readonly #runs: ProcessRun[] = [];
  readonly #turns = new Map<string, Turn>();
  readonly #compactionTurns = new Map<ResponsesCall, Turn>();
  readonly #history: History;
  readonly #tools: ThreadTools;
  readonly #inferences: Inferences;
  readonly #compactions: Compactions;
  #cwd: string | undefined;
  #lastNs = 0n;
  #isAnnounced = false;

  /** `call` is the thread's first. */
  constructor(rollout: Rollout, id: string, ids: WireIds, call: ResponsesCall, request: CallRequest) {
    this.#rollout = rollout;
    this.id = id;
    this.ids = ids;
    this.agentPath = ids.agentPath ?? '/root';
    this.startedNs = call.startedNs;
    this.model = call.model;
    this.#first = { cwd: workingDirectory(request.input), provider: providerName(call) };
    this.#history = new History(rollout, id);
    this.#tools = new ThreadTools(rollout, id);
    this.#inferences = new Inferences(rollout, id, this.#history, this.#tools);
    this.#compactions = new Compactions(rollout, id, this.#history);
  }

  /** The status that the thread ended with; undefined while it runs. */
  get endStatus(): RolloutStatus | undefined {
    const exit = this.#runs.at(-1)?.exit;
    return exit === undefined ? undefined : statusOf(exit);
  }

  /** How a call of this thread stands; undefined when it is not in the bundle. */
  outcomeOf(call: ResponsesCall): Outcome | undefined {
    return this.#inferences.outcomeOf(call);
  }

  /** A request is whole: what it carries back ends, and an inference of `turnId`, or a compaction, begins. */
  requested(call: ResponsesCall, request: CallRequest, turnId: string): void {
    if (this.#inferences.retried(call)) return;
    // What the thread's model has said comes before what is sent next, also where the evidence is out of order.
    const at = call.startedNs > this.#lastNs ? call.startedNs : this.#lastNs + 1n;
    this.#lastNs = at;
    const isFirst = this.#runs.length === 0;
    const run = this.#run(call, at);
    const before = [...this.#turns.values()].at(-1);
    const turn = this.#turn(turnId, at, run);
    if (turn === undefined) return;
    if (before !== undefined && before !== turn)
      before.isInterrupted = this.#history.isInterrupted(request.input);
    for (const earlier of turn.inferences) {
      if (earlier.ended === undefined) earlier.supersededNs ??= at;
    }
    this.#cwd = workingDirectory(request.input) ?? this.#cwd;
    const history = this.#history.wholeInput(request);
    if (isCompactionCall(call)) {
      // What asks for the compaction is no part of the conversation.
      const conversation = request.input.filter(isModelOrToolItem);
      this.#inferences.settle(history);
      this.#readInput(conversation, turn, at, isFirst);
      this.#compactionTurns.set(call, turn);
      turn.compaction = { startedNs: at, ended: undefined, endNs: at };
      this.#compactions.requested(call, request, turn.id, { history, atNs: at });
      return;
    }
    const replacement = this.#compactions.installed(request.input);
    this.#inferences.settle(replacement.length === 0 ? history : undefined);
    this.#history.know(replacement);
    this.#readInput(request.input, turn, at, isFirst);
    this.#inferences.begin(call, request, turn, { history, atNs: at });
  }

  /** The model has finished an output item. */
  item(call: ResponsesCall, item: JsonObject, timeNs: bigint): void {
    this.#lastNs = later(timeNs, this.#lastNs);
    this.#inferences.item(call, item, timeNs);
  }

  /** A response has ended. */
  ended(call: ResponsesCall, end: CallEnd, timeNs: bigint): void {
    this.#lastNs = later(timeNs, this.#lastNs);
    const { compaction } = this.#compactionTurns.get(call) ?? {};
    if (compaction !== undefined && end.kind !== 'unknown') {
      compaction.ended = end.kind === 'completed' ? 'completed' : 'failed';
      compaction.endNs = timeNs;
    }
    this.#compactions.ended(call, end, timeNs);
    this.#inferences.ended(call, end, timeNs);
  }

  exited(pid: number, exit: ProcessExit): void {
    const run = this.#runs.at(-1);
    if (run?.pid === pid && run.exit === undefined) run.exit = exit;
  }

  /** Adds every ending that the evidence shows. After it come only `announce` and `takeEndedTurn`. */
  finish(): void {
    this.#inferences.settle();
    const turns = [...this.#turns.values()];
    for (const [index, turn] of turns.entries()) {
      const boundary = boundaryOf(turn, turns[index + 1]);
      const isInterrupted = turn.isInterrupted || this.#rollout.agents.interrupted(this);
      for (const inference of turn.inferences) {
        const ending = inferenceEnding(inference, boundary, isInterrupted);
        if (ending !== undefined) this.#inferences.breakOff(turn, inference, ending);
      }
      const ending = turnEnding(turn, boundary);
      if (ending === undefined) continue;
      turn.endedNs = ending.timeNs;
      const ended: RawEventPayload = {
        type: 'codex_turn_ended',
        codex_turn_id: turn.id,
        status: ending.status,
      };
      this.#event(ending.timeNs, turn, ended, ending.place);
    }
    this.#tools.finish(this.#cwd, this.#runs.at(-1)?.exit);
    for (const { exit } of this.#runs) {
      if (exit === undefined) continue;
      this.#rollout.event(exit.timeNs, { type: 'thread_ended', thread_id: this.id, status: statusOf(exit) });
    }
  }

  /**
   * Tells the thread's beginning, once: with its first request, or by the time at which something is told of it.
   */
  announce({
    byNs = this.startedNs,
    nickname = null,
  }: {
    byNs?: bigint;
    nickname?: string | null;
  } = {}): void {
    if (this.#isAnnounced) return;
    this.#isAnnounced = true;
    const started: RawEventPayload = {
      type: 'thread_started',
      thread_id: this.id,
      agent_path: this.agentPath,
      metadata_payload: threadMetadata(this.#rollout, this, { ...this.#first, nickname }),
    };
    const at = byNs < this.startedNs ? byNs : this.startedNs;
    this.#rollout.event(at, started, undefined, undefined, 'before');
  }

  /** The last turn that had ended by `byNs` and was not taken before. */
  takeEndedTurn(byNs: bigint): { id: string; endedNs: bigint } | undefined {
    const turn = [...this.#turns.values()].findLast(
      ({ endedNs, isResultTold }) => endedNs !== undefined && endedNs <= byNs && !isResultTold,
    );
    if (turn?.endedNs === undefined) return undefined;
    turn.isResultTold = true;
    return { id: turn.id, endedNs: turn.endedNs };
  }

  /** The process that sends on the thread; another one after the first has ended resumes it. */
  #run(call: ResponsesCall, at: bigint): ProcessRun {
    const current = this.#runs.at(-1);
    // What sends has not ended, whatever damaged evidence says.
    if (current?.pid === call.pid) current.exit = undefined;
    if (current !== undefined && current.exit === undefined) return current;
    const run: ProcessRun = { pid: call.pid, exit: undefined };
    this.#runs.push(run);
    if (current !== undefined) {
      this.#tools.restart();
      this.#rollout.event(at, { type: 'thread_resumed', thread_id: this.id });
    }
    return run;
  }

  #turn(id: string, at: bigint, run: ProcessRun): Turn | undefined {
    const known = this.#turns.get(id);
    if (known !== undefined) return known;
    if (!this.#rollout.claim('turn', id)) return undefined;
    const turn: Turn = {
      ...{ id, startedNs: at, run, inferences: [] },
      ...{ compaction: undefined, endedNs: undefined, isInterrupted: false, isResultTold: false },
    };
    this.#turns.set(id, turn);
    this.#event(at, turn, { type: 'codex_turn_started', codex_turn_id: id, thread_id: this.id });
    return turn;
  }

  /** New items of the request's input: outputs end their tool calls, and all become history. */
  #readInput(input: readonly unknown[], turn: Turn, at: bigint, isFirstRequest: boolean): void {
    // The first request of a resumed or forked thread repeats a history that was accepted long before.
    const lastOld = isFirstRequest ? input.findLastIndex(isModelOrToolItem) : -1;
    for (const [index, item] of input.entries()) {
      if (!isObject(item)) continue;
      this.#tools.returned(item, turn.id, at, this.#cwd);
      if (index > lastOld) this.#history.accept(item, turn.id, at);
      else this.#history.know([item]);
    }
  }

  #event(timeNs: bigint, turn: Turn, payload: RawEventPayload, place?: Place): void {
    this.#rollout.event(timeNs, payload, this.id, turn.id, place);
  }
}

function statusOf(exit: ProcessExit): RolloutStatus {
  return exit.signal === undefined ? 'completed' : 'aborted';
}
