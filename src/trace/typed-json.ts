// Turns JSON values into the types that the bundle format prescribes, with the words of the reference when
// a value has another type. Positions are the caller's.

import { asInteger, type Integer, type Json, JsonNumber, type JsonObject } from './json-value.js';

/**
 * A value of the wrong type, a missing member or an unknown variant; the message has no position.
 *
 * The reference describes numbers in three ways: `message` is what it says of the members of a tagged value,
 * `ofText` what it says while it reads JSON text, `ofValue` what it says of a value that it has read before.
 */
export class TypeMismatch extends Error {
  constructor(
    message: string,
    readonly ofText = message,
    readonly ofValue = message,
  ) {
    super(message);
  }
}

/** Reads a member; `undefined` stands for a missing one. */
export type Decode<T> = (value: Json | undefined, name: string) => T;

export const text: Decode<string> = (value, name) => {
  if (typeof value === 'string') return value;
  throw mismatch(value, name, 'a string');
};

const integer =
  (type: string, min: bigint, max: bigint): Decode<Integer> =>
  (value, name) => {
    const number = asInteger(value);
    if (number !== undefined && number >= min && number <= max) return number;
    if (!(value instanceof JsonNumber)) throw mismatch(value, name, type);
    const fault = isWhole(value) ? 'value' : 'type';
    const message = `invalid ${fault}: ${unexpected(value)}, expected ${type}`;
    throw new TypeMismatch(message, message, 'invalid number');
  };

export const u32 = integer('u32', 0n, 0xffff_ffffn);
export const i32 = integer('i32', -0x8000_0000n, 0x7fff_ffffn);
export const u64 = integer('u64', 0n, 0xffff_ffff_ffff_ffffn);
export const i64 = integer('i64', -0x8000_0000_0000_0000n, 0x7fff_ffff_ffff_ffffn);
export const usize = integer('usize', 0n, 0xffff_ffff_ffff_ffffn);

/** `fallback` for a missing member, but not for null. */
export const defaulted =
  <T>(decode: Decode<T>, fallback: T): Decode<T> =>
  (value, name) =>
    value === undefined ? fallback : decode(value, name);

export const anyJson: Decode<Json> = (value, name) => {
  if (value === undefined) throw missing(name);
  return value;
};

/** null for a missing member and for null. */
export const optional =
  <T>(decode: Decode<T>): Decode<T | null> =>
  (value, name) =>
    value === undefined || value === null ? null : decode(value, name);

export const list =
  <T>(decode: Decode<T>): Decode<T[]> =>
  (value, name) => {
    if (Array.isArray(value)) return value.map((item) => decode(item, name));
    throw mismatch(value, name, 'a sequence');
  };

/** One of the words `names`. */
export const variant =
  <T extends string>(names: readonly T[], expected = 'string or map'): Decode<T> =>
  (value, name) => {
    if (typeof value !== 'string') throw mismatch(value, name, expected);
    const found = names.find((candidate) => candidate === value);
    if (found === undefined) throw unknownVariant(value, names);
    return found;
  };

export type Shape<T> = { readonly [K in keyof T]: Decode<T[K]> };

/**
 * An object with the members of `shape`, others being ignored, or an array of them in order.
 *
 * @param what as the reference names it: `struct Name`.
 */
export const struct =
  <T extends object>(what: string, shape: Shape<T>): Decode<T> =>
  (value, name) => {
    if (value instanceof Map) return members(value, shape);
    if (!Array.isArray(value)) throw mismatch(value, name, what);
    const keys = Object.keys(shape);
    const object: JsonObject = new Map(
      keys.slice(0, value.length).map((key, index) => [key, value[index] ?? null]),
    );
    const result = members(object, shape);
    if (value.length === keys.length) return result;
    const elements = keys.length === 1 ? '1 element' : `${keys.length} elements`;
    throw new TypeMismatch(`invalid length ${value.length}, expected ${what} with ${elements}`);
  };

/** The word that says which variant an object is. */
const tag = <T extends string>(names: readonly T[]): Decode<T> => variant(names, 'variant identifier');

type Decoders = Readonly<Record<string, Decode<unknown>>>;

/** An object whose `type` says which members the rest has. */
export const tagged =
  <T extends { type: string }>(what: string, shapes: Readonly<Record<string, Decoders>>): Decode<T> =>
  (value, name) => {
    if (!(value instanceof Map)) throw mismatch(value, name, `internally tagged enum ${what}`);
    const type = tag(Object.keys(shapes))(value.get('type'), 'type');
    // The decoders under a key of `shapes` belong to the variant of that name.
    return { type, ...decodeMembers(value, shapes[type] ?? {}) } as T;
  };

/** The members of `shape` in `object`. The first bad one in the order of the text decides the message. */
function members<T extends object>(object: JsonObject, shape: Shape<T>): T {
  // Every key of T was decoded by the decoder of its type.
  return decodeMembers(object, shape) as T;
}

function decodeMembers(object: JsonObject, decoders: Decoders): Record<string, unknown> {
  const found = new Map<string, unknown>();
  for (const [key, value] of object) {
    if (Object.hasOwn(decoders, key)) found.set(key, decoders[key]?.(value, key));
  }
  const result: Record<string, unknown> = {};
  for (const [key, decode] of Object.entries(decoders)) {
    result[key] = found.has(key) ? found.get(key) : decode(undefined, key);
  }
  return result;
}

function unknownVariant(value: string, names: readonly string[]): TypeMismatch {
  const quoted = names.map((name) => `\`${name}\``);
  const expected =
    quoted.length <= 2 ? `expected ${quoted.join(' or ')}` : `expected one of ${quoted.join(', ')}`;
  return new TypeMismatch(`unknown variant \`${value}\`, ${expected}`);
}

export function mismatch(value: Json | undefined, name: string, expected: string): TypeMismatch {
  if (value === undefined) return missing(name);
  const message = (what: string) => `invalid type: ${what}, expected ${expected}`;
  if (!(value instanceof JsonNumber)) return new TypeMismatch(message(unexpected(value)));
  const whole = isWhole(value) ? unexpected(value) : undefined;
  return new TypeMismatch(message(whole ?? 'map'), message(whole ?? 'number'), message('number'));
}

function missing(name: string): TypeMismatch {
  return new TypeMismatch(`missing field \`${name}\``);
}

/** An integer that fits into 64 bits; the reference takes any other number for a float. */
function isWhole(value: JsonNumber): boolean {
  const number = asInteger(value);
  return number !== undefined && number >= -0x8000_0000_0000_0000n && number <= 0xffff_ffff_ffff_ffffn;
}

function unexpected(value: Json): string {
  if (value === null) return 'null';
  if (typeof value === 'boolean') return `boolean \`${value}\``;
  if (typeof value === 'string') return `string ${JSON.stringify(value)}`;
  if (Array.isArray(value)) return 'sequence';
  if (!(value instanceof JsonNumber)) return 'map';
  if (isWhole(value)) return `integer \`${value.text}\``;
  const number = Number(value.text);
  const float = Math.abs(number) >= 1e16 ? number.toExponential() : String(number);
  return `floating point \`${/^-?\d+$/.test(float) ? `${float}.0` : float}\``;
}
