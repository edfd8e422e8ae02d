// JSON text straight into a type, as the reference reads it: the first fault in the order of the text decides,
// with its position. Types are typed-json.ts, syntax is json-parser.ts.

import { type JsonMember, JsonSyntaxError, jsonPosition, parseJsonMembers } from './json-parser.js';
import type { Json } from './json-value.js';
import { type Decode, mismatch, type Shape, TypeMismatch } from './typed-json.js';

/** A text that is no JSON, or JSON of another type; `message` ends in ` at line L column C`. */
export class JsonTextError extends Error {}

export interface TextRules {
  /** Where a fault in the value of a member is noticed; by default what serde_json does with a string. */
  faultAt?: (member: JsonMember, error: TypeMismatch) => { what: string; at: number };
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
  { faultAt = faultInText }: TextRules = {},
): T {
  const fail = (fault: string, at: number) =>
    new JsonTextError(`${fault} at ${jsonPosition(bytes, Math.min(at, bytes.length))}`);
  const names = Object.keys(shape);
  const decoders: Readonly<Record<string, Decode<unknown>>> = { ...shape };
  const found: Record<string, unknown> = {};
  const read = (member: JsonMember) => {
    const decode = Object.hasOwn(decoders, member.key) ? decoders[member.key] : undefined;
    if (decode === undefined) return;
    if (Object.hasOwn(found, member.key)) throw fail(`duplicate field \`${member.key}\``, member.keyEnd);
    try {
      found[member.key] = decode(member.value, member.key);
    } catch (error) {
      if (!(error instanceof TypeMismatch)) throw error;
      const { what: fault, at } = faultAt(member, error);
      throw fail(fault, at);
    }
  };
  const { value, end } = parseOr(bytes, read);
  if (Array.isArray(value)) {
    for (const [index, key] of names.slice(0, value.length).entries()) {
      read({ key, value: value[index] ?? null, keyEnd: end, start: end, end, itemEnds: [] });
    }
    if (value.length < names.length) {
      throw fail(`invalid length ${value.length}, expected ${what} with ${names.length} elements`, end);
    }
    if (value.length > names.length) throw fail('trailing characters', end);
  } else if (!(value instanceof Map)) {
    throw fail(mismatch(value, '', what).message, end);
  }
  const result: Record<string, unknown> = {};
  for (const name of names) {
    try {
      result[name] = Object.hasOwn(found, name) ? found[name] : decoders[name]?.(undefined, name);
    } catch (error) {
      if (!(error instanceof TypeMismatch)) throw error;
      throw fail(error.message, end);
    }
  }
  // Every key of T was decoded by the decoder of its type.
  return result as T;
}

/** Parses the text and shows its members to `read`; those before a fault of the syntax as well. */
function parseOr(bytes: Uint8Array, read: (member: JsonMember) => void): { value: Json; end: number } {
  const members: JsonMember[] = [];
  try {
    const { value, end } = parseJsonMembers(bytes, members);
    for (const member of members) read(member);
    return { value, end };
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    for (const member of members) read(member);
    throw new JsonTextError(error.message);
  }
}

function faultInText(member: JsonMember, error: TypeMismatch): { what: string; at: number } {
  return { what: error.ofText, at: faultEnd(member) };
}

/** The reference does not read on into an array or object that cannot be right. */
export function faultEnd({ value, start, end }: Pick<JsonMember, 'value' | 'start' | 'end'>): number {
  return Array.isArray(value) || value instanceof Map ? start : end;
}
