// The events that make up most of a log, in the very form in which Codex writes them, read in one step each. Any
// other line, also one that says the same in another way, is not read here but by event-decoder.ts.

import { isAscii } from 'node:buffer';
import type {
  ExecutionStatus,
  RawEvent,
  RawEventPayload,
  RawPayloadKind,
  RawPayloadRef,
} from './raw-event.js';

/** What is kept of a line keeps the whole line in memory, so it must not be long. */
const MAX_PLAIN_BYTES = 1024;

const TEXT = '"([^"\\\\\\x00-\\x1f]*)"';
const ESCAPED = '"((?:[^"\\\\\\x00-\\x1f]|\\\\["\\\\/bfnrt])*)"';
const maybe = (pattern: string) => `(?:null|${pattern})`;
const SMALL = '(0|[1-9]\\d{0,14})';
const REF =
  `\\{"raw_payload_id":${TEXT},"kind":\\{"type":"(inference_request|inference_response|tool_invocation|tool_result|` +
  `tool_runtime_event)"\\},"path":${TEXT}\\}`;
const STATUS = '"(running|completed|failed|cancelled|aborted)"';
const KIND = '\\{"type":"(exec_command|write_stdin|apply_patch)"\\}';

const ENVELOPE = new RegExp(
  `\\{"schema_version":2,"seq":${SMALL},"wall_time_unix_ms":${SMALL},"rollout_id":${TEXT},"thread_id":${maybe(TEXT)},` +
    `"codex_turn_id":${maybe(TEXT)},"payload":\\{"type":"([a-z_]+)",`,
  'y',
);

type Captures = readonly (string | undefined)[];

interface PlainPayload {
  pattern: RegExp;
  /** What the captures of `pattern` say, which are none but those that it admits. */
  payload: (captures: Captures) => RawEventPayload;
}

/** A payload with these members in this order. */
function plain(members: Readonly<Record<string, string>>, payload: PlainPayload['payload']): PlainPayload {
  const pattern = Object.entries(members).map(([name, value]) => `"${name}":${value}`);
  return { pattern: new RegExp(`${pattern.join(',')}\\}\\}\\r?\\n?$`, 'y'), payload };
}

const text = (capture: string | undefined) => capture ?? '';
const orNull = (capture: string | undefined) => capture ?? null;
const unescaped = (capture: string | undefined): string | null =>
  capture === undefined ? null : JSON.parse(`"${capture}"`);
const status = (capture: string | undefined) => capture as ExecutionStatus;
const kind = (capture: string | undefined) => ({
  type: capture as 'exec_command' | 'write_stdin' | 'apply_patch',
});
const refAt = (captures: Captures, at: number): RawPayloadRef => ({
  raw_payload_id: text(captures[at]),
  kind: { type: captures[at + 1] as RawPayloadKind },
  path: text(captures[at + 2]),
});
const refOrNull = (captures: Captures, at: number) =>
  captures[at] === undefined ? null : refAt(captures, at);

const PAYLOADS: Readonly<Record<string, PlainPayload>> = {
  history_item_accepted: plain({ item_id: TEXT }, (captures) => ({
    type: 'history_item_accepted',
    item_id: text(captures[1]),
    agent_message_payload: null,
  })),
  inference_started: plain(
    {
      inference_call_id: TEXT,
      thread_id: TEXT,
      codex_turn_id: TEXT,
      model: TEXT,
      provider_name: TEXT,
      request_payload: REF,
    },
    (captures) => ({
      type: 'inference_started',
      inference_call_id: text(captures[1]),
      thread_id: text(captures[2]),
      codex_turn_id: text(captures[3]),
      model: text(captures[4]),
      provider_name: text(captures[5]),
      request_payload: refAt(captures, 6),
    }),
  ),
  inference_completed: plain(
    {
      inference_call_id: TEXT,
      response_id: maybe(TEXT),
      upstream_request_id: maybe(TEXT),
      response_payload: REF,
    },
    (captures) => ({
      type: 'inference_completed',
      inference_call_id: text(captures[1]),
      response_id: orNull(captures[2]),
      upstream_request_id: orNull(captures[3]),
      response_payload: refAt(captures, 4),
    }),
  ),
  tool_call_started: plain(
    {
      tool_call_id: TEXT,
      model_visible_call_id: maybe(TEXT),
      code_mode_runtime_tool_id: maybe(TEXT),
      requester: '\\{"type":"model"\\}',
      kind: KIND,
      summary: `\\{"type":"generic","label":${TEXT},"input_preview":${maybe(ESCAPED)},"output_preview":${maybe(ESCAPED)}\\}`,
      invocation_payload: maybe(REF),
    },
    (captures) => ({
      type: 'tool_call_started',
      tool_call_id: text(captures[1]),
      model_visible_call_id: orNull(captures[2]),
      code_mode_runtime_tool_id: orNull(captures[3]),
      requester: { type: 'model' },
      kind: kind(captures[4]),
      summary: {
        type: 'generic',
        label: text(captures[5]),
        input_preview: unescaped(captures[6]),
        output_preview: unescaped(captures[7]),
      },
      invocation_payload: refOrNull(captures, 8),
    }),
  ),
  tool_call_runtime_started: plain({ tool_call_id: TEXT, kind: KIND, runtime_payload: REF }, (captures) => ({
    type: 'tool_call_runtime_started',
    tool_call_id: text(captures[1]),
    kind: kind(captures[2]),
    runtime_payload: refAt(captures, 3),
  })),
  tool_call_runtime_ended: plain(
    { tool_call_id: TEXT, status: STATUS, runtime_payload: REF },
    (captures) => ({
      type: 'tool_call_runtime_ended',
      tool_call_id: text(captures[1]),
      status: status(captures[2]),
      runtime_payload: refAt(captures, 3),
    }),
  ),
  tool_call_ended: plain({ tool_call_id: TEXT, status: STATUS, result_payload: maybe(REF) }, (captures) => ({
    type: 'tool_call_ended',
    tool_call_id: text(captures[1]),
    status: status(captures[2]),
    result_payload: refOrNull(captures, 3),
  })),
};

/** The event of schema 2 that a line is; undefined when it is not one of these, written like this. */
export function decodePlainEvent(line: Uint8Array): RawEvent | undefined {
  if (line.length > MAX_PLAIN_BYTES || !isAscii(line)) return undefined;
  const written = Buffer.from(line.buffer, line.byteOffset, line.length).toString('latin1');
  ENVELOPE.lastIndex = 0;
  const envelope = ENVELOPE.exec(written);
  if (envelope === null) return undefined;
  const [whole, seq, time, rolloutId, threadId, turnId, type] = envelope;
  const known = Object.hasOwn(PAYLOADS, text(type)) ? PAYLOADS[text(type)] : undefined;
  if (known === undefined) return undefined;
  known.pattern.lastIndex = whole.length;
  const captures = known.pattern.exec(written);
  if (captures === null) return undefined;
  return {
    schema_version: 2,
    seq: Number(seq),
    wall_time_unix_ms: Number(time),
    rollout_id: text(rolloutId),
    thread_id: orNull(threadId),
    codex_turn_id: orNull(turnId),
    payload: known.payload(captures),
  };
}
