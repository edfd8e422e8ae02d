// Interprets evidence from memory and reads back what was written; also composes exchanges of the Responses API.

import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { onTestFinished } from 'vitest';
import type { EvidenceEvent } from '../../src/evidence/event.js';
import { Interpreter, type InterpretResult } from '../../src/interpret/interpreter.js';
import { TraceBundleWriter } from '../../src/trace/bundle-writer.js';
import type { Manifest, RawEvent, RawPayloadRef } from '../../src/trace/raw-event.js';

export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'agsight-interpret-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** A trace bundle read back without any help of the code under test. */
export interface Told {
  dir: string;
  manifest: Manifest;
  events: RawEvent[];
  /** The only event of a type. */
  the<T extends RawEvent['payload']['type']>(type: T): Extract<RawEvent['payload'], { type: T }>;
  all<T extends RawEvent['payload']['type']>(type: T): Extract<RawEvent['payload'], { type: T }>[];
  payload(ref: RawPayloadRef | null | undefined): Record<string, unknown>;
}

export function readBack(dir: string): Told {
  const events: RawEvent[] = readFileSync(join(dir, 'trace.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  const all: Told['all'] = (type) =>
    events.map((event) => event.payload).filter((payload): payload is never => payload.type === type);
  return {
    dir,
    manifest: JSON.parse(readFileSync(join(dir, 'manifest.json'), 'utf8')),
    events,
    all,
    the(type) {
      const [only, ...others] = all(type);
      if (only === undefined || others.length > 0) throw new Error(`${others.length + 1} or no ${type}`);
      return only;
    },
    payload(ref) {
      if (ref === null || ref === undefined) throw new Error('no payload');
      return JSON.parse(readFileSync(join(dir, ref.path), 'utf8'));
    },
  };
}

/** Interprets `events` and reads back the bundle of each root thread. */
export function interpret(
  events: Iterable<EvidenceEvent>,
  options: ConstructorParameters<typeof Interpreter>[1] = {},
): { result: InterpretResult; bundles: Told[] } {
  const directory = temporaryDirectory();
  const interpreter = new Interpreter(
    (rootThreadId, manifest) => new TraceBundleWriter(join(directory, rootThreadId), manifest),
    options,
  );
  for (const event of events) interpreter.push(event);
  const result = interpreter.finish();
  return { result, bundles: result.rootThreadIds.map((id) => readBack(join(directory, id))) };
}

/** Interprets evidence of exactly one root thread. */
export function interpretOne(
  events: Iterable<EvidenceEvent>,
  options: ConstructorParameters<typeof Interpreter>[1] = {},
): { result: InterpretResult; told: Told } {
  const { result, bundles } = interpret(events, options);
  const [told, ...others] = bundles;
  if (told === undefined || others.length > 0) throw new Error(`${bundles.length} bundles`);
  return { result, told };
}

/** Every file below `directory` with its content and permissions. */
export function snapshot(directory: string): Record<string, string> {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true });
  return Object.fromEntries(
    entries
      .filter((entry) => entry.isFile())
      .map((entry) => {
        const path = join(entry.parentPath, entry.name);
        const mode = (statSync(path).mode & 0o777).toString(8);
        return [relative(directory, path), `${mode} ${readFileSync(path, 'latin1')}`] as const;
      })
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

export const THREAD = '01a1f929-0000-7000-8000-000000000001';
export const TURN = '01a1f929-0000-7000-8000-0000000000aa';

export interface RequestFields {
  threadId?: string;
  turnId?: string;
  inferenceCallId?: string;
  input?: unknown[];
  headers?: string[];
  body?: Record<string, unknown>;
}

export const userMessage = (text: string, id = 'msg_u') => ({
  type: 'message',
  id,
  role: 'user',
  content: [{ type: 'input_text', text }],
});

export const toolCall = (callId: string, args = '{"cmd":"true"}') => ({
  type: 'function_call',
  id: `fc_${callId}`,
  name: 'exec_command',
  arguments: args,
  call_id: callId,
});

export const toolOutput = (callId: string, output: string) => ({
  type: 'function_call_output',
  id: `fco_${callId}`,
  call_id: callId,
  output,
});

export const answer = (text: string, id = 'msg_a') => ({
  type: 'message',
  id,
  role: 'assistant',
  content: [{ type: 'output_text', text }],
});

/** A request as Codex sends it, with the fields that matter here. */
export function request(fields: RequestFields = {}): string {
  const threadId = fields.threadId ?? THREAD;
  const body = JSON.stringify({
    model: 'gpt-5.5',
    stream: true,
    input: fields.input ?? [userMessage('hi')],
    client_metadata: { thread_id: threadId, session_id: threadId, turn_id: fields.turnId ?? TURN },
    ...fields.body,
  });
  const head = [
    'POST /v1/responses HTTP/1.1',
    `x-codex-inference-call-id: ${fields.inferenceCallId ?? 'call-1'}`,
    `session-id: ${threadId}`,
    `thread-id: ${threadId}`,
    'authorization: Bearer mock-key',
    'host: api.test:8443',
    ...(fields.headers ?? []),
    `content-length: ${Buffer.byteLength(body)}`,
  ];
  return `${head.join('\r\n')}\r\n\r\n${body}`;
}

export const done = (item: unknown) => ({ type: 'response.output_item.done', item });
export const created = (id = 'resp_1') => ({ type: 'response.created', response: { id } });
export const usage = (input = 100, output = 20) => ({
  input_tokens: input,
  input_tokens_details: { cached_tokens: 5, cache_write_tokens: 2 },
  output_tokens: output,
  output_tokens_details: { reasoning_tokens: 3 },
  total_tokens: input + output,
});
export const completed = (id = 'resp_1', extra: Record<string, unknown> = {}) => ({
  type: 'response.completed',
  response: { id, usage: usage(), ...extra },
});

export const sse = (...events: { type: string }[]): string =>
  events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join('');

export const streamHead =
  'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-request-id: req_1\r\ntransfer-encoding: chunked\r\n\r\n';

export const chunk = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;

/** A whole chunked response of these events. */
export function response(...events: { type: string }[]): string {
  return `${streamHead}${events.map((event) => chunk(sse(event))).join('')}0\r\n\r\n`;
}

export function jsonResponse(status: number, body: unknown, headers: string[] = []): string {
  const text = JSON.stringify(body);
  const head = [`HTTP/1.1 ${status} X`, 'content-type: application/json', ...headers];
  return `${head.join('\r\n')}\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;
}
