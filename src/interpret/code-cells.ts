// The code cells of a thread: JavaScript that the model wrote for its `exec` tool, and what ran in it. A cell has no
// event of its own on the wire: its source is an item, its ends stand in the outputs of `exec` and `wait`, and the
// commands that it called are processes of the thread that answer no call of the model.

import type { CodeCellStatus } from '../trace/raw-event.js';
import { arrayAt, type JsonObject, stringAt } from './json.js';
import type { ProcessExit, ToolProcess } from './processes.js';
import type { Rollout } from './rollout.js';
import { later } from './time.js';
import { commandDirectory, writeCommandRuntime } from './tool-runtime.js';

interface Cell {
  callId: string;
  turnId: string;
  startedNs: bigint;
  source: string;
  /** Codex's number for it; undefined until it is known that there is a cell. */
  runtimeId: string | undefined;
  endedNs: bigint | undefined;
}

const ENDS: Readonly<Record<string, CodeCellStatus>> = {
  completed: 'completed',
  failed: 'failed',
  terminated: 'terminated',
};

const HEADER =
  /^Script (completed|failed|terminated|running with cell ID (\S+))\nWall time [^\n]*\nOutput:\n/;
/** Options that the model may put in front of the source. */
const PRAGMA = /^\/\/ @exec:[^\n]*(?:\n|$)/;

export class CodeCells {
  readonly #rollout: Rollout;
  readonly #threadId: string;
  readonly #cells: Cell[] = [];
  /** The number that Codex gave last: it counts the cells of a thread in a process. */
  #lastId = 0;

  constructor(rollout: Rollout, threadId: string) {
    this.#rollout = rollout;
    this.#threadId = threadId;
  }

  /** Another process goes on with the thread, and counts anew. */
  restart(): void {
    this.#lastId = 0;
    for (const cell of this.#cells) cell.endedNs ??= cell.startedNs;
  }

  /** The model asks to run `input`. */
  requested(callId: string, input: string, turnId: string, startedNs: bigint): void {
    const source = input.replace(PRAGMA, '');
    this.#cells.push({ callId, turnId, startedNs, source, runtimeId: undefined, endedNs: undefined });
  }

  /** The output of an `exec` call, before the call ends. */
  returned(callId: string, item: JsonObject, atNs: bigint): void {
    const cell = this.#cells.find((known) => known.callId === callId);
    const output = scriptOutput(item);
    if (cell === undefined || cell.runtimeId !== undefined || output === undefined) return;
    this.#start(cell, output.cellId);
    const status = output.end ?? 'yielded';
    const response = responseOf(cell, status, output.content);
    this.#tell(cell, 'code_cell_initial_response', status, response, atNs);
    if (output.end !== undefined) this.#end(cell, output.end, response, atNs);
  }

  /** The output of a `wait` for a cell, before that call ends. */
  waited(runtimeId: string | undefined, item: JsonObject, atNs: bigint): void {
    const cell = this.#cells.find((known) => known.runtimeId === runtimeId && known.endedNs === undefined);
    const output = scriptOutput(item);
    if (cell?.runtimeId === undefined || output?.end === undefined) return;
    this.#end(cell, output.end, responseOf(cell, output.end, output.content), atNs);
  }

  /**
   * Tells the commands that cells called. Nothing else comes after. No cell was told of what ended after Codex, or was
   * ended with it.
   */
  finish(
    isModelCall: (callId: string) => boolean,
    { threadCwd, codexExit }: { threadCwd: string | undefined; codexExit: ProcessExit | undefined },
  ): void {
    for (const process of this.#rollout.shared.processes.toolsOf(this.#threadId)) {
      if (!isModelCall(process.callId)) this.#nestedCommand(process, threadCwd, codexExit);
    }
  }

  #nestedCommand(
    process: ToolProcess,
    threadCwd: string | undefined,
    codexExit: ProcessExit | undefined,
  ): void {
    const cell = this.#callerOf(process);
    if (cell === undefined || !this.#rollout.claim('tool call', process.callId)) return;
    const runtimeId = cell.runtimeId ?? this.#start(cell, undefined);
    const { callId, startedNs, exit } = process;
    const { turnId } = cell;
    const args = JSON.stringify({ cmd: process.argv.at(-1) ?? '' });
    const tell = (at: bigint, payload: Parameters<Rollout['event']>[1]) =>
      this.#rollout.event(at, payload, this.#threadId, turnId, 'after');
    tell(startedNs, {
      type: 'tool_call_started',
      tool_call_id: callId,
      model_visible_call_id: null,
      code_mode_runtime_tool_id: null,
      requester: { type: 'code_cell', runtime_cell_id: runtimeId },
      kind: { type: 'exec_command' },
      summary: { type: 'generic', label: 'exec_command', input_preview: args, output_preview: null },
      // What the cell passed is not on the wire: this is what came of it.
      invocation_payload: this.#rollout.payload('tool_invocation', {
        tool_name: 'exec_command',
        tool_namespace: null,
        payload: { type: 'function', arguments: args },
      }),
    });
    const cwd = commandDirectory(undefined, threadCwd);
    if (cwd !== undefined) {
      const run = { callId, turnId, startedNs, cwd, sessionId: undefined, shown: undefined };
      writeCommandRuntime(this.#rollout, this.#threadId, run, process);
    }
    if (exit === undefined || isEndOf(codexExit, exit)) return;
    const status = exit.signal === undefined ? 'completed' : 'failed';
    const ended = { type: 'tool_call_ended', tool_call_id: callId, status, result_payload: null } as const;
    tell(later(exit.timeNs, startedNs), ended);
  }

  /** The cell that was running when `process` began; of several the one in whose source the command stands. */
  #callerOf({ startedNs, argv }: ToolProcess): Cell | undefined {
    const running = this.#cells.filter(
      (cell) => cell.startedNs <= startedNs && (cell.endedNs === undefined || startedNs < cell.endedNs),
    );
    const command = argv.at(-1) ?? '';
    const likely = running.filter(
      ({ source }) => source.includes(command) || source.includes(JSON.stringify(command).slice(1, -1)),
    );
    if (running.length > 1 && likely.length !== 1) {
      this.#rollout.shared.anomalies.add('inferred-cell', `a command of thread ${this.#threadId}`);
    }
    return likely.at(-1) ?? running.at(-1);
  }

  #start(cell: Cell, shownId: string | undefined): string {
    const runtimeId = shownId ?? `${this.#lastId + 1}`;
    this.#lastId = /^\d{1,9}$/.test(runtimeId) ? Number(runtimeId) : this.#lastId + 1;
    cell.runtimeId = runtimeId;
    this.#rollout.event(
      cell.startedNs,
      {
        type: 'code_cell_started',
        runtime_cell_id: runtimeId,
        model_visible_call_id: cell.callId,
        source_js: cell.source,
      },
      this.#threadId,
      cell.turnId,
      'after',
    );
    return runtimeId;
  }

  #end(cell: Cell, status: CodeCellStatus, response: JsonObject, atNs: bigint): void {
    cell.endedNs = atNs;
    this.#tell(cell, 'code_cell_ended', status, response, atNs);
  }

  #tell(
    { runtimeId = '', turnId }: Cell,
    type: 'code_cell_initial_response' | 'code_cell_ended',
    status: CodeCellStatus,
    response: JsonObject,
    atNs: bigint,
  ): void {
    const response_payload = this.#rollout.payload('tool_result', { response });
    const payload = { type, runtime_cell_id: runtimeId, status, response_payload };
    this.#rollout.event(atNs, payload, this.#threadId, turnId);
  }
}

/** Whether a process of Codex ended because Codex did. */
function isEndOf(codex: ProcessExit | undefined, { timeNs, signal }: ProcessExit): boolean {
  if (codex === undefined) return false;
  return timeNs > codex.timeNs || (codex.signal !== undefined && signal !== undefined);
}

interface ScriptOutput {
  /** How the cell ended; undefined while it runs. */
  end: CodeCellStatus | undefined;
  cellId: string | undefined;
  /** What the cell put out since the last time. */
  content: readonly unknown[];
}

/** Undefined for what is no output of a cell. */
function scriptOutput(item: JsonObject): ScriptOutput | undefined {
  const parts = arrayAt(item, 'output') ?? [{ type: 'input_text', text: stringAt(item, 'output') ?? '' }];
  const header = HEADER.exec(stringAt(parts[0], 'text') ?? '');
  if (header === null) return undefined;
  return { end: ENDS[header[1] ?? ''], cellId: header[2], content: parts.slice(1) };
}

const SCRIPT_ERROR = 'Script error:\n';

/** The response of Codex's runtime, as far as its output shows it. */
function responseOf({ runtimeId }: Cell, status: CodeCellStatus, content: readonly unknown[]): JsonObject {
  const shown = { cell_id: runtimeId, content_items: content };
  if (status === 'yielded') return { Yielded: shown };
  if (status === 'terminated') return { Terminated: shown };
  const last = stringAt(content.at(-1), 'text');
  const failed = status === 'failed' && last?.startsWith(SCRIPT_ERROR) === true;
  return { Result: { ...shown, error_text: failed ? last.slice(SCRIPT_ERROR.length) : null } };
}
