// What a Responses item says, in the terms of the reduced state, and when two items say the same.

import { createHash } from 'node:crypto';
import type {
  AgentMessage,
  ConversationChannel,
  ConversationItemKind,
  ConversationPart,
  ConversationRole,
} from './state.js';

export interface NormalizedItem {
  /** The item's `id` on the wire. */
  responsesItemId: string | undefined;
  role: ConversationRole;
  channel: ConversationChannel | null;
  kind: ConversationItemKind;
  agentMessage: AgentMessage | undefined;
  parts: ConversationPart[];
  callId: string | null;
  /** Equal for two items exactly when they say the same; the wire id is not part of it. */
  content: string;
}

/** Longer identities are replaced by their hash: they are kept for every item. */
const MAX_PLAIN_IDENTITY = 256;

/**
 * What makes two sightings the same item. Of JSON only the summary counts, of a payload its hash where it
 * has one, and of reasoning the encrypted form where there is one: requests often repeat nothing else.
 */
export function contentOf(item: Omit<NormalizedItem, 'responsesItemId' | 'content'>): string {
  const { role, channel, kind, parts, callId, agentMessage } = item;
  const encoded = kind === 'reasoning' ? parts.find(({ type }) => type === 'encoded') : undefined;
  const identities = (encoded === undefined ? parts : [encoded]).map((part) => {
    if (part.type === 'json') return ['json', part.summary];
    if (part.type !== 'payload_ref') return Object.values(part);
    return [
      'payload_ref',
      part.label,
      part.content_sha256 ?? '',
      part.content_sha256 === undefined ? part.raw_payload_id : '',
    ];
  });
  const identity = JSON.stringify([
    role,
    channel,
    kind,
    callId,
    agentMessage === undefined ? null : [agentMessage.author, agentMessage.recipient],
    identities,
  ]);
  return identity.length <= MAX_PLAIN_IDENTITY
    ? identity
    : createHash('sha256').update(identity).digest('base64');
}

/** Whether what an item says depends on the payload that it came in. */
export function refersToPayload({ parts }: NormalizedItem): boolean {
  return parts.some((part) => part.type === 'payload_ref' && part.content_sha256 === undefined);
}

/** The same item in another payload: what it says stays, but for parts that only refer to their payload. */
export function inPayload(item: NormalizedItem, payloadId: string): NormalizedItem {
  if (!item.parts.some((part) => 'raw_payload_id' in part && part.raw_payload_id !== payloadId)) return item;
  const parts = item.parts.map((part) =>
    'raw_payload_id' in part ? { ...part, raw_payload_id: payloadId } : part,
  );
  return { ...item, parts, content: refersToPayload(item) ? contentOf({ ...item, parts }) : item.content };
}
