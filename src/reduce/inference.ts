// Inference calls: when a request went out, when and how its response ended. What was said is
// conversation.ts.

import type { ExecutionStatus, RawPayloadRef } from '../trace/raw-event.js';
import { Rejection } from '../trace/rejection.js';
import { reduceRequest, reduceResponse } from './conversation.js';
import { closeWindow, type Graph, type Moment, openWindow } from './graph.js';
import { reach } from './pair-map.js';
import type { InferenceCall } from './state.js';

export interface InferenceStart {
  inference_call_id: string;
  thread_id: string;
  codex_turn_id: string;
  model: string;
  provider_name: string;
  request_payload: RawPayloadRef;
}

export function startInference(graph: Graph, moment: Moment, start: InferenceStart): void {
  const { inference_call_id, thread_id, codex_turn_id, model, provider_name, request_payload } = start;
  if (graph.state.inference_calls.has(inference_call_id)) {
    throw new Rejection('duplicate-inference', `duplicate inference start for ${inference_call_id}`);
  }
  const turn = graph.state.codex_turns.get(codex_turn_id);
  if (turn === undefined) {
    throw new Rejection(
      'unknown-turn',
      `inference start ${inference_call_id} referenced unknown codex turn ${codex_turn_id}`,
    );
  }
  if (turn.thread_id !== thread_id) {
    throw new Rejection(
      'turn-of-other-thread',
      `inference start ${inference_call_id} used thread ${thread_id}, but codex turn ${codex_turn_id} belongs to ${turn.thread_id}`,
    );
  }
  const sighting = { threadId: thread_id, codexTurnId: codex_turn_id, at: moment.at };
  const request_item_ids = reduceRequest(graph, sighting, inference_call_id, request_payload);
  const inference: InferenceCall = {
    inference_call_id,
    thread_id,
    codex_turn_id,
    execution: openWindow(moment),
    model,
    provider_name,
    response_id: null,
    upstream_request_id: null,
    request_item_ids,
    response_item_ids: [],
    tool_call_ids_started_by_response: [],
    usage: null,
    raw_request_payload_id: request_payload.raw_payload_id,
    raw_response_payload_id: null,
  };
  graph.state.inference_calls.set(inference_call_id, inference);
  reach(graph.runningInferences, codex_turn_id, () => graph.newSet()).add(inference);
}

export interface InferenceEnd {
  inferenceId: string;
  status: ExecutionStatus;
  responseId: string | null;
  upstreamRequestId: string | null;
  response: RawPayloadRef | null;
}

export function endInference(graph: Graph, moment: Moment, end: InferenceEnd): void {
  const { inferenceId, status, responseId, upstreamRequestId, response } = end;
  const inference = graph.state.inference_calls.get(inferenceId);
  if (inference === undefined) {
    throw new Rejection('unknown-inference', `inference completion referenced unknown call ${inferenceId}`);
  }
  if (response !== null) {
    setAnswer(graph, inference, reduceResponse(graph, moment.at, inference, response));
    graph.journal.assign(inference, { raw_response_payload_id: response.raw_payload_id });
  }
  setResponseId(graph, inference, responseId);
  if (upstreamRequestId !== null) {
    graph.journal.assign(inference, { upstream_request_id: upstreamRequestId });
  }
  // The turn may have ended before, or the call more than once: the first end counts.
  if (inference.execution.status === 'running') closeWindow(graph, inference.execution, moment, status);
  graph.runningInferences.get(inference.codex_turn_id)?.delete(inference);
}

function setResponseId(graph: Graph, inference: InferenceCall, responseId: string | null): void {
  const { thread_id, response_id } = inference;
  if (response_id !== null) graph.inferencesByResponse.get(thread_id, response_id)?.delete(inference);
  graph.journal.assign(inference, { response_id: responseId });
  if (responseId !== null) {
    graph.inferencesByResponse.reach(thread_id, responseId, () => graph.newSet()).add(inference);
  }
}

function setAnswer(graph: Graph, inference: InferenceCall, itemIds: string[]): void {
  for (const id of inference.response_item_ids) graph.inferencesByAnswer.get(id)?.delete(inference);
  graph.journal.assign(inference, { response_item_ids: itemIds });
  for (const id of itemIds) reach(graph.inferencesByAnswer, id, () => graph.newSet()).add(inference);
}

/** A turn that ends leaves no call running. */
export function closeInferencesOfTurn(
  graph: Graph,
  moment: Moment,
  turnId: string,
  status: ExecutionStatus,
): void {
  if (status === 'running') return;
  for (const inference of graph.runningInferences.get(turnId) ?? []) {
    closeWindow(graph, inference.execution, moment, status === 'completed' ? 'cancelled' : status);
  }
  graph.runningInferences.delete(turnId);
}
