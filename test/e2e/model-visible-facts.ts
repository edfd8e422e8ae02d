// What two recordings of the same run must agree on: all that the model was shown or said, and what it cost.
// Left out are the numbers that a recording gives itself (sequence, payload and item numbers) and its clock.

import { createHash } from 'node:crypto';

interface Execution {
  started_seq: number;
  status: string;
}

const READABLE_CHARACTERS = 300;

/** Long text by its hash, so that a failed comparison can be read. */
function shortened(part: Record<string, unknown>): Record<string, unknown> {
  const { raw_payload_id: _, text, ...rest } = part;
  if (typeof text !== 'string' || text.length <= READABLE_CHARACTERS) return { text, ...rest };
  return { text: `${text.length} characters, ${createHash('sha256').update(text).digest('hex')}`, ...rest };
}

/** The parts of state.json that are compared; the rest of the file is not looked at. */
interface ReducedState {
  threads: Record<string, { execution: Execution; conversation_item_ids: string[]; [key: string]: unknown }>;
  codex_turns: Record<string, { codex_turn_id: string; thread_id: string; execution: Execution }>;
  conversation_items: Record<string, { body: { parts: Record<string, unknown>[] }; [key: string]: unknown }>;
  inference_calls: Record<string, { execution: Execution; [key: string]: unknown }>;
  tool_calls: Record<
    string,
    { execution: Execution; terminal_operation_id: string | null; [key: string]: unknown }
  >;
  terminal_operations: Record<string, { result: { exit_code: number } | null }>;
}

const inOrder = <T extends { execution: Execution }>(objects: Record<string, T>): T[] =>
  Object.values(objects).sort((a, b) => a.execution.started_seq - b.execution.started_seq);

function pick(object: Record<string, unknown>, keys: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(keys.map((key) => [key, object[key]]));
}

export function modelVisibleFacts(state: ReducedState) {
  return {
    threads: inOrder(state.threads).map((thread) => ({
      ...pick(thread, ['thread_id', 'agent_path', 'nickname', 'origin', 'default_model']),
      status: thread.execution.status,
      items: thread.conversation_item_ids.map((id) => {
        const item = state.conversation_items[id];
        if (item === undefined) throw new Error(`${id} is in no conversation`);
        const parts = item.body.parts.map(shortened);
        return {
          ...pick(item, [
            'responses_item_id',
            'codex_turn_id',
            'role',
            'channel',
            'kind',
            'call_id',
            'produced_by',
          ]),
          parts,
        };
      }),
    })),
    turns: inOrder(state.codex_turns).map(({ codex_turn_id, thread_id, execution }) => ({
      codex_turn_id,
      thread_id,
      status: execution.status,
    })),
    inferences: inOrder(state.inference_calls).map((call) => ({
      ...pick(call, ['inference_call_id', 'thread_id', 'codex_turn_id', 'model', 'usage']),
      // Not tool_call_ids_started_by_response: it depends on whether Codex writes the start of a tool or the end
      // of the response first, which are concurrent.
      ...pick(call, ['response_id', 'upstream_request_id']),
      status: call.execution.status,
    })),
    tools: inOrder(state.tool_calls).map((call) => ({
      ...pick(call, ['tool_call_id', 'model_visible_call_id', 'thread_id', 'started_by_codex_turn_id']),
      ...pick(call, ['requester', 'kind']),
      status: call.execution.status,
      exit_code: state.terminal_operations[call.terminal_operation_id ?? '']?.result?.exit_code,
    })),
  };
}
