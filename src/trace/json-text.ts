// JSON text straight into a type, as the reference reads it: the first fault in the order of the text decides,
// with its position. Types are typed-json.ts, syntax is json-parser.ts.

import { type JsonMember, type MemberReader, readJsonMembers } from './json-parser.js';
import { JsonSyntaxError, jsonPosition } from './json-scanner.js';
import type { Json } from './json-value.js';
import {
  anyJson,
  type Decode,
  mayBeMissing,
  mismatch,
  repeated,
  type Shape,
  TypeMismatch,
  text,
  WrongType,
} from './typed-json.js';

const WHITE_SPACE: readonly number[] = [9, 10, 13, 32];
const CLOSE_BRACKET = 93;
const CLOSE_BRACE = 125;

/** A text that is no JSON, or JSON of another type; `message` ends in ` at line L column C`. */
export class JsonTextError extends Error {
  constructor(
    message: string,
    /** Whether a member is wrong, rather than the text or what is missing in it. */
    readonly ofMember = false,
  ) {
    super(message);
  }
}

export type Place = Pick<JsonMember, 'value' | 'start' | 'end'>;

export interface TextRules {
  /** Where a fault in the value of a member is noticed; by default what serde_json does with a string. */
  faultAt?: (key: string, place: Place) => number;
  /** Told where an array or object that is a member starts. */
  onOpen?: (key: string, start: number) => void;
  /** Whether other members are only passed over, as the reference does with a type of its own. */
  lenient?: boolean;
  /** Where the text starts. */
  start?: number;
  /** The text is read from a file: the reference is a byte ahead of it, except past a string or a word. */
  fromFile?: boolean;
}

/**
 * Decodes an object with the members of `shape`, others being ignored, or an array of them in order. Throws
 * JsonTextError.
 *
 * @param what as the reference names the type: `struct Name`.
 */
export function decodeText<T extends object>(
  bytes: Uint8Array,
  what: string,
  shape: Shape<T>,
  rules: TextRules = {},
): T {
  const { onOpen, lenient = true, start: from = 0, fromFile = false } = rules;
  const ahead = ({ value }: Place) => (fromFile && typeof value === 'object' && value !== null ? 1 : 0);
  const { faultAt = (_, place) => faultEnd(place) + ahead(place) } = rules;
  const fail = (fault: string, at: number, ofMember = false) =>
    new JsonTextError(`${fault} at ${jsonPosition(bytes, Math.min(at, bytes.length))}`, ofMember);
  const names = Object.keys(shape);
  const decoders: Readonly<Record<string, Decode<unknown>>> = { ...shape };
  const found: Record<string, unknown> = {};
  let elements = 0;
  let name = '';
  /** The array or object that is being read, empty. */
  let open: Place | undefined;
  const isWrongType = (empty: Json) => {
    try {
      decoders[name]?.(empty, name, 'text');
    } catch (error) {
      return error instanceof WrongType;
    }
    return false;
  };
  const reader: MemberReader = {
    lenient,
    fromFile,
    wants(key, at) {
      const next = key ?? names[elements++];
      if (next === undefined) throw fail('trailing characters', at + 1);
      name = next;
      if (!Object.hasOwn(decoders, name)) return false;
      if (!Object.hasOwn(found, name)) return decoders[name] === anyJson ? 'any' : true;
      const seen = fromFile ? afterSpace(bytes, at) + 1 : afterObject(bytes, at);
      throw fail(repeated(name).message, seen, true);
    },
    opens(start, empty) {
      open = { value: empty, start, end: start };
      onOpen?.(name, start);
    },
    read(member) {
      open = undefined;
      try {
        found[name] = decoders[name]?.(member.value, name, 'text');
      } catch (error) {
        if (!(error instanceof TypeMismatch)) throw error;
        throw fail(error.message, faultAt(name, member), true);
      }
    },
  };
  let value: Json;
  let end: number;
  try {
    ({ value, end } = readJsonMembers(bytes, reader, from));
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    // The reference does not read on into an array or object that cannot be right.
    if (open !== undefined && isWrongType(open.value)) reader.read({ ...open, key: name, itemEnds: [] });
    throw new JsonTextError(error.message);
  }
  if (Array.isArray(value)) {
    const index = names.findIndex(
      (key, at) => at >= value.length && !mayBeMissing.has(decoders[key] ?? text),
    );
    const count = names.length === 1 ? '1 element' : `${names.length} elements`;
    if (index !== -1) throw fail(`invalid length ${index}, expected ${what} with ${count}`, end);
  } else if (!(value instanceof Map)) {
    throw fail(mismatch(value, '', what, 'text').message, end);
  }
  const result: Record<string, unknown> = {};
  for (const key of names) {
    try {
      result[key] = Object.hasOwn(found, key) ? found[key] : decoders[key]?.(undefined, key, 'text');
    } catch (error) {
      if (!(error instanceof TypeMismatch)) throw error;
      throw fail(error.message, end);
    }
  }
  // Every key of T was decoded by the decoder of its type.
  return result as T;
}

/** Where the reference is once it has given up on an object after `end`: past white space and the closing brace. */
export function afterObject(bytes: Uint8Array, end: number): number {
  const after = afterSpace(bytes, end);
  return bytes[after] === CLOSE_BRACE || bytes[after] === CLOSE_BRACKET ? after + 1 : after;
}

function afterSpace(bytes: Uint8Array, at: number): number {
  let after = at;
  while (WHITE_SPACE.includes(bytes[after] ?? 0)) after++;
  return after;
}

/** The reference does not read on into an array or object that cannot be right. */
export function faultEnd({ value, start, end }: Place): number {
  return Array.isArray(value) || value instanceof Map ? start : end;
}
