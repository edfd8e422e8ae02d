// One Responses item → the fields of a conversation item that the item itself decides: role, channel, kind,
// body, call id. Which conversation item it is, and who made it, is conversation.ts.

import { createHash } from 'node:crypto';
import { parseJson } from '../trace/json-parser.js';
import { JsonSyntaxError } from '../trace/json-scanner.js';
import { asArray, asString, compactJson, type Json, member, sortedJson } from '../trace/json-value.js';
import { Rejection } from '../trace/rejection.js';
import { list, optional, struct, TypeMismatch, tagged, text } from '../trace/typed-json.js';
import { contentOf, type NormalizedItem } from './normalized-item.js';
import type { Schema } from './schema.js';
import type {
  AgentMessage,
  ConversationChannel,
  ConversationItemKind,
  ConversationPart,
  ConversationRole,
} from './state.js';

/** JSON in a body is cut to this many bytes, at a character boundary. */
const MAX_JSON_SUMMARY_BYTES = 240;
const PASSTHROUGH = 'internal_chat_message_metadata_passthrough';

/**
 * Normalizes the items of one payload; items that the model never sees are left out. Throws Rejection
 * `model-item-unsupported` or `model-item-invalid`.
 *
 * @param payloadId names the payload in refusals and in the parts that refer back to it.
 */
export function normalizeItems(items: readonly Json[], payloadId: string, schema: Schema): NormalizedItem[] {
  const normalized: NormalizedItem[] = [];
  for (const item of items) {
    const result = normalizeItem(item, payloadId, schema);
    if (result !== undefined) normalized.push(result);
  }
  return normalized;
}

export function normalizeItem(item: Json, payloadId: string, schema: Schema): NormalizedItem | undefined {
  const type = asString(member(item, 'type'));
  if (type === undefined) throw invalid(`model item in payload ${payloadId} did not contain a string type`);
  const callId = asString(member(item, 'call_id')) ?? null;
  const make = (
    role: ConversationRole,
    channel: ConversationChannel | null,
    kind: ConversationItemKind,
    parts: ConversationPart[],
    ofCall: string | null = null,
    agentMessage?: AgentMessage,
  ): NormalizedItem => {
    const fields = { role, channel, kind, agentMessage, parts, callId: ofCall };
    const responsesItemId = schema.wireIds ? asString(member(item, 'id')) : undefined;
    return { responsesItemId, ...fields, content: contentOf(fields) };
  };
  switch (type) {
    case 'message': {
      const channel = channelOfPhase(asString(member(item, 'phase')));
      return make(
        messageRole(item, payloadId),
        channel,
        'message',
        contentParts(member(item, 'content'), payloadId, schema),
      );
    }
    case 'agent_message': {
      const { parts, agentMessage } = agentMessageFields(item, payloadId, schema);
      return make('assistant', 'analysis', 'message', parts, null, agentMessage);
    }
    case 'reasoning':
      return make('assistant', 'analysis', 'reasoning', reasoningParts(item, payloadId));
    case 'function_call':
      return make(
        'assistant',
        'commentary',
        'function_call',
        argumentParts(member(item, 'arguments'), payloadId),
        callId,
      );
    case 'function_call_output':
      return make(
        'tool',
        'commentary',
        'function_call_output',
        outputParts(member(item, 'output'), payloadId, schema),
        callId,
      );
    case 'custom_tool_call':
      return make(
        'assistant',
        'commentary',
        'custom_tool_call',
        customCallParts(item, payloadId, schema),
        callId,
      );
    case 'custom_tool_call_output':
      return make(
        'tool',
        'commentary',
        'custom_tool_call_output',
        outputParts(member(item, 'output'), payloadId, schema),
        callId,
      );
    case 'tool_search_call':
    case 'web_search_call':
    case 'image_generation_call':
    case 'local_shell_call':
      return make('assistant', 'commentary', 'function_call', [wholePart(item, payloadId, schema)], callId);
    case 'tool_search_output':
    case 'mcp_tool_call_output':
      return make('tool', 'commentary', 'function_call_output', [wholePart(item, payloadId, schema)], callId);
    case 'compaction':
    case 'compaction_summary':
    case 'context_compaction':
      return make('assistant', 'summary', 'message', [compactionPart(item, payloadId)]);
    default:
      if (schema.unseenItems.has(type)) return undefined;
      throw new Rejection(
        'model-item-unsupported',
        `unsupported model item type ${type} in payload ${payloadId}`,
      );
  }
}

function messageRole(item: Json, payloadId: string): ConversationRole {
  const role = asString(member(item, 'role'));
  switch (role) {
    case undefined:
      throw invalid(`message item in payload ${payloadId} did not contain a string role`);
    case 'system':
    case 'developer':
    case 'user':
    case 'assistant':
    case 'tool':
      return role;
    default:
      throw new Rejection(
        'model-item-unsupported',
        `unsupported message role ${role} in payload ${payloadId}`,
      );
  }
}

function channelOfPhase(phase: string | undefined): ConversationChannel | null {
  if (phase === 'final_answer') return 'final';
  return phase === 'commentary' || phase === 'summary' ? phase : null;
}

function contentParts(content: Json | undefined, payloadId: string, schema: Schema): ConversationPart[] {
  const array = asArray(content);
  if (array === undefined) return [unhashedPart('content', payloadId)];
  const parts: ConversationPart[] = [];
  for (const part of array) {
    const type = asString(member(part, 'type'));
    if (type === 'input_text' || type === 'output_text' || type === 'text') {
      const shown = asString(member(part, 'text'));
      if (shown !== undefined) parts.push({ type: 'text', text: shown });
    } else if (!schema.hashedParts) {
      parts.push(unhashedPart(type ?? 'content', payloadId));
    } else {
      const content_sha256 = createHash('sha256').update(sortedJson(part)).digest('hex');
      parts.push({
        type: 'payload_ref',
        label: type ?? 'content',
        raw_payload_id: payloadId,
        content_sha256,
      });
    }
  }
  if (parts.length === 0 && schema.markedEmptyContent) parts.push(unhashedPart('empty_content', payloadId));
  return parts;
}

type AgentMessageContent =
  | { type: 'input_text'; text: string }
  | { type: 'encrypted_content'; encrypted_content: string };
const agentMessageMembers = {
  id: optional(text),
  author: text,
  recipient: text,
  content: list(
    tagged<AgentMessageContent>('AgentMessageInputContent', {
      input_text: { text },
      encrypted_content: { encrypted_content: text },
    }),
  ),
};
interface DecodedAgentMessage extends AgentMessage {
  type: 'agent_message';
  content: AgentMessageContent[];
}
const agentMessageShape = tagged<DecodedAgentMessage>('ResponseItem', {
  agent_message: agentMessageMembers,
});
const checkedAgentMessageShape = tagged<DecodedAgentMessage>('ResponseItem', {
  agent_message: {
    ...agentMessageMembers,
    [PASSTHROUGH]: optional(
      struct('struct InternalChatMessageMetadataPassthrough', { turn_id: optional(text) }),
    ),
  },
});

function agentMessageFields(
  item: Json,
  payloadId: string,
  schema: Schema,
): { parts: ConversationPart[]; agentMessage: AgentMessage } {
  const where = `agent_message item in payload ${payloadId}`;
  let decoded: DecodedAgentMessage;
  try {
    const shape = schema.readsPassthrough ? checkedAgentMessageShape : agentMessageShape;
    decoded = shape(item, 'agent_message');
  } catch (error) {
    if (!(error instanceof TypeMismatch)) throw error;
    throw new Rejection('model-item-invalid', `failed to parse ${where}`, [error.message]);
  }
  const { author, recipient, content } = decoded;
  if (content.length === 0) throw invalid(`${where} contained no content`);
  const parts = content.map(
    (part): ConversationPart =>
      part.type === 'input_text'
        ? { type: 'text', text: part.text }
        : { type: 'encoded', label: 'encrypted_content', value: part.encrypted_content },
  );
  return { parts, agentMessage: { author, recipient } };
}

function reasoningParts(item: Json, payloadId: string): ConversationPart[] {
  const where = `reasoning item in payload ${payloadId}`;
  const parts: ConversationPart[] = [];
  for (const thought of reasoningTexts(item, 'content', ['reasoning_text', 'text'], where)) {
    parts.push({ type: 'text', text: thought });
  }
  for (const thought of reasoningTexts(item, 'summary', ['summary_text'], where)) {
    parts.push({ type: 'summary', text: thought });
  }
  const encrypted = member(item, 'encrypted_content') ?? null;
  if (typeof encrypted === 'string') {
    parts.push({ type: 'encoded', label: 'encrypted_content', value: encrypted });
  } else if (encrypted !== null) {
    throw invalid(`${where} had non-string encrypted_content`);
  }
  if (parts.length === 0) {
    throw invalid(`${where} contained no content, summary, or encrypted_content`);
  }
  return parts;
}

function reasoningTexts(
  item: Json,
  key: 'content' | 'summary',
  types: readonly string[],
  where: string,
): string[] {
  const entries = member(item, key);
  if (entries === undefined || (entries === null && key === 'content')) return [];
  if (!Array.isArray(entries)) throw invalid(`${where} had non-array ${key}`);
  return entries.map((entry) => {
    const type = asString(member(entry, 'type'));
    if (type === undefined) throw invalid(`${where} had ${key} entry without string type`);
    if (!types.includes(type)) throw invalid(`${where} had unsupported ${key} type ${type}`);
    const thought = asString(member(entry, 'text'));
    if (thought === undefined) throw invalid(`${where} had ${key} entry without string text`);
    return thought;
  });
}

function argumentParts(value: Json | undefined, payloadId: string): ConversationPart[] {
  if (value === undefined) return [unhashedPart('payload', payloadId)];
  if (typeof value !== 'string') return [jsonPart(value, payloadId)];
  const parsed = tryParse(value);
  return [parsed === undefined ? { type: 'text', text: value } : jsonPart(parsed, payloadId)];
}

function customCallParts(item: Json, payloadId: string, schema: Schema): ConversationPart[] {
  const input = asString(member(item, 'input'));
  if (input === undefined) return [wholePart(item, payloadId, schema)];
  if (asString(member(item, 'name')) !== 'exec') return [{ type: 'text', text: input }];
  return [{ type: 'code', language: 'javascript', source: input }];
}

function outputParts(output: Json | undefined, payloadId: string, schema: Schema): ConversationPart[] {
  if (output === undefined) return [unhashedPart('tool_output', payloadId)];
  if (typeof output === 'string') return [{ type: 'text', text: output }];
  return Array.isArray(output) ? contentParts(output, payloadId, schema) : [jsonPart(output, payloadId)];
}

function compactionPart(item: Json, payloadId: string): ConversationPart {
  const value = asString(member(item, 'encrypted_content'));
  if (value === undefined) {
    throw invalid(`compaction item in payload ${payloadId} did not contain string encrypted_content`);
  }
  return { type: 'encoded', label: 'encrypted_content', value };
}

function jsonPart(value: Json, payloadId: string): ConversationPart {
  return { type: 'json', summary: cut(compactJson(value)), raw_payload_id: payloadId };
}

/** An item that is kept as it is. What Codex adds to it for itself, often in one payload only, is none of it. */
function wholePart(item: Json, payloadId: string, schema: Schema): ConversationPart {
  if (schema.readsPassthrough || !(item instanceof Map) || !item.has(PASSTHROUGH)) {
    return jsonPart(item, payloadId);
  }
  const own = new Map(item);
  own.delete(PASSTHROUGH);
  return jsonPart(own, payloadId);
}

function unhashedPart(label: string, payloadId: string): ConversationPart {
  return { type: 'payload_ref', label, raw_payload_id: payloadId };
}

function cut(json: string): string {
  // No character takes less than a byte or more than three per unit: most texts need no encoding.
  if (3 * json.length <= MAX_JSON_SUMMARY_BYTES) return json;
  const bytes = Buffer.from(json.slice(0, MAX_JSON_SUMMARY_BYTES + 1));
  if (bytes.length <= MAX_JSON_SUMMARY_BYTES) return json;
  let end = MAX_JSON_SUMMARY_BYTES;
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return `${bytes.toString('utf8', 0, end)}...`;
}

function tryParse(json: string): Json | undefined {
  try {
    return parseJson(Buffer.from(json));
  } catch (error) {
    if (error instanceof JsonSyntaxError) return undefined;
    throw error;
  }
}

function invalid(what: string): Rejection {
  return new Rejection('model-item-invalid', what);
}
