// Tool calls as the model asks for them and as their outputs come back, in the shapes of the trace bundle.
// Pure functions over items; when a call starts and ends is thread.ts.

import { waitedCell } from '../reduce/cell-links.js';
import { fromPlain } from '../trace/json-value.js';
import type { ToolCallKind, ToolCallSummary } from '../trace/raw-event.js';
import { Rejection } from '../trace/rejection.js';
import { arrayAt, type JsonObject, objectAt, parseObject, stringAt } from './json.js';

/** A call that the model has asked for. */
export interface RequestedTool {
  callId: string;
  name: string;
  namespace: string | null;
  kind: ToolCallKind;
  summary: ToolCallSummary;
  invocation: Invocation;
}

interface Invocation {
  tool_name: string;
  tool_namespace: string | null;
  payload: JsonObject;
}

/** What came back for a call. */
export interface ToolResult {
  status: 'completed' | 'failed';
  result: JsonObject;
}

/** Characters of the input that a summary shows. */
const PREVIEW_CHARS = 160;

const KINDS: Readonly<Record<string, Exclude<ToolCallKind['type'], 'mcp' | 'other'>>> = {
  exec_command: 'exec_command',
  shell: 'exec_command',
  shell_command: 'exec_command',
  local_shell: 'exec_command',
  write_stdin: 'write_stdin',
  apply_patch: 'apply_patch',
  web_search: 'web',
  web_search_preview: 'web',
  image_generation: 'image_generation',
  image_query: 'image_generation',
  spawn_agent: 'spawn_agent',
  send_message: 'send_message',
  followup_task: 'assign_agent_task',
  wait_agent: 'wait_agent',
  close_agent: 'close_agent',
  interrupt_agent: 'close_agent',
};

/** The call that an output item of the model asks the client for; undefined for every other item. */
export function requestedTool(item: JsonObject): RequestedTool | undefined {
  const callId = stringAt(item, 'call_id');
  if (callId === undefined) return undefined;
  const name = stringAt(item, 'name');
  const namespace = stringAt(item, 'namespace') ?? null;
  switch (item.type) {
    case 'function_call': {
      const args = stringAt(item, 'arguments') ?? '';
      return name === undefined
        ? undefined
        : requested(callId, name, namespace, { type: 'function', arguments: args }, args);
    }
    case 'custom_tool_call': {
      const input = stringAt(item, 'input') ?? '';
      return name === undefined
        ? undefined
        : requested(callId, name, namespace, { type: 'custom', input }, input);
    }
    case 'tool_search_call': {
      // The server runs its own searches; only those left to the client are calls.
      if (stringAt(item, 'execution') !== 'client') return undefined;
      const args = objectAt(item, 'arguments') ?? {};
      const query = stringAt(args, 'query') ?? JSON.stringify(args);
      return requested(callId, 'tool_search', null, { type: 'tool_search', arguments: args }, query);
    }
    default:
      return undefined;
  }
}

function requested(
  callId: string,
  name: string,
  namespace: string | null,
  payload: JsonObject,
  input: string,
): RequestedTool {
  return {
    callId,
    name,
    namespace,
    kind: kindOf(name, namespace),
    summary: {
      type: 'generic',
      label: namespace === null ? name : `${namespace}.${name}`,
      input_preview: preview(input),
      output_preview: null,
    },
    invocation: { tool_name: name, tool_namespace: namespace, payload },
  };
}

/** Whether the reference can read it: it refuses a bundle in which a `wait` does not name its cell. */
export function isReadable(invocation: Invocation): boolean {
  try {
    waitedCell(fromPlain(invocation), '');
    return true;
  } catch (error) {
    if (error instanceof Rejection) return false;
    throw error;
  }
}

/** The namespace that Codex gives to the tools of an MCP server. */
const MCP_NAMESPACE = 'mcp__';

function kindOf(name: string, namespace: string | null): ToolCallKind {
  if (namespace?.startsWith(MCP_NAMESPACE)) {
    return { type: 'mcp', server: namespace.slice(MCP_NAMESPACE.length), tool: name };
  }
  const known = Object.hasOwn(KINDS, name) ? KINDS[name] : undefined;
  return known === undefined ? { type: 'other', name } : { type: known };
}

// Codex sends failed calls back as plain text. These are its own messages for calls that never ran.
const FAILURES = [
  'unsupported call: ',
  'unsupported custom tool call: ',
  'failed to parse function arguments: ',
  'write_stdin failed: ',
  'exec_command failed',
  'apply_patch verification failed: ',
  'unable to locate image at `',
  'exec pragma must be valid JSON',
  'exec expects raw JavaScript source text',
];

/** The namespaces of the tools that act on agents, of both generations. They answer with JSON, or with nothing. */
const AGENT_NAMESPACES = new Set(['collaboration', 'multi_agent_v1']);

/** How the output of a cell that failed begins. */
const FAILED_SCRIPT = /^Script failed\nWall time /;

/** The output that an input item carries; undefined for every other item. */
export function toolOutput(item: JsonObject): { callId: string; text: string | undefined } | undefined {
  const callId = stringAt(item, 'call_id');
  const type = stringAt(item, 'type') ?? '';
  if (callId === undefined || !type.endsWith('_output')) return undefined;
  return { callId, text: stringAt(item, 'output') ?? stringAt(arrayAt(item, 'output')?.[0], 'text') };
}

/** What `item` says of how the call went. Not told are the errors of an MCP server: they look like any other output. */
export function toolResult(
  { name, namespace }: Pick<RequestedTool, 'name' | 'namespace'>,
  item: JsonObject,
): ToolResult {
  const text = stringAt(item, 'output');
  const isError =
    text !== undefined &&
    (FAILURES.some((failure) => text.startsWith(failure)) ||
      (AGENT_NAMESPACES.has(namespace ?? '') && text !== '' && parseObject(text) === undefined));
  if (isError) return { status: 'failed', result: { type: 'error', error: text } };
  const { id: _, ...responseItem } = item;
  const isScript = namespace === null && (name === 'exec' || name === 'wait');
  const failed = isScript && FAILED_SCRIPT.test(toolOutput(item)?.text ?? '');
  const result = { type: 'direct_response', response_item: responseItem };
  return { status: failed ? 'failed' : 'completed', result };
}

/** What a command's output says beside what the command wrote. */
export interface CommandOutput {
  /** Codex's number for a command that is still running, by which it can be written to. */
  sessionId: string | undefined;
  /** What it wrote since the last time, as far as the model is shown it. */
  text: string;
}

const COMMAND_OUTPUT =
  /^(?:Chunk ID: .*\n)?Wall time: .*\nProcess (?:exited with code -?\d+|running with session ID (\d+))\n(?:Original token count: \d+\n)?Output:\n/;
/** Of `shell_command`, which waits for the end of its command. */
const ENDED_COMMAND_OUTPUT = /^Exit code: -?\d+\nWall time: .*\n(?:Total output lines: \d+\n)?Output:\n/;

/** Undefined for what is no output of a command. */
export function commandOutput(text: string | undefined): CommandOutput | undefined {
  if (text === undefined) return undefined;
  const header = COMMAND_OUTPUT.exec(text) ?? ENDED_COMMAND_OUTPUT.exec(text);
  if (header === null) return undefined;
  return { sessionId: header[1], text: text.slice(header[0].length) };
}

function preview(text: string): string {
  const characters = [...text.slice(0, 2 * PREVIEW_CHARS + 2)];
  if (characters.length <= PREVIEW_CHARS) return text;
  return `${characters.slice(0, PREVIEW_CHARS).join('')}...`;
}
