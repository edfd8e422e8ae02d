// What the two schemas of the trace format do differently: the answers of Codex 0.142.0 for schema 1, of 0.169.0
// for schema 2. All that is not here they do alike.

import type { SchemaVersion } from '../trace/raw-event.js';
import type { ReducedState } from './state.js';

export interface Schema {
  readonly version: SchemaVersion;

  /**
   * Every event names its schema, its number and its rollout, the last one says that the recording is whole, and
   * every payload that is named can be read. Without it the order of the lines is the order of the events.
   */
  readonly checkedLog: boolean;

  /**
   * Items are known by their ids on the wire, and belong to the conversation once a request shows them or they are
   * accepted; an output that was cut short and comes again is the same. Without it items are known by what they
   * say alone, and all that a response says is new and part of the conversation.
   */
  readonly wireIds: boolean;

  /** A call id names one output, whose content cannot change, as it does one call. */
  readonly fixedOutputs: boolean;

  /** An item of a whole input is at most one item of the last one, also where both have it at the same place. */
  readonly singleUse: boolean;

  /** What a tool can be seen doing to an agent. */
  readonly activities: readonly string[];

  /** Also a tool of an MCP server can be seen acting on an agent. */
  readonly mcpActivities: boolean;

  /**
   * What Codex adds to items for itself is a part of them: it must be right in a message between agents, and an item that
   * is kept as it is has it.
   */
  readonly readsPassthrough: boolean;

  /** A message between agents in its older form may have an id, and what Codex adds to items for itself. */
  readonly identifiedDeliveries: boolean;

  /** Content parts that are no text are told apart by their hash, not by the payload that they came in. */
  readonly hashedParts: boolean;

  /** Content without parts gets a part that says so. */
  readonly markedEmptyContent: boolean;

  /** Kinds of items that are left out because no model sees them. */
  readonly unseenItems: ReadonlySet<string>;

  /** Items of a call come in the order in which they were seen; without it in that of their ids. */
  readonly callItemsInOrder: boolean;

  /** Terminal sessions are named after the process that they belong to, across threads. */
  readonly sessionsByProcess: boolean;

  /** What a model wrote to a process must be well-formed, and the runtime splits a command's output in two. */
  readonly splitOutput: boolean;

  /** An invocation names the namespace of its tool. */
  readonly toolNamespaces: boolean;

  /** A code cell that ended has answered; without it the first answer may come later. */
  readonly endIsAnswer: boolean;

  /** Takes out of a finished state what the schema does not have. */
  readonly trim?: (state: ReducedState) => void;
}

const schema1: Schema = {
  version: 1,
  checkedLog: false,
  wireIds: false,
  fixedOutputs: true,
  singleUse: false,
  activities: ['started', 'interacted', 'interrupted'],
  mcpActivities: true,
  readsPassthrough: true,
  identifiedDeliveries: false,
  hashedParts: false,
  markedEmptyContent: true,
  unseenItems: new Set(),
  callItemsInOrder: false,
  sessionsByProcess: true,
  splitOutput: true,
  toolNamespaces: false,
  endIsAnswer: true,
  trim(state) {
    state.recording_complete = undefined;
    for (const cell of state.code_cells.values()) {
      cell.initial_response_status = undefined;
      cell.raw_initial_response_payload_id = undefined;
      cell.raw_result_payload_id = undefined;
    }
    for (const tool of state.tool_calls.values()) tool.started_code_cell_id = undefined;
    for (const { usage } of state.inference_calls.values()) {
      if (usage !== null) usage.cache_write_input_tokens = undefined;
    }
  },
};

const schema2: Schema = {
  version: 2,
  checkedLog: true,
  wireIds: true,
  fixedOutputs: false,
  singleUse: true,
  activities: ['started', 'interacted', 'interrupted', 'completed'],
  mcpActivities: false,
  readsPassthrough: false,
  identifiedDeliveries: true,
  hashedParts: true,
  markedEmptyContent: false,
  unseenItems: new Set(['additional_tools']),
  callItemsInOrder: true,
  sessionsByProcess: false,
  splitOutput: false,
  toolNamespaces: true,
  endIsAnswer: false,
};

/** The schema of a manifest's number. */
export function schemaOf(version: SchemaVersion): Schema {
  return version === 1 ? schema1 : schema2;
}
