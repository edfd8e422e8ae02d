// JSON text straight into a type, as the reference reads it: the first fault in the order of the text decides,
// with its position. Types are typed-json.ts, syntax is json-parser.ts.

import { type JsonMember, parseJsonMembers } from './json-parser.js';
import { JsonSyntaxError, jsonPosition } from './json-scanner.js';
import type { Json } from './json-value.js';
import { type Decode, mayBeMissing, mismatch, type Shape, TypeMismatch, text } from './typed-json.js';

const WHITE_SPACE: readonly number[] = [9, 10, 13, 32];
const OPEN_BRACKET = 91;
const CLOSE_BRACKET = 93;
const CLOSE_BRACE = 125;

/** A text that is no JSON, or JSON of another type; `message` ends in ` at line L column C`. */
export class JsonTextError extends Error {}

export interface TextRules {
  /** Where a fault in the value of a member is noticed; by default what serde_json does with a string. */
  faultAt?: (member: JsonMember, error: TypeMismatch) => number;
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
  { faultAt = faultEnd }: TextRules = {},
): T {
  const fail = (fault: string, at: number) =>
    new JsonTextError(`${fault} at ${jsonPosition(bytes, Math.min(at, bytes.length))}`);
  const names = Object.keys(shape);
  const decoders: Readonly<Record<string, Decode<unknown>>> = { ...shape };
  const found: Record<string, unknown> = {};
  const read = (member: JsonMember) => {
    const decode = Object.hasOwn(decoders, member.key) ? decoders[member.key] : undefined;
    if (decode === undefined) return;
    if (Object.hasOwn(found, member.key)) {
      throw fail(`duplicate field \`${member.key}\``, afterObject(bytes, member.keyEnd));
    }
    try {
      found[member.key] = decode(member.value, member.key, 'text');
    } catch (error) {
      if (!(error instanceof TypeMismatch)) throw error;
      throw fail(error.message, faultAt(member, error));
    }
  };
  const { value, members, end, error } = parse(bytes);
  if (bytes[afterSpace(bytes, 0)] === OPEN_BRACKET) {
    for (const [index, key] of names.entries()) {
      const element = members[index];
      if (element !== undefined) read({ ...element, key });
    }
    const last = members[names.length - 1];
    if (last !== undefined && members.length > names.length) {
      const comma = afterSpace(bytes, last.end);
      throw fail('trailing characters', afterSpace(bytes, comma + 1) + 1);
    }
  } else {
    for (const member of members) read(member);
  }
  if (error !== undefined) throw new JsonTextError(error.message);
  if (Array.isArray(value)) {
    const index = names.findIndex(
      (name, at) => at >= value.length && !mayBeMissing.has(decoders[name] ?? text),
    );
    const count = names.length === 1 ? '1 element' : `${names.length} elements`;
    if (index !== -1) throw fail(`invalid length ${index}, expected ${what} with ${count}`, end);
  } else if (!(value instanceof Map)) {
    throw fail(mismatch(value, '', what, 'text').message, end);
  }
  const result: Record<string, unknown> = {};
  for (const name of names) {
    try {
      result[name] = Object.hasOwn(found, name) ? found[name] : decoders[name]?.(undefined, name, 'text');
    } catch (error) {
      if (!(error instanceof TypeMismatch)) throw error;
      throw fail(error.message, end);
    }
  }
  // Every key of T was decoded by the decoder of its type.
  return result as T;
}

interface Parsed {
  value: Json;
  members: JsonMember[];
  end: number;
  error?: JsonSyntaxError;
}

/** Parses the text. A fault of the syntax is given back with the members before it: those are looked at first. */
function parse(bytes: Uint8Array): Parsed {
  const members: JsonMember[] = [];
  try {
    return parseJsonMembers(bytes, members);
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    return { value: null, members, end: bytes.length, error };
  }
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
export function faultEnd({ value, start, end }: Pick<JsonMember, 'value' | 'start' | 'end'>): number {
  return Array.isArray(value) || value instanceof Map ? start : end;
}
