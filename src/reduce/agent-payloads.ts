// What Codex records when one agent acts on another: the shapes of those payloads, for both generations of
// its multi-agent tools, and of the messages that arrive.

import { JsonSyntaxError, jsonPosition, parseJson, parseJsonMembers } from '../trace/json-parser.js';
import { type Json, member } from '../trace/json-value.js';
import {
  type Decode,
  defaulted,
  i64,
  list,
  mismatch,
  optional,
  struct,
  TypeMismatch,
  text,
  variant,
} from '../trace/typed-json.js';
import type { ConversationItem } from './state.js';
import { canonicalUuid, uuidFault } from './uuid.js';

/** A thread id, in the lower-case form with hyphens. */
const threadId: Decode<string> = (value, name) => {
  const written = text(value, name);
  const id = canonicalUuid(written);
  if (id === undefined) throw new TypeMismatch(uuidFault(written));
  return id;
};

/** `/root`, `/root/a/b` or `/morpheus`. */
const agentPath: Decode<string> = (value, name) => {
  const path = text(value, name);
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

/** A status is a word, or an object whose one key is the word. */
const agentStatus: Decode<string> = (value, name) => {
  const key = value instanceof Map && value.size === 1 ? [...value.keys()][0] : value;
  return variant(AGENT_STATUSES)(key, name);
};

const call = { call_id: text, sender_thread_id: threadId };
const started = { started_at_ms: defaulted(i64, 0) };
const completed = { completed_at_ms: defaulted(i64, 0), status: agentStatus };
const receiver = { receiver_thread_id: threadId };
const receiverName = { receiver_agent_nickname: optional(text), receiver_agent_role: optional(text) };

export const spawnEndShape = struct('struct CollabAgentSpawnEndEvent', {
  ...call,
  ...completed,
  new_thread_id: optional(threadId),
  new_agent_nickname: optional(text),
  new_agent_role: optional(text),
  prompt: text,
  model: text,
  reasoning_effort: text,
});
export const messageBeginShape = struct('struct CollabAgentInteractionBeginEvent', {
  ...call,
  ...started,
  ...receiver,
  prompt: text,
});
export const messageEndShape = struct('struct CollabAgentInteractionEndEvent', {
  ...call,
  ...completed,
  ...receiver,
  ...receiverName,
  prompt: text,
});
export const closeBeginShape = struct('struct CollabCloseBeginEvent', { ...call, ...started, ...receiver });
export const closeEndShape = struct('struct CollabCloseEndEvent', {
  ...call,
  ...completed,
  ...receiver,
  ...receiverName,
});

export const activityShape = struct('struct SubAgentActivityEvent', {
  model: optional(text),
  reasoning_effort: optional(text),
  event_id: text,
  occurred_at_ms: defaulted(i64, 0),
  agent_thread_id: threadId,
  agent_path: agentPath,
  kind: variant(['started', 'interacted', 'interrupted', 'completed']),
});

/**
 * The `message` that a model passed to a tool that addresses an agent; undefined when the invocation has no
 * arguments. Throws TypeMismatch or JsonSyntaxError when the arguments are no object with a message.
 */
export function messageArgument(invocation: Json): string | undefined {
  const written = member(member(invocation, 'payload'), 'arguments');
  if (typeof written !== 'string') return undefined;
  const bytes = Buffer.from(written);
  const { value, members, end } = parseJsonMembers(bytes);
  const field = members.find(({ key }) => key === 'message');
  try {
    if (!(value instanceof Map)) throw mismatch(value, '', 'a map');
    return text(field?.value, 'message');
  } catch (error) {
    if (!(error instanceof TypeMismatch)) throw error;
    throw new TypeMismatch(`${error.message} at ${jsonPosition(bytes, field?.end ?? end)}`);
  }
}

/** A message between agents as its recipient was shown it. */
export interface Delivery {
  author: string;
  recipient: string;
  message: string;
}

const communicationShape = struct('struct InterAgentCommunication', {
  author: agentPath,
  recipient: agentPath,
  other_recipients: defaulted(list(agentPath), []),
  content: text,
  encrypted_content: optional(text),
  trigger_turn: (value, name) => {
    if (typeof value === 'boolean') return value;
    throw mismatch(value, name, 'a boolean');
  },
});

/** The delivery that an item is: a message between agents, or the older form, JSON in an assistant's message. */
export function deliveryOf(item: ConversationItem): Delivery | undefined {
  if (item.role !== 'assistant' || item.kind !== 'message') return undefined;
  const [first, second, ...more] = item.body.parts;
  if (first === undefined || more.length > 0) return undefined;
  if (item.agent_message !== undefined) {
    const content = second ?? first;
    if (second !== undefined && (first.type !== 'text' || second.type !== 'encoded')) return undefined;
    if (content.type === 'text') return { ...item.agent_message, message: content.text };
    return content.type === 'encoded' ? { ...item.agent_message, message: content.value } : undefined;
  }
  if (second !== undefined || first.type !== 'text' || !/^\s*\{/.test(first.text)) return undefined;
  try {
    const { author, recipient, content, encrypted_content } = communicationShape(
      parseJson(Buffer.from(first.text)),
      '',
    );
    return { author, recipient, message: encrypted_content ?? content };
  } catch (error) {
    if (error instanceof TypeMismatch || error instanceof JsonSyntaxError) return undefined;
    throw error;
  }
}
