// Replays events: checks that each is the next one of its log, and hands it to the module of its kind.

import type { RawEvent, RawEventPayload, RawPayloadRef } from '../trace/raw-event.js';
import { Rejection } from '../trace/rejection.js';
import { acceptItem } from './acceptance.js';
import { observeResult } from './agents.js';
import { endCell, respondCell, startCell } from './code-cell.js';
import { endCompactionRequest, installCompaction, startCompactionRequest } from './compaction.js';
import type { Graph, Moment } from './graph.js';
import { endInference, startInference } from './inference.js';
import { resolveWriteTarget } from './terminal.js';
import { endThread, endTurn, resumeThread, startThread, startTurn } from './thread.js';
import { correlateMcp, endTool, endToolRuntime, startTool, startToolRuntime } from './tool.js';

/** Reduces one event. Throws Rejection; then the graph is what it was before. */
export function applyEvent(graph: Graph, event: RawEvent): void {
  const { nextItem, nextOperation } = graph;
  try {
    reduceEvent(graph, event);
    graph.journal.commit();
  } catch (error) {
    graph.journal.rollback();
    graph.nextItem = nextItem;
    graph.nextOperation = nextOperation;
    throw error;
  }
}

function reduceEvent(graph: Graph, event: RawEvent): void {
  graph.payloads.forget();
  addPayloads(graph, event);
  const moment: Moment = { seq: event.seq, at: event.wall_time_unix_ms };
  const { state, journal } = graph;
  const { thread_id: threadId, codex_turn_id: turnId, payload } = event;
  switch (payload.type) {
    case 'rollout_started':
      journal.assign(state, { trace_id: payload.trace_id, root_thread_id: payload.root_thread_id });
      break;
    case 'rollout_ended':
      journal.assign(state, { status: payload.status, ended_at_unix_ms: moment.at });
      break;
    case 'recording_completed':
    case 'protocol_event_observed':
      break;
    case 'thread_started':
      startThread(graph, moment, payload.thread_id, payload.agent_path, payload.metadata_payload);
      break;
    case 'thread_resumed':
      resumeThread(graph, payload.thread_id);
      break;
    case 'thread_ended':
      endThread(graph, moment, payload.thread_id, payload.status);
      break;
    case 'codex_turn_started':
      startTurn(graph, moment, payload.codex_turn_id, payload.thread_id);
      break;
    case 'codex_turn_ended':
      endTurn(graph, moment, threadId, payload.codex_turn_id, payload.status);
      break;
    case 'history_item_accepted':
      acceptItem(graph, moment, threadId, turnId, payload.item_id, payload.agent_message_payload);
      break;
    case 'inference_started':
      startInference(graph, moment, payload);
      break;
    case 'inference_completed':
      endInference(graph, moment, {
        inferenceId: payload.inference_call_id,
        status: 'completed',
        responseId: payload.response_id,
        upstreamRequestId: payload.upstream_request_id,
        response: payload.response_payload,
      });
      break;
    case 'inference_failed':
    case 'inference_cancelled':
      endInference(graph, moment, {
        inferenceId: payload.inference_call_id,
        status: payload.type === 'inference_failed' ? 'failed' : 'cancelled',
        responseId: null,
        upstreamRequestId: payload.upstream_request_id,
        response: payload.partial_response_payload,
      });
      break;
    case 'tool_call_started':
      startTool(graph, moment, threadId, turnId, payload);
      break;
    case 'mcp_tool_call_correlation_assigned':
      correlateMcp(graph, payload.tool_call_id, payload.mcp_call_id);
      break;
    case 'stdin_target_resolved':
      resolveWriteTarget(graph, payload.tool_call_id, payload.exec_tool_call_id);
      break;
    case 'tool_call_runtime_started':
      startToolRuntime(graph, moment, payload.tool_call_id, payload.kind, payload.runtime_payload);
      break;
    case 'tool_call_runtime_ended':
      endToolRuntime(graph, moment, payload.tool_call_id, payload.status, payload.runtime_payload);
      break;
    case 'tool_call_ended':
      endTool(graph, moment, payload.tool_call_id, payload.status, payload.result_payload);
      break;
    case 'code_cell_started': {
      const { runtime_cell_id, model_visible_call_id, source_js } = payload;
      const context = { moment, threadId, codexTurnId: turnId };
      startCell(graph, context, runtime_cell_id, model_visible_call_id, source_js);
      break;
    }
    case 'code_cell_initial_response':
    case 'code_cell_ended': {
      const { runtime_cell_id, status, response_payload } = payload;
      const context = { moment, threadId, codexTurnId: turnId };
      const reduce = payload.type === 'code_cell_ended' ? endCell : respondCell;
      reduce(graph, context, runtime_cell_id, status, response_payload);
      break;
    }
    case 'compaction_request_started':
      startCompactionRequest(graph, moment, payload);
      break;
    case 'compaction_request_completed': {
      const { compaction_id, compaction_request_id, response_payload } = payload;
      endCompactionRequest(
        graph,
        moment,
        compaction_id,
        compaction_request_id,
        'completed',
        response_payload,
      );
      break;
    }
    case 'compaction_request_failed':
      endCompactionRequest(
        graph,
        moment,
        payload.compaction_id,
        payload.compaction_request_id,
        'failed',
        null,
      );
      break;
    case 'compaction_installed':
      installCompaction(graph, moment, threadId, turnId, payload.compaction_id, payload.checkpoint_payload);
      break;
    case 'agent_result_observed':
      observeResult(graph, moment, payload);
      break;
    case 'other':
      throw new Rejection('event-unsupported', 'raw trace event has no reducer implementation');
  }
}

/** Every payload that a good event names is part of the evidence. */
function addPayloads(graph: Graph, { payload }: RawEvent): void {
  for (const ref of payloadRefs(payload)) {
    if (ref !== null && ref !== undefined) graph.state.raw_payloads.set(ref.raw_payload_id, ref);
  }
}

function payloadRefs(payload: RawEventPayload): (RawPayloadRef | null | undefined)[] {
  switch (payload.type) {
    case 'thread_started':
      return [payload.metadata_payload];
    case 'history_item_accepted':
      return [payload.agent_message_payload];
    case 'inference_started':
    case 'compaction_request_started':
      return [payload.request_payload];
    case 'inference_completed':
    case 'compaction_request_completed':
    case 'code_cell_initial_response':
    case 'code_cell_ended':
      return [payload.response_payload];
    case 'inference_failed':
    case 'inference_cancelled':
      return [payload.partial_response_payload];
    case 'tool_call_started':
      return [payload.invocation_payload];
    case 'tool_call_runtime_started':
    case 'tool_call_runtime_ended':
      return [payload.runtime_payload];
    case 'tool_call_ended':
      return [payload.result_payload];
    case 'compaction_installed':
      return [payload.checkpoint_payload];
    case 'agent_result_observed':
      return [payload.carried_payload];
    case 'protocol_event_observed':
      return [payload.event_payload];
    case 'other':
      return payload.payloads;
    default:
      return [];
  }
}
