// What two recordings of the same run can agree on, as single facts with names: family by family, a name that both
// recordings give the same thing and all that is said of it. Owns the names; how two recordings compare is compare.ts.

import { createHash } from 'node:crypto';

export const FAMILIES = [
  'threads',
  'turns',
  'items',
  'inferences',
  'tools',
  'cells',
  'compactions',
  'edges',
  'terminals',
] as const;
export type Family = (typeof FAMILIES)[number];

/** Facts by name, in their order. */
export type Facts = Record<Family, Map<string, unknown>>;

interface Execution {
  started_seq: number;
  status: string;
}

interface Thing {
  execution: Execution;
  [key: string]: unknown;
}

interface Item {
  item_id: string;
  responses_item_id?: string;
  codex_turn_id: string | null;
  role: string;
  channel: string | null;
  kind: string;
  call_id: string | null;
  agent_message?: unknown;
  body: { parts: Record<string, unknown>[] };
  produced_by: Record<string, string>[];
}

/** The parts of state.json that are compared. */
export interface ReducedState {
  threads: Record<string, Thing & { thread_id: string; conversation_item_ids: string[] }>;
  codex_turns: Record<string, Thing & { codex_turn_id: string }>;
  conversation_items: Record<string, Item>;
  inference_calls: Record<string, Thing & { inference_call_id: string; codex_turn_id: string }>;
  tool_calls: Record<string, Thing & { tool_call_id: string }>;
  code_cells: Record<
    string,
    Thing & { code_cell_id: string; output_item_ids: string[]; nested_tool_call_ids: string[] }
  >;
  compactions: Record<
    string,
    {
      compaction_id: string;
      thread_id: string;
      codex_turn_id: string;
      input_item_ids: string[];
      replacement_item_ids: string[];
      request_ids: string[];
    }
  >;
  compaction_requests: Record<
    string,
    Thing & { compaction_request_id: string; compaction_id: string; codex_turn_id: string }
  >;
  interaction_edges: Record<
    string,
    { edge_id: string; kind: string; source: Anchor; target: Anchor; carried_item_ids: string[] }
  >;
  terminal_operations: Record<
    string,
    Thing & { operation_id: string; tool_call_id: string; terminal_id: string | null }
  >;
  terminal_sessions: Record<string, { operation_ids: string[] }>;
}

interface Anchor {
  type: string;
  item_id?: string;
  tool_call_id?: string;
  thread_id?: string;
}

const inOrder = <T extends { execution: Execution }>(objects: Record<string, T>): T[] =>
  Object.values(objects).sort((a, b) => a.execution.started_seq - b.execution.started_seq);

const pick = (object: object, keys: readonly string[]): Record<string, unknown> =>
  Object.fromEntries(keys.map((key) => [key, Reflect.get(object, key)]));

const READABLE_CHARACTERS = 300;

/** Long text by its hash, so that a difference can be read. */
function shortened({ raw_payload_id: _, ...part }: Record<string, unknown>): Record<string, unknown> {
  const { text } = part;
  if (typeof text !== 'string' || text.length <= READABLE_CHARACTERS) return part;
  return { ...part, text: `${text.length} characters, ${createHash('sha256').update(text).digest('hex')}` };
}

/** Names of `things`: `name` and, where several have it, their number. */
function named<T>(things: readonly T[], name: (thing: T) => string): Map<T, string> {
  const seen = new Map<string, number>();
  const names = new Map<T, string>();
  for (const thing of things) {
    const base = name(thing);
    const count = (seen.get(base) ?? 0) + 1;
    seen.set(base, count);
    names.set(thing, count === 1 ? base : `${base} (${count})`);
  }
  return names;
}

/**
 * The facts of a reduced bundle. What has an id of Codex's own that no wire carries is named by its place: a
 * compaction always, an inference when `carriesInferenceIds` is false, as over a WebSocket. Not compared are the ids that
 * Codex gives to a nested tool call beside its tool call id and to the call of an MCP server.
 */
export function factsOf(
  state: ReducedState,
  { carriesInferenceIds }: { carriesInferenceIds: boolean },
): Facts {
  const inferences = inOrder(state.inference_calls);
  const inferenceNames = named(inferences, (call) =>
    carriesInferenceIds ? call.inference_call_id : `inference of turn ${call.codex_turn_id}`,
  );
  const requests = inOrder(state.compaction_requests);
  const compactionNames = new Map(
    [...named(requests, (request) => `compaction of turn ${request.codex_turn_id}`)].map(
      ([request, name]) => [request.compaction_id, name],
    ),
  );
  const inferenceById = new Map(inferences.map((call) => [call.inference_call_id, call]));
  const producer = ({ inference_call_id, compaction_id, ...rest }: Record<string, string>) => {
    const call = inferenceById.get(inference_call_id ?? '');
    if (call !== undefined) return { ...rest, inference: inferenceNames.get(call) };
    return compaction_id === undefined ? rest : { ...rest, compaction: compactionNames.get(compaction_id) };
  };

  const threads = inOrder(state.threads);
  const items = new Map<string, unknown>();
  const itemNames = new Map<string, string>();
  for (const { thread_id, conversation_item_ids } of threads) {
    const listed = conversation_item_ids.flatMap((id) => state.conversation_items[id] ?? []);
    const names = named(listed, (item) => {
      const said = JSON.stringify(item.body.parts.map(shortened));
      const hash = createHash('sha256').update(said).digest('hex').slice(0, 8);
      return `${thread_id} ${item.responses_item_id ?? `${item.role} ${item.kind} ${item.call_id ?? hash}`}`;
    });
    for (const [item, name] of names) {
      itemNames.set(item.item_id, name);
      items.set(name, {
        thread_id,
        ...pick(item, ['codex_turn_id', 'role', 'channel', 'kind', 'call_id', 'agent_message']),
        produced_by: item.produced_by.map(producer),
        parts: item.body.parts.map(shortened),
      });
    }
  }
  const itemsNamed = (ids: readonly string[]) => ids.map((id) => itemNames.get(id) ?? 'not listed');
  const anchor = ({ type, item_id, ...rest }: Anchor) =>
    item_id === undefined ? { type, ...rest } : { type, item: itemNames.get(item_id) };

  const toolOf = (operationId: string) => state.terminal_operations[operationId]?.tool_call_id;
  return {
    threads: new Map(
      threads.map((thread) => [
        thread.thread_id,
        {
          ...pick(thread, ['agent_path', 'nickname', 'origin', 'default_model']),
          status: thread.execution.status,
        },
      ]),
    ),
    turns: new Map(
      inOrder(state.codex_turns).map((turn) => [
        turn.codex_turn_id,
        { thread_id: turn.thread_id, status: turn.execution.status },
      ]),
    ),
    items,
    inferences: new Map(
      inferences.map((call) => [
        inferenceNames.get(call) ?? '',
        {
          ...pick(call, [
            'thread_id',
            'codex_turn_id',
            'model',
            'usage',
            'response_id',
            'upstream_request_id',
          ]),
          status: call.execution.status,
        },
      ]),
    ),
    tools: new Map(
      inOrder(state.tool_calls).map((call) => [
        call.tool_call_id,
        {
          ...pick(call, [
            'model_visible_call_id',
            'thread_id',
            'started_by_codex_turn_id',
            'requester',
            'kind',
          ]),
          started_code_cell_id: call.started_code_cell_id,
          status: call.execution.status,
        },
      ]),
    ),
    cells: new Map(
      inOrder(state.code_cells).map((cell) => [
        cell.code_cell_id,
        {
          ...pick(cell, ['thread_id', 'codex_turn_id', 'runtime_cell_id', 'runtime_status', 'source_js']),
          ...pick(cell, ['initial_response_status', 'wait_tool_call_ids', 'nested_tool_call_ids']),
          output: itemsNamed(cell.output_item_ids),
          status: cell.execution.status,
        },
      ]),
    ),
    compactions: new Map<string, unknown>([
      ...requests.map((request): [string, unknown] => [
        `request for the ${compactionNames.get(request.compaction_id)}`,
        { ...pick(request, ['thread_id', 'model']), status: request.execution.status },
      ]),
      ...Object.values(state.compactions).map((compaction): [string, unknown] => [
        compactionNames.get(compaction.compaction_id) ?? `compaction ${compaction.compaction_id}`,
        {
          ...pick(compaction, ['thread_id', 'codex_turn_id']),
          input: itemsNamed(compaction.input_item_ids),
          replacement: itemsNamed(compaction.replacement_item_ids),
          requests: compaction.request_ids.length,
        },
      ]),
    ]),
    edges: new Map(
      Object.values(state.interaction_edges).map(({ edge_id, kind, source, target, carried_item_ids }) => [
        edge_id,
        { kind, source: anchor(source), target: anchor(target), carries: itemsNamed(carried_item_ids) },
      ]),
    ),
    terminals: new Map(
      inOrder(state.terminal_operations).map((operation) => [
        `${operation.kind} of ${operation.tool_call_id}`,
        {
          ...pick(operation, ['request', 'result']),
          status: operation.execution.status,
          session: state.terminal_sessions[operation.terminal_id ?? '']?.operation_ids.map(toolOf),
        },
      ]),
    ),
  };
}
