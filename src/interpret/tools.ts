// The tool calls of a thread, from the model's request to the output that a later request carries. What their items
// say is tool-call.ts, the processes behind them tool-runtime.ts; cells and agents have files of their own.

import type { RawEventPayload } from '../trace/raw-event.js';
import type { Agents } from './agents.js';
import { CodeCells } from './code-cells.js';
import { arrayAt, type JsonObject, parseObject, stringAt } from './json.js';
import type { CommandProcess, ProcessExit } from './processes.js';
import type { Rollout } from './rollout.js';
import { later } from './time.js';
import {
  commandOutput,
  isReadable,
  type RequestedTool,
  requestedTool,
  toolOutput,
  toolResult,
} from './tool-call.js';
import { commandDirectory, writeCommandRuntime } from './tool-runtime.js';

/** A tool call from the model's request to the output sent back. */
export interface ToolRun extends Pick<RequestedTool, 'callId' | 'name' | 'namespace' | 'kind'> {
  turnId: string;
  /** The process that the call was for. */
  agentPid: number;
  /** The arguments of a function, when they are an object. */
  args: JsonObject | undefined;
  startedNs: bigint;
  /** When its output was sent back. */
  endedNs: bigint | undefined;
  sessionId: string | undefined;
  /** What a command had written, as the model was shown it. */
  shown: string | undefined;
  /** The process of a command, where no environment names the call. */
  inferredProcess: CommandProcess | undefined;
  isRuntimeWritten: boolean;
}

export class ThreadTools {
  readonly #rollout: Rollout;
  readonly #threadId: string;
  readonly #agents: Agents;
  readonly #runs = new Map<string, ToolRun>();
  /** Commands whose process is not known yet. */
  readonly #unlinked = new Set<ToolRun>();
  /** Commands that outlived their call, by Codex's number for them. */
  readonly #sessions = new Map<string, ToolRun>();
  readonly #cells: CodeCells;

  constructor(rollout: Rollout, threadId: string) {
    this.#rollout = rollout;
    this.#threadId = threadId;
    this.#agents = rollout.agents;
    this.#cells = new CodeCells(rollout, threadId);
  }

  /** Another process goes on with the thread: its numbers for sessions and cells begin anew. */
  restart(): void {
    this.#sessions.clear();
    this.#cells.restart();
  }

  /** The call that an output item of the model asks for; undefined for every other item, and for one told already. */
  requested(
    item: JsonObject,
    { turnId, agentPid, atNs }: { turnId: string; agentPid: number; atNs: bigint },
  ): ToolRun | undefined {
    const tool = requestedTool(item);
    if (tool === undefined || !this.#rollout.claim('tool call', tool.callId)) return undefined;
    const { callId, name, namespace, kind, summary, invocation } = tool;
    const run: ToolRun = {
      ...{ callId, name, namespace, kind, turnId, agentPid },
      args: parseObject(stringAt(invocation.payload, 'arguments') ?? ''),
      startedNs: atNs,
      endedNs: undefined,
      sessionId: undefined,
      shown: undefined,
      inferredProcess: undefined,
      isRuntimeWritten: false,
    };
    this.#runs.set(callId, run);
    if (kind.type === 'exec_command') this.#unlinked.add(run);
    const started: RawEventPayload = {
      type: 'tool_call_started',
      tool_call_id: callId,
      model_visible_call_id: callId,
      code_mode_runtime_tool_id: null,
      requester: { type: 'model' },
      kind,
      summary,
      invocation_payload: isReadable(invocation)
        ? this.#rollout.payload('tool_invocation', invocation)
        : null,
    };
    this.#rollout.event(atNs, started, this.#threadId, turnId, 'after');
    const source = stringAt(invocation.payload, 'input');
    if (isExec(run) && source !== undefined) this.#cells.requested(callId, source, turnId, atNs);
    return run;
  }

  /** An item of a request's input may be the output of a call. */
  returned(item: JsonObject, turnId: string, atNs: bigint, threadCwd: string | undefined): void {
    const output = toolOutput(item);
    const run = this.#runs.get(output?.callId ?? '');
    if (output === undefined || run === undefined || run.endedNs !== undefined) return;
    run.endedNs = atNs;
    this.#linkCommands();
    if (isExec(run)) this.#cells.returned(run.callId, item, atNs);
    else if (run.name === 'wait') this.#cells.waited(stringAt(run.args, 'cell_id'), item, atNs);
    const { status, result } = toolResult(run, item);
    if (status === 'completed') this.#agents.acted(this.#threadId, run, output.text ?? '', atNs);
    this.#commandOutput(run, output.text, status, threadCwd);
    this.#rollout.event(
      atNs,
      {
        type: 'tool_call_ended',
        tool_call_id: run.callId,
        status,
        result_payload: this.#rollout.payload('tool_result', result),
      },
      this.#threadId,
      turnId,
    );
  }

  /** Tells what is known of the commands whose end no output has shown. Nothing else comes after. */
  finish(threadCwd: string | undefined, codexExit: ProcessExit | undefined): void {
    this.#linkCommands();
    for (const run of this.#runs.values()) this.#writeRuntime(run, threadCwd);
    this.#cells.finish((callId) => this.#runs.has(callId), { threadCwd, codexExit });
  }

  #commandOutput(
    run: ToolRun,
    text: string | undefined,
    status: 'completed' | 'failed',
    threadCwd: string | undefined,
  ): void {
    if (run.kind.type !== 'exec_command' && run.kind.type !== 'write_stdin') return;
    const output = commandOutput(text);
    const command = run.kind.type === 'exec_command' ? run : this.#sessions.get(sessionArgument(run));
    if (command === undefined) return;
    if (command !== run && status === 'completed') {
      const resolved = { tool_call_id: run.callId, exec_tool_call_id: command.callId };
      const event: RawEventPayload = { type: 'stdin_target_resolved', ...resolved };
      // Evidence may be out of order.
      const atNs = later(run.startedNs, command.startedNs);
      this.#rollout.event(atNs, event, this.#threadId, run.turnId, 'after');
    }
    if (output === undefined) return;
    command.shown = (command.shown ?? '') + output.text;
    command.sessionId ??= output.sessionId;
    if (output.sessionId !== undefined) this.#sessions.set(output.sessionId, command);
    else if (this.#processOf(command)?.exit !== undefined) this.#writeRuntime(command, threadCwd);
  }

  /** Finds the processes that name no call by what the calls asked for, for the calls in their order. */
  #linkCommands(): void {
    const { processes, anomalies } = this.#rollout.shared;
    for (const run of this.#unlinked) {
      const command = commandText(run.args);
      if (command !== undefined && processes.tool(this.#threadId, run.callId) === undefined) {
        const found = processes.takeUnnamed({ ...run, threadId: this.#threadId, command });
        run.inferredProcess = found.process;
        if (!found.isOnly)
          anomalies.add('inferred-command', `call ${run.callId} of thread ${this.#threadId}`);
      }
      if (run.inferredProcess !== undefined || run.endedNs !== undefined) this.#unlinked.delete(run);
    }
  }

  #processOf(run: ToolRun): CommandProcess | undefined {
    return this.#rollout.shared.processes.tool(this.#threadId, run.callId) ?? run.inferredProcess;
  }

  /** The reference needs a working directory: without one in the conversation there is nothing to add. */
  #writeRuntime(run: ToolRun, threadCwd: string | undefined): void {
    const process = this.#processOf(run);
    const cwd = commandDirectory(stringAt(run.args, 'workdir'), threadCwd);
    if (process === undefined || cwd === undefined) return;
    if (run.isRuntimeWritten || run.kind.type !== 'exec_command') return;
    run.isRuntimeWritten = true;
    writeCommandRuntime(this.#rollout, this.#threadId, { ...run, cwd }, process);
    run.shown = undefined;
  }
}

function isExec({ name, namespace, args }: ToolRun): boolean {
  return name === 'exec' && namespace === null && args === undefined;
}

/** The command that a call asked for: of some tools a text, of others words. */
function commandText(args: JsonObject | undefined): string | undefined {
  const words = arrayAt(args, 'command');
  const text = words?.every((word) => typeof word === 'string') === true ? words.join(' ') : undefined;
  return stringAt(args, 'cmd') ?? stringAt(args, 'command') ?? text;
}

function sessionArgument({ args }: ToolRun): string {
  const id = args?.session_id;
  return typeof id === 'number' || typeof id === 'string' ? `${id}` : '';
}
