// What Codex records when one agent acts on another: the shapes of those payloads, for both generations of
// its multi-agent tools, and of the messages that arrive.

import { decodeText, JsonTextError } from '../trace/json-text.js';
import { type Json, member } from '../trace/json-value.js';
import {
  anyJson,
  anyNumber,
  boolean,
  type Decode,
  defaulted,
  i64,
  list,
  optional,
  struct,
  TypeMismatch,
  text,
  variant,
} from '../trace/typed-json.js';
import type { Schema } from './schema.js';
import type { ConversationItem } from './state.js';
import { canonicalUuid, uuidFault } from './uuid.js';

/** A thread id, in the lower-case form with hyphens. */
const threadId: Decode<string> = (value, name, source) => {
  const written = text(value, name, source);
  const id = canonicalUuid(written);
  if (id === undefined) throw new TypeMismatch(uuidFault(written));
  return id;
};

/** `/root`, `/root/a/b` or `/morpheus`. */
const agentPath: Decode<string> = (value, name, source) => {
  const path = text(value, name, source);
  const fault = agentPathFault(path);
  if (fault !== undefined) throw new TypeMismatch(fault);
  return path;
};

function agentPathFault(path: string): string | undefined {
  if (path === '/morpheus' || path === '/root') return undefined;
  if (!path.startsWith('/root/')) return 'absolute agent paths must start with `/root` or be `/morpheus`';
  if (path.endsWith('/')) return 'absolute agent path must not end with `/`';
  for (const name of path.split('/').slice(2)) {
    if (name === '') return 'agent_name must not be empty';
    if (name === 'root' || name === '.' || name === '..') return `agent_name \`${name}\` is reserved`;
    if (!/^[a-z0-9_]+$/.test(name)) {
      return 'agent_name must use only lowercase letters, digits, and underscores';
    }
  }
  return undefined;
}

const AGENT_STATUSES = [
  'pending_init',
  'running',
  'interrupted',
  'completed',
  'errored',
  'shutdown',
  'not_found',
] as const;

const agentStatus = variant(AGENT_STATUSES, { completed: optional(text), errored: text });

/** Not what Codex writes, but the reference asks for it. */
const effort: Decode<string> = (value, name, source) => {
  const written = text(value, name, source);
  if (written !== '') return written;
  throw new TypeMismatch('reasoning_effort must not be empty');
};

const sender = { sender_thread_id: threadId };
const started = { call_id: text, started_at_ms: defaulted(i64, 0), ...sender };
const completed = { call_id: text, completed_at_ms: defaulted(i64, 0), ...sender };
const receiver = { receiver_thread_id: threadId };
const maybeText = defaulted(optional(text), null);
const receiverName = { receiver_agent_nickname: maybeText, receiver_agent_role: maybeText };

export const spawnEndShape = struct('struct CollabAgentSpawnEndEvent', {
  ...completed,
  new_thread_id: optional(threadId),
  new_agent_nickname: maybeText,
  new_agent_role: maybeText,
  prompt: text,
  model: text,
  reasoning_effort: effort,
  status: agentStatus,
});
export const messageBeginShape = struct('struct CollabAgentInteractionBeginEvent', {
  ...started,
  ...receiver,
  prompt: text,
});
export const messageEndShape = struct('struct CollabAgentInteractionEndEvent', {
  ...completed,
  ...receiver,
  ...receiverName,
  prompt: text,
  status: agentStatus,
});
export const closeBeginShape = struct('struct CollabCloseBeginEvent', { ...started, ...receiver });
export const closeEndShape = struct('struct CollabCloseEndEvent', {
  ...completed,
  ...receiver,
  ...receiverName,
  status: agentStatus,
});

export const activityShape = ({ activities }: Schema) =>
  struct('struct SubAgentActivityEvent', {
    model: optional(text),
    reasoning_effort: optional(text),
    event_id: text,
    occurred_at_ms: defaulted(i64, 0),
    agent_thread_id: threadId,
    agent_path: agentPath,
    kind: variant(activities),
  });

/**
 * The `message` that a model passed to a tool that addresses an agent; undefined when the invocation has no
 * arguments. Throws JsonTextError when the arguments are no object with a message.
 */
export function messageArgument(invocation: Json): string | undefined {
  const written = member(member(invocation, 'payload'), 'arguments');
  if (typeof written !== 'string') return undefined;
  return decodeText(Buffer.from(written), 'struct AgentMessageInvocationArgs', { message: text }).message;
}

/** A message between agents as its recipient was shown it. */
export interface Delivery {
  author: string;
  recipient: string;
  message: string;
}

const communicationHead = {
  author: agentPath,
  recipient: agentPath,
  other_recipients: defaulted(list(agentPath), []),
  content: text,
  encrypted_content: optional(text),
};
const communicationMembers = { ...communicationHead, trigger_turn: boolean };
const anything = defaulted<Json>(anyJson, null);
/** What Codex adds to items for itself. */
const passthrough = struct('struct InternalChatMessageMetadataPassthrough', {
  turn_id: maybeText,
  create_time: defaulted(optional(anyNumber), null),
  content_token_count: anything,
  content_item_kinds: anything,
  content_item_metadata: anything,
});
const identifiedCommunicationMembers = {
  id: optional(text),
  ...communicationHead,
  internal_chat_message_metadata_passthrough: optional(passthrough),
  trigger_turn: boolean,
};

/**
 * The delivery that an item is: a message between agents, or the older form, JSON in an assistant's message: an object, or
 * an array of its members in order.
 */
export function deliveryOf(item: ConversationItem, schema: Schema): Delivery | undefined {
  if (item.role !== 'assistant' || item.kind !== 'message') return undefined;
  const [first, second, ...more] = item.body.parts;
  if (first === undefined || more.length > 0) return undefined;
  if (item.agent_message !== undefined) {
    const content = second ?? first;
    if (second !== undefined && (first.type !== 'text' || second.type !== 'encoded')) return undefined;
    if (content.type === 'text') return { ...item.agent_message, message: content.text };
    return content.type === 'encoded' ? { ...item.agent_message, message: content.value } : undefined;
  }
  if (second !== undefined || first.type !== 'text' || !/^\s*[[{]/.test(first.text)) return undefined;
  try {
    const { author, recipient, content, encrypted_content } = decodeText(
      Buffer.from(first.text),
      'struct InterAgentCommunication',
      schema.identifiedDeliveries ? identifiedCommunicationMembers : communicationMembers,
    );
    return { author, recipient, message: encrypted_content ?? content };
  } catch (error) {
    if (error instanceof JsonTextError) return undefined;
    throw error;
  }
}
