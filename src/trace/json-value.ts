// JSON values that lose nothing: numbers keep their text, objects keep the order of their keys (also of
// "2" before "1"). Owns the types, small accessors and compact text; reading is json-parser.ts.

/** A number as it was written, with the exponent in the form `1e+3`. */
export class JsonNumber {
  constructor(readonly text: string) {}
}

/** What `-0` is read as. It says what `0` says, but to an integer type of the reference it is a float. */
export const NEGATIVE_ZERO = new JsonNumber('0');

export type JsonObject = Map<string, Json>;
export type Json = null | boolean | string | JsonNumber | Json[] | JsonObject;

/** An integer of JSON: a bigint where a number would round it. */
export type Integer = number | bigint;

/** What JSON.parse gave, with its numbers as JavaScript writes them. What is no JSON is null. */
export function fromPlain(value: unknown): Json {
  if (typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number') return new JsonNumber(String(value));
  if (Array.isArray(value)) return value.map(fromPlain);
  if (typeof value !== 'object' || value === null) return null;
  return new Map(Object.entries(value).map(([key, member]) => [key, fromPlain(member)]));
}

/** Objects in whose text keys are repeated, with all members as they are written. */
const repeats = new WeakMap<JsonObject, [string, Json][]>();

export function noteRepeats(object: JsonObject, written: [string, Json][]): void {
  repeats.set(object, written);
}

/** The members of an object, with those that its text repeats when that was noted. */
export function writtenMembers(object: JsonObject): [string, Json][] {
  return repeats.get(object) ?? [...object];
}

/** The member `key` of an object; undefined when `value` is no object or has no such member. */
export function member(value: Json | undefined, key: string): Json | undefined {
  return value instanceof Map ? value.get(key) : undefined;
}

export function asString(value: Json | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

export function asArray(value: Json | undefined): Json[] | undefined {
  return Array.isArray(value) ? value : undefined;
}

const INTEGER = /^-?\d+$/;

/** The value as an integer, or undefined when it is none (`1.0` and `1e3` are not). */
export function asInteger(value: Json | undefined): Integer | undefined {
  if (!(value instanceof JsonNumber) || !INTEGER.test(value.text)) return undefined;
  const number = Number(value.text);
  return Number.isSafeInteger(number) ? number : BigInt(value.text);
}

/** Compact JSON text, keys in their own order. */
export function compactJson(value: Json): string {
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'string') return JSON.stringify(value);
  if (value instanceof JsonNumber) return value.text;
  if (Array.isArray(value)) return `[${value.map(compactJson).join(',')}]`;
  return compactObject(value, [...value.keys()], compactJson);
}

/** Compact JSON text with the keys of every object sorted by their UTF-8 bytes. */
export function sortedJson(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(sortedJson).join(',')}]`;
  if (value instanceof Map) return compactObject(value, sortByUtf8([...value.keys()]), sortedJson);
  return compactJson(value);
}

function compactObject(object: JsonObject, keys: string[], text: (value: Json) => string): string {
  const members = keys.map((key) => `${JSON.stringify(key)}:${text(object.get(key) ?? null)}`);
  return `{${members.join(',')}}`;
}

const SURROGATE = /[\ud800-\udfff]/;

/** Sorts strings by their UTF-8 bytes, in place: in one native step where that is JavaScript's order. */
export function sortByUtf8(strings: string[]): string[] {
  return strings.some((text) => SURROGATE.test(text)) ? strings.sort(compareUtf8) : strings.sort();
}

/** Orders strings by their UTF-8 bytes, which differs from JavaScript's order above U+FFFF. */
export function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const left = a.charCodeAt(i);
    const right = b.charCodeAt(i);
    if (left === right) continue;
    const leftSurrogate = left >= 0xd800 && left <= 0xdfff;
    const rightSurrogate = right >= 0xd800 && right <= 0xdfff;
    if (leftSurrogate !== rightSurrogate) return leftSurrogate ? 1 : -1;
    return left - right;
  }
  return a.length - b.length;
}
