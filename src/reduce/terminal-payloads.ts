// The payloads of terminal tools: what a write was asked to do, what the runtime observed of a command's start
// and end, and what a write's result says. Reads and checks; the operations are terminal.ts.

import { decodeText, JsonTextError } from '../trace/json-text.js';
import { asArray, asString, compactJson, type Json, JsonNumber, member } from '../trace/json-value.js';
import { Rejection } from '../trace/rejection.js';
import {
  anyJson,
  type Decode,
  defaulted,
  i32,
  list,
  optional,
  struct,
  TypeMismatch,
  tagged,
  text,
  u64,
  usize,
} from '../trace/typed-json.js';
import type { Schema } from './schema.js';
import type { TerminalOperationKind, TerminalRequest, TerminalResult } from './state.js';

/** What starts an operation. */
export interface OperationRequest {
  processId: string | null;
  request: TerminalRequest;
}

const beginShape = struct('struct ExecCommandBeginPayload', {
  process_id: optional(text),
  command: list(text),
  cwd: text,
  interaction_input: optional(text),
});

const splitEndShape = struct('struct ExecCommandEndPayload', {
  process_id: optional(text),
  stdout: text,
  stderr: text,
  exit_code: i32,
  formatted_output: text,
});

const endShape = struct('struct ExecCommandEndPayload', {
  process_id: optional(text),
  aggregated_output: defaulted(text, ''),
  exit_code: i32,
});

const INVOCATION = 'struct DispatchedToolTraceRequestPayload';
const payload = struct('struct DispatchedToolPayload', { type: text, arguments: optional(text) });
const invocationShape = struct(INVOCATION, { tool_name: text, tool_namespace: optional(text), payload });
const plainInvocationShape = struct(INVOCATION, { tool_name: text, payload });

const WRITE_ARGUMENTS = 'struct DispatchedWriteStdinArgs';
const writeArgumentsShape = {
  session_id: anyJson,
  chars: defaulted(text, ''),
  yield_time_ms: optional(u64),
  max_output_tokens: optional(usize),
};

const dispatchResultShape = tagged<
  | { type: 'direct_response'; response_item: Json }
  | { type: 'code_mode_response'; value: Json }
  | { type: 'error'; error: string }
>('DispatchedToolTraceResponsePayload', {
  direct_response: { response_item: anyJson },
  code_mode_response: { value: anyJson },
  error: { error: text },
});

const codeModeResultShape = struct('struct CodeModeExecResult', {
  chunk_id: optional(text),
  exit_code: optional(i32),
  original_token_count: optional(usize),
  output: text,
});

/** What the model asked a write to do; undefined when it named no process. Throws Rejection. */
export function parseWrite(payload: Json, payloadId: string, schema: Schema): OperationRequest | undefined {
  const refuse = refusal(`parse terminal invocation payload ${payloadId} as dispatch payload`);
  const invocation = decode(schema.toolNamespaces ? invocationShape : plainInvocationShape, payload, refuse);
  if (invocation.tool_name !== 'write_stdin') {
    throw refuse(`dispatch terminal request is for ${invocation.tool_name}, not write_stdin`);
  }
  if (invocation.payload.type !== 'function') {
    throw refuse(`write_stdin dispatch payload used unsupported ${invocation.payload.type} payload`);
  }
  if (invocation.payload.arguments === null) {
    throw refuse('write_stdin dispatch payload omitted function arguments');
  }
  try {
    const { session_id, chars, yield_time_ms, max_output_tokens } = decodeText(
      Buffer.from(invocation.payload.arguments),
      WRITE_ARGUMENTS,
      writeArgumentsShape,
    );
    const processId = processIdOf(session_id);
    if (processId !== undefined) {
      return { processId, request: { type: 'write_stdin', stdin: chars, yield_time_ms, max_output_tokens } };
    }
  } catch (error) {
    if (!(error instanceof JsonTextError)) throw error;
    if (schema.splitOutput) throw refuse('parse write_stdin dispatch function arguments', error.message);
  }
  if (schema.splitOutput) throw refuse('write_stdin dispatch payload omitted session_id');
  // The model wrote these arguments; the tool has refused them already.
  return undefined;
}

function processIdOf(sessionId: Json): string | undefined {
  if (sessionId instanceof JsonNumber) return sessionId.text;
  return typeof sessionId === 'string' && sessionId !== '' ? sessionId : undefined;
}

/** What the runtime saw of an operation's start. Throws Rejection. */
export function parseBegin(kind: TerminalOperationKind, payload: Json, payloadId: string): OperationRequest {
  const refuse = refusal(`parse terminal runtime start payload ${payloadId}`);
  const { process_id, command, cwd, interaction_input } = decode(beginShape, payload, refuse);
  const limits = { yield_time_ms: null, max_output_tokens: null };
  const request: TerminalRequest =
    kind === 'exec_command'
      ? { type: kind, command, display_command: command.join(' '), cwd, ...limits }
      : { type: kind, stdin: interaction_input ?? '', ...limits };
  return { processId: process_id, request };
}

export interface OperationEnd {
  processId: string | null;
  result: TerminalResult;
}

/** What the runtime or the result of a write says of an operation's end. Throws Rejection. */
export function parseEnd(
  kind: TerminalOperationKind,
  payload: Json,
  payloadId: string,
  schema: Schema,
): OperationEnd {
  const observedEnd: Decode<OperationEnd> = schema.splitOutput ? splitEnd : joinedEnd;
  if (kind === 'exec_command') {
    return decode(observedEnd, payload, refusal(`parse exec terminal response ${payloadId}`));
  }
  let unlike: string;
  try {
    return observedEnd(payload, '');
  } catch (error) {
    if (!(error instanceof TypeMismatch)) throw error;
    unlike = error.message;
  }
  try {
    return { processId: null, result: dispatchedResult(dispatchResultShape(payload, '')) };
  } catch (error) {
    if (!(error instanceof TypeMismatch)) throw error;
    throw refusal(
      `parse write_stdin terminal response ${payloadId} as protocol payload (${unlike}) or dispatch payload`,
    )(error.message);
  }
}

const joinedEnd: Decode<OperationEnd> = (value, name) => {
  const { process_id, aggregated_output, exit_code } = endShape(value, name);
  return { processId: process_id, result: { ...resultOf(aggregated_output, null), exit_code } };
};

const splitEnd: Decode<OperationEnd> = (value, name) => {
  const { process_id, stdout, stderr, exit_code, formatted_output } = splitEndShape(value, name);
  return { processId: process_id, result: { ...resultOf(stdout, formatted_output), stderr, exit_code } };
};

function dispatchedResult(result: ReturnType<typeof dispatchResultShape>): TerminalResult {
  switch (result.type) {
    case 'error':
      return { ...resultOf('', result.error), stderr: result.error };
    case 'direct_response': {
      const output = shownText(member(result.response_item, 'output')) ?? compactJson(result.response_item);
      return resultOf(output, output);
    }
    case 'code_mode_response':
      return codeModeResult(result.value);
  }
}

function codeModeResult(value: Json): TerminalResult {
  try {
    const { output, exit_code, original_token_count, chunk_id } = codeModeResultShape(value, '');
    return { ...resultOf(output, output), exit_code, original_token_count, chunk_id };
  } catch (error) {
    if (!(error instanceof TypeMismatch)) throw error;
    const output = shownText(value) ?? compactJson(value);
    return resultOf(output, output);
  }
}

function resultOf(stdout: string, formatted: string | null): TerminalResult {
  return {
    exit_code: null,
    stdout,
    stderr: '',
    formatted_output: formatted,
    original_token_count: null,
    chunk_id: null,
  };
}

/** The text of a tool output; undefined when there is none to show. */
function shownText(value: Json | undefined): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'string') return value;
  const items = asArray(value);
  if (items === undefined) return compactJson(value);
  const texts = items.map((item) => asString(member(item, 'text'))).filter((part) => part !== undefined);
  return texts.length === 0 ? undefined : texts.join('\n') || undefined;
}

function decode<T>(shape: Decode<T>, value: Json, refuse: (cause: string) => Rejection): T {
  try {
    return shape(value, '');
  } catch (error) {
    if (error instanceof TypeMismatch) throw refuse(error.message);
    throw error;
  }
}

function refusal(what: string): (...causes: string[]) => Rejection {
  return (...causes) => new Rejection('terminal-payload-invalid', what, causes);
}
