// Turns and inferences of a thread, and how they ended as far as the evidence tells. Pure functions over what
// thread.ts has collected: an ending is often shown only by what came next.

import type { ExecutionStatus } from '../trace/raw-event.js';
import type { JsonObject } from './json.js';
import type { ProcessExit } from './processes.js';
import type { ResponsesCall } from './responses-call.js';
import type { Place } from './timeline.js';
import type { ToolRun } from './tools.js';

export interface Inference {
  id: string;
  /** The attempt that counts: a request that is sent again takes the place of the one before. */
  call: ResponsesCall;
  /** The whole history that its request stands for, while its response is open and a later request may continue it. */
  input: readonly unknown[] | undefined;
  /** The id of the last item that its request shows. */
  lastInputId: string | undefined;
  /** What the model has finished and is not told as history yet. */
  output: { item: JsonObject; atNs: bigint }[];
  /** Of a complete response that is not told yet. */
  items?: readonly JsonObject[] | undefined;
  /** Undefined until its end is among the events. */
  ended: 'completed' | 'failed' | 'cancelled' | undefined;
  endNs: bigint;
  tools: ToolRun[];
  /** When the next inference of the turn began. */
  supersededNs: bigint | undefined;
}

export interface Turn {
  id: string;
  startedNs: bigint;
  run: ProcessRun;
  inferences: Inference[];
  /** The newest request for a shorter history. */
  compaction: { startedNs: bigint; ended: 'completed' | 'failed' | undefined; endNs: bigint } | undefined;
  /** Undefined until its end is among the events. */
  endedNs: bigint | undefined;
  /** A person has ended it, as the next request of the thread says. */
  isInterrupted: boolean;
  /** An agent above has been told what came of it. */
  isResultTold: boolean;
}

/** One process working on the thread; a resumed thread has several. */
export interface ProcessRun {
  pid: number;
  exit: ProcessExit | undefined;
}

/** What is known to have ended a turn: its process, or the turn after it. */
export interface Boundary {
  timeNs: bigint;
  by: 'next turn' | 'exit' | 'signal';
}

export function boundaryOf(turn: Turn, next: Turn | undefined): Boundary | undefined {
  const { exit } = turn.run;
  if (next !== undefined && (next.run === turn.run || exit === undefined)) {
    return { timeNs: next.startedNs, by: 'next turn' };
  }
  if (exit === undefined) return undefined;
  return { timeNs: exit.timeNs, by: exit.signal === undefined ? 'exit' : 'signal' };
}

/** An ending that no event of its own has shown. */
export interface InferenceEnding {
  status: 'failed' | 'cancelled';
  timeNs: bigint;
  /** The error or the reason. */
  why: string;
  place: Place;
}

const CANCELLED_BY: Readonly<Record<Boundary['by'], string>> = {
  'next turn': 'response stream dropped before its final event',
  exit: 'process ended before the final event of the response',
  signal: 'process was killed before the final event of the response',
};

/**
 * Undefined when the inference has ended already, still runs, or lost the bytes that would tell. `isInterrupted` when a
 * person or another agent is known to have ended the turn.
 */
export function inferenceEnding(
  inference: Inference,
  boundary: Boundary | undefined,
  isInterrupted: boolean,
): InferenceEnding | undefined {
  const { call, supersededNs } = inference;
  if (inference.ended !== undefined || call.end?.kind === 'unknown') return undefined;
  if (call.end?.kind === 'http-error') {
    return { status: 'failed', timeNs: call.lastNs, why: call.end.error, place: 'at' };
  }
  if (supersededNs !== undefined) {
    // The client asked again within the turn: the stream had broken.
    const why = 'response stream broke off before its final event';
    return { status: 'failed', timeNs: supersededNs, why, place: 'before' };
  }
  if (boundary === undefined) return undefined;
  if (call.isPerhapsBroken && boundary.by !== 'signal' && !isInterrupted) {
    return {
      status: 'failed',
      timeNs: call.lastNs,
      why: 'connection closed without a final event',
      place: 'at',
    };
  }
  const place = boundary.by === 'next turn' ? 'before' : 'at';
  return { status: 'cancelled', timeNs: boundary.timeNs, why: CANCELLED_BY[boundary.by], place };
}

export interface TurnEnding {
  status: Exclude<ExecutionStatus, 'running'>;
  timeNs: bigint;
  place: Place;
}

/** Undefined when the turn still runs or its outcome is not known. Call it after the ends of its inferences. */
export function turnEnding(turn: Turn, boundary: Boundary | undefined): TurnEnding | undefined {
  const last = lastStep(turn);
  if (last?.ended === undefined) return undefined;
  if (last.ended === 'completed' && last.isLast) {
    return { status: 'completed', timeNs: last.endNs, place: 'after' };
  }
  if (boundary === undefined) return undefined;
  if (last.ended === 'failed') return { status: 'failed', timeNs: last.endNs, place: 'after' };
  if (boundary.by === 'next turn') return { status: 'cancelled', timeNs: boundary.timeNs, place: 'before' };
  const status = boundary.by === 'signal' ? 'aborted' : 'cancelled';
  return { status, timeNs: boundary.timeNs, place: 'at' };
}

interface Step {
  ended: Inference['ended'];
  endNs: bigint;
  /** Nothing need come after it for the turn to be complete. */
  isLast: boolean;
}

/** What the turn did last: a compaction in the middle of a turn is followed by the inference that it was made for. */
function lastStep({ inferences, compaction }: Turn): Step | undefined {
  const inference = inferences.at(-1);
  if (compaction !== undefined && (inference?.endNs ?? 0n) <= compaction.startedNs) {
    return { ...compaction, isLast: inference === undefined };
  }
  return inference && { ...inference, isLast: inference.tools.every((tool) => tool.endedNs !== undefined) };
}
