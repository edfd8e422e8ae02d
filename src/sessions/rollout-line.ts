// One line of a rollout file, read as cheaply as its kind allows. Owns the envelope that lines have (and that
// the oldest ones lack); what the kinds mean is rollout-file.ts.
import { countAt, isObject, type JsonObject, objectAt, parseObject, stringAt } from '../interpret/json.js';

export interface RolloutRow {
  kind: 'row';
  type: string;
  timestamp: string | undefined;
  ordinal: number | undefined;
  payload: JsonObject;
}

type RolloutLine =
  | RolloutRow
  /** A sound line of a kind that nobody asked for. */
  | { kind: 'other'; timestamp: string | undefined }
  /** No JSON object. */
  | { kind: 'bad' };

/** Line types that are read; `event_msg` only for the events below. */
const TYPES = new Set(['session_meta', 'turn_context', 'token_usage_record']);
const EVENTS = new Set([
  'task_started',
  'turn_started',
  'task_complete',
  'turn_complete',
  'turn_aborted',
  'token_count',
]);

/** How far into a line its kind is looked for. */
const HEAD_BYTES = 160;
/** What every version since the envelope writes first, in this order and without blanks. */
const HEAD = /^\{"timestamp":"([^"\\]*)",(?:"ordinal":\d+,)?"type":"(\w+)","payload":\{(?:"type":"(\w+)")?/;
const GLUED = Buffer.from('}{"timestamp":"');

/**
 * Reads a line. Most bytes of a rollout are messages and tool outputs, which tell nothing of threads, turns
 * and tokens: those are known by their first bytes and not parsed, only checked for the damage that crashes
 * leave (a cut end, zeros, two lines in one).
 *
 * @param withItems parse `response_item` lines too
 */
export function readLine(bytes: Buffer, isEnded: boolean, withItems: boolean): RolloutLine {
  const head = HEAD.exec(bytes.toString('latin1', 0, Math.min(bytes.length, HEAD_BYTES)));
  if (head !== null && isEnded) {
    const [, timestamp, type = '', event] = head;
    const isRead = TYPES.has(type) || (withItems && type === 'response_item');
    const isEvent = type === 'event_msg' && (event === undefined || EVENTS.has(event));
    if (!isRead && !isEvent && isSound(bytes)) return { kind: 'other', timestamp };
  }
  const row = parseObject(bytes.toString('utf8'));
  if (row === undefined) return { kind: 'bad' };
  const payload = objectAt(row, 'payload');
  if (payload === undefined) return beforeTheEnvelope(row);
  return {
    kind: 'row',
    type: stringAt(row, 'type') ?? '',
    timestamp: stringAt(row, 'timestamp'),
    ordinal: countAt(row, 'ordinal'),
    payload,
  };
}

function isSound(bytes: Buffer): boolean {
  const last = bytes[bytes.length - 1] === 0x0d ? bytes.length - 2 : bytes.length - 1;
  return bytes[last] === 0x7d && !bytes.includes(0) && !bytes.includes(GLUED);
}

/** In 2025 the first line was the bare metadata and the others were bare items, without times. */
function beforeTheEnvelope(row: JsonObject): RolloutLine {
  const type = stringAt(row, 'type');
  const timestamp = stringAt(row, 'timestamp');
  const isMeta = type === undefined && timestamp !== undefined && stringAt(row, 'id') !== undefined;
  if (isMeta) return { kind: 'row', type: 'session_meta', timestamp, ordinal: undefined, payload: row };
  if (type === undefined || 'payload' in row) return { kind: 'other', timestamp };
  return { kind: 'row', type: 'bare_item', timestamp, ordinal: undefined, payload: row };
}

/** Whether an item is what a person said, as opposed to the context that Codex puts in front of it. */
export function isPrompt(item: unknown): boolean {
  if (stringAt(item, 'type') !== 'message' || stringAt(item, 'role') !== 'user') return false;
  const content = isObject(item) && Array.isArray(item.content) ? item.content : [];
  const [first] = content;
  return !/^\s*<(?:environment_context|user_instructions)>/.test(stringAt(first, 'text') ?? '');
}
