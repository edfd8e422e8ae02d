// Parses the request payloads of conversations. A request repeats the one before it: the items of its input up to the
// new ones, and the tools behind the input. What it repeats byte for byte is neither parsed nor built again.
//
// Only success is taken from this shorter way. Whatever it cannot read goes the whole way, and is refused there.

import { type JsonMember, parseJsonMembers } from './json-parser.js';
import { JsonSyntaxError } from './json-scanner.js';
import type { Json, JsonObject } from './json-value.js';

/** All that a request is read for; the tools and instructions in it stay unparsed. */
const MEMBERS: ReadonlySet<string> = new Set(['input', 'previous_response_id']);

/** The last requests of that many bytes together are kept, or the last one. */
const MAX_KNOWN_BYTES = 32 * 1024 * 1024;

/** What makes JSON of the rest of a request. */
const OPENING = Buffer.from('{"input":[{}');
const CLOSING = Buffer.from('}');
const NOTHING = Buffer.alloc(0);

/** A request that was read: an object with an array `input`. */
interface Request {
  before: JsonObject;
  items: Json[];
  /** Where the items end, as far as they are objects: nothing that follows can make an object longer. */
  itemEnds: number[];
  inputEnd: number;
  /** The members behind it; should `input` come twice, the last counts. */
  after: JsonObject;
}

interface KnownRequest extends Request {
  /** Its text is the first `length` bytes. */
  bytes: Buffer;
  length: number;
}

/** What a text shares with a known one: its first `items` items, and all from `stop` on. */
interface Shared {
  known: KnownRequest;
  items: number;
  stop: number;
}

export class RequestParser {
  readonly #known = new Map<string, KnownRequest>();
  #knownBytes = 0;

  /**
   * The members of a request that matter; all of the text when it is no object. Items that are repeated at the same
   * place are the same objects as the last time. Throws JsonSyntaxError.
   *
   * @param conversation requests of the same one are likely to repeat each other.
   */
  parse(conversation: string, bytes: Uint8Array): Json {
    const known = this.#known.get(conversation);
    const short = known === undefined ? undefined : parseRest(bytes, shared(known, bytes));
    if (short !== undefined) {
      this.#remember(conversation, bytes, short);
      return objectOf(short);
    }
    const { value, members } = parseJsonMembers(bytes, MEMBERS);
    const whole = requestOf(members);
    if (whole !== undefined) this.#remember(conversation, bytes, whole);
    return value;
  }

  #remember(conversation: string, bytes: Uint8Array, request: Request): void {
    const last = this.#known.get(conversation);
    this.#known.delete(conversation);
    let copy = last?.bytes;
    if (copy === undefined || copy.length < bytes.length) {
      this.#knownBytes -= copy?.length ?? 0;
      // Requests grow with their conversation.
      copy = Buffer.allocUnsafeSlow(Math.ceil(bytes.length * 1.25));
      this.#knownBytes += copy.length;
    }
    copy.set(bytes);
    this.#known.set(conversation, { bytes: copy, length: bytes.length, ...request });
    for (const [oldest, { bytes: kept }] of this.#known) {
      if (this.#knownBytes <= MAX_KNOWN_BYTES || oldest === conversation) break;
      this.#known.delete(oldest);
      this.#knownBytes -= kept.length;
    }
  }
}

function shared(known: KnownRequest, bytes: Uint8Array): Shared {
  const { itemEnds } = known;
  const same = (from: number, to: number) =>
    to <= bytes.length && known.bytes.compare(bytes, from, to, from, to) === 0;
  // Mostly all of them; otherwise each comparison halves what is left.
  let items = same(0, itemEnds.at(-1) ?? 0) ? itemEnds.length : 0;
  for (let beyond = itemEnds.length; items < beyond; ) {
    const middle = (items + beyond + 1) >> 1;
    if (same(itemEnds[items - 1] ?? 0, itemEnds[middle - 1] ?? 0)) items = middle;
    else beyond = middle - 1;
  }
  const tail = known.bytes.subarray(known.inputEnd, known.length);
  const stop = bytes.length - tail.length;
  const ends = stop >= (itemEnds[items - 1] ?? 0) && tail.equals(bytes.subarray(stop));
  return { known, items, stop: ends ? stop : bytes.length };
}

/** Parses what is not shared, with an empty item in place of the shared ones and an end in place of the shared end. */
function parseRest(bytes: Uint8Array, { known, items, stop }: Shared): Request | undefined {
  const start = known.itemEnds[items - 1] ?? 0;
  if (start === 0 && stop === bytes.length) return undefined;
  const opening = start === 0 ? NOTHING : OPENING;
  const closing = stop === bytes.length ? NOTHING : CLOSING;
  const text = Buffer.concat([opening, bytes.subarray(start, stop), closing]);
  const rest = requestOf(tryMembers(text) ?? []);
  if (rest === undefined) return undefined;
  // The known text goes on behind the input, and so must this one.
  if (closing === CLOSING && rest.inputEnd !== text.length - 1) return undefined;
  const shift = start - opening.length;
  const itemEnds = rest.itemEnds.slice(start === 0 ? 0 : 1).map((end) => end + shift);
  return {
    before: start === 0 ? rest.before : known.before,
    items: start === 0 ? rest.items : [...known.items.slice(0, items), ...rest.items.slice(1)],
    itemEnds: start === 0 ? itemEnds : [...known.itemEnds.slice(0, items), ...itemEnds],
    inputEnd: rest.inputEnd + shift,
    after: closing === NOTHING ? rest.after : known.after,
  };
}

function tryMembers(bytes: Uint8Array): JsonMember[] | undefined {
  try {
    return parseJsonMembers(bytes, MEMBERS).members;
  } catch (error) {
    if (error instanceof JsonSyntaxError) return undefined;
    throw error;
  }
}

function requestOf(members: readonly JsonMember[]): Request | undefined {
  const place = members.findIndex(({ key }) => key === 'input');
  const input = members[place];
  if (input === undefined || !Array.isArray(input.value)) return undefined;
  const items = input.value;
  const objects = items.findIndex((item) => !(item instanceof Map));
  return {
    before: toObject(members.slice(0, place)),
    items,
    itemEnds: objects === -1 ? input.itemEnds : input.itemEnds.slice(0, objects),
    inputEnd: input.end,
    after: toObject(members.slice(place + 1)),
  };
}

function toObject(members: readonly JsonMember[]): JsonObject {
  return new Map(members.map(({ key, value }) => [key, value]));
}

function objectOf({ before, items, after }: Request): JsonObject {
  return new Map<string, Json>([...before, ['input', items], ...after]);
}
