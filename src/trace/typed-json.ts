// Turns JSON values into the types that the bundle format prescribes, with the words of the reference when
// a value has another type. Positions are json-text.ts, or the caller's.

import {
  asInteger,
  type Integer,
  type Json,
  JsonNumber,
  NEGATIVE_ZERO,
  writtenMembers,
} from './json-value.js';
import { floatText, isWhole, wideType, writtenFloat } from './number-kind.js';

/** A value of the wrong type, a missing member or an unknown variant; the message has no position. */
export class TypeMismatch extends Error {}

/** A value of the wrong type, whatever is in it. */
export class WrongType extends TypeMismatch {}

/**
 * Where the reference has a value from, which decides how it describes one that is wrong: straight from JSON text,
 * from the members of a tagged value in JSON text, from a value that it has read before, or from the members of a
 * tagged value in such a one.
 */
export type Source = 'text' | 'tagged text' | 'value' | 'tagged value';

const taggedIn = (source: Source = 'value') => (source.endsWith('text') ? 'tagged text' : 'tagged value');

/** Reads a member; `undefined` stands for a missing one. */
export type Decode<T> = (value: Json | undefined, name: string, source?: Source) => T;

export const text: Decode<string> = (value, name, source) => {
  if (typeof value === 'string') return value;
  throw mismatch(value, name, 'a string', source);
};

export const boolean: Decode<boolean> = (value, name, source) => {
  if (typeof value === 'boolean') return value;
  throw mismatch(value, name, 'a boolean', source);
};

const integer =
  (type: string, min: bigint, max: bigint): Decode<Integer> =>
  (value, name, source = 'value') => {
    if (value === NEGATIVE_ZERO && source === 'text') {
      throw new TypeMismatch(`invalid type: ${float('-0.0')}, expected ${type}`);
    }
    const number = asInteger(value);
    if (number !== undefined && number >= min && number <= max) return number;
    if (!(value instanceof JsonNumber)) throw mismatch(value, name, type, source);
    if (source === 'value') throw new TypeMismatch('invalid number');
    if (isWhole(value)) throw new TypeMismatch(`invalid value: integer \`${value.text}\`, expected ${type}`);
    if (source !== 'text') throw mismatch(value, name, type, source);
    const nearest = Number(value.text);
    if (!Number.isFinite(nearest)) throw new TypeMismatch('number out of range');
    throw new TypeMismatch(`invalid type: ${float(writtenFloat(nearest))}, expected ${type}`);
  };

export const u32 = integer('u32', 0n, 0xffff_ffffn);
export const i32 = integer('i32', -0x8000_0000n, 0x7fff_ffffn);
export const u64 = integer('u64', 0n, 0xffff_ffff_ffff_ffffn);
export const i64 = integer('i64', -0x8000_0000_0000_0000n, 0x7fff_ffff_ffff_ffffn);
export const usize = integer('usize', 0n, 0xffff_ffff_ffff_ffffn);

/** Members that an array of them may end before. */
export const mayBeMissing = new WeakSet<Decode<unknown>>();

/** `fallback` for a missing member, but not for null. */
export function defaulted<T>(decode: Decode<T>, fallback: T): Decode<T> {
  const decoder: Decode<T> = (value, name, source) =>
    value === undefined ? fallback : decode(value, name, source);
  mayBeMissing.add(decoder);
  return decoder;
}

/** A number of any size, or a float. */
export const anyNumber: Decode<JsonNumber> = (value, name, source) => {
  if (value instanceof JsonNumber) return value;
  throw mismatch(value, name, 'a JSON number', source);
};

export const anyJson: Decode<Json> = (value, name) => {
  if (value === undefined) throw missing(name);
  return value;
};

/** null for a missing member and for null. */
export const optional =
  <T>(decode: Decode<T>): Decode<T | null> =>
  (value, name, source) =>
    value === undefined || value === null ? null : decode(value, name, source);

export const list =
  <T>(decode: Decode<T>): Decode<T[]> =>
  (value, name, source) => {
    if (Array.isArray(value)) return value.map((item) => decode(item, name, source));
    throw mismatch(value, name, 'a sequence', source);
  };

/**
 * One of the words `names`, or an object with nothing but that word as a key. Words with content, which `contents`
 * decodes, take the second form.
 */
export const variant =
  <T extends string>(
    names: readonly T[],
    contents: Readonly<Record<string, Decode<unknown>>> = {},
  ): Decode<T> =>
  (value, name, source) => {
    if (typeof value === 'string') {
      const found = named(names, value);
      if (!Object.hasOwn(contents, found)) return found;
      throw new TypeMismatch('invalid type: unit variant, expected newtype variant');
    }
    const entries = entriesOf(value, source);
    if (entries === undefined) throw mismatch(value, name, 'string or map', source);
    const [[key, inner] = ['', null], ...more] = entries;
    if (entries.length === 0 || more.length > 0) {
      throw new TypeMismatch('invalid value: map, expected map with a single key');
    }
    const found = named(names, key);
    (contents[found] ?? nothing)(inner, name, source);
    return found;
  };

/** What stands for nothing under the word of a variant without content. */
const nothing: Decode<null> = (value, name, source) => {
  if (value === null || (source?.startsWith('tagged') && value instanceof Map && value.size === 0))
    return null;
  throw mismatch(value, name, 'unit', source);
};

export type Shape<T> = { readonly [K in keyof T]: Decode<T[K]> };

/**
 * An object with the members of `shape`, others being ignored, or an array of them in order.
 *
 * @param what as the reference names it: `struct Name`.
 */
export const struct =
  <T extends object>(what: string, shape: Shape<T>): Decode<T> =>
  (value, name, source) => {
    // Every key of T is decoded by the decoder of its type.
    if (Array.isArray(value)) return elements(value, what, shape, source) as T;
    const entries = entriesOf(value, source);
    if (entries === undefined) throw mismatch(value, name, what, source);
    return members(entries, shape, source) as T;
  };

type Decoders = Readonly<Record<string, Decode<unknown>>>;

/** The word that says which variant an object is. */
export const identifier =
  <T extends string>(names: readonly T[]): Decode<T> =>
  (value, name, source) => {
    if (typeof value === 'string') return named(names, value);
    const counts = source === 'tagged value' || (source === 'tagged text' && value !== NEGATIVE_ZERO);
    const index = counts ? asInteger(value) : undefined;
    if (index === undefined || index < 0) throw mismatch(value, name, 'variant identifier', source);
    const found = names[Number(index)];
    if (found !== undefined) return found;
    if (index > 0xffff_ffff_ffff_ffffn) throw mismatch(value, name, 'variant identifier', source);
    const expected = `variant index 0 <= i < ${names.length}`;
    throw new TypeMismatch(`invalid value: integer \`${index}\`, expected ${expected}`);
  };

/** A member of a tagged value, which the reference sets aside until it has read all of them. */
function setAside(value: Json, source: Source = 'value'): Json {
  if (source !== 'value') return value;
  if (value instanceof Map) return new Map([...value].map(([key, inner]) => [key, setAside(inner)]));
  if (Array.isArray(value)) return value.map((inner) => setAside(inner));
  if (!(value instanceof JsonNumber)) return value;
  if (wideType(value) !== undefined) throw mismatch(value, '', 'any value', 'tagged value');
  const written = isWhole(value) ? undefined : floatText(value);
  return written === undefined ? value : new JsonNumber(written);
}

/** An object whose `type` says which members the rest has, or an array of the type and the rest. */
export const tagged =
  <T extends { type: string }>(what: string, shapes: Readonly<Record<string, Decoders>>): Decode<T> =>
  (value, name, source) => {
    const names = Object.keys(shapes);
    const shapeOf = (type: string) => shapes[type] ?? {};
    const inner = taggedIn(source);
    if (Array.isArray(value)) {
      const [first, ...rest] = value;
      const type = identifier(names)(first, 'type', source);
      const variantName = `struct variant ${what}::${pascalCase(type)}`;
      const aside = rest.map((element) => setAside(element, source));
      // The decoders under a key of `shapes` belong to the variant of that name.
      return { type, ...elements(aside, variantName, shapeOf(type), inner) } as T;
    }
    const entries = entriesOf(value, inner);
    if (entries === undefined) throw mismatch(value, name, `internally tagged enum ${what}`, inner);
    let type: string | undefined;
    const aside: [string, Json][] = [];
    for (const [key, inside] of entries) {
      if (key !== 'type') aside.push([key, setAside(inside, source)]);
      else if (type === undefined) type = identifier(names)(inside, key, source);
      else throw repeated(key);
    }
    if (type === undefined) throw missing('type');
    return { type, ...members(aside, shapeOf(type), inner) } as T;
  };

/** An object whose `type` is one of the words `names`, none of which has content. */
export const adjacentlyTagged =
  <T extends string>(what: string, names: readonly T[]): Decode<{ type: T }> =>
  (value, name, source) => {
    const expected = `adjacently tagged enum ${what}`;
    if (Array.isArray(value)) {
      const [first, content, ...more] = value;
      const type = first === undefined ? undefined : identifier(names)(first, 'type', source);
      if (type === undefined || content === undefined) {
        throw new TypeMismatch(`invalid length ${value.length}, expected ${expected}`);
      }
      nothingUnder(type, content, source);
      if (more.length === 0) return { type };
      throw new TypeMismatch(`invalid length ${value.length}, expected 2 elements in sequence`);
    }
    const entries = entriesOf(value, source);
    if (entries === undefined) throw mismatch(value, name, expected, source);
    const shape = { type: variant(names), value: optional(anyJson) };
    const { type, value: content } = members(entries, shape, source) as { type: T; value: Json };
    nothingUnder(type, content, source);
    return { type };

    function nothingUnder(type: T, content: Json, from: Source | undefined): void {
      if (content === null) return;
      throw mismatch(content, name, `unit variant ${what}::${pascalCase(type)}`, from);
    }
  };

/** The members of an object. Among those of a tagged value, an odd number is an object to the reference. */
function entriesOf(value: Json | undefined, source: Source | undefined): [string, Json][] | undefined {
  if (value instanceof Map) return writtenMembers(value);
  const odd =
    value instanceof JsonNumber && source?.startsWith('tagged') && unexpected(value, source) === 'map';
  return odd ? [[NUMBER_KEY, value.text]] : undefined;
}

/** The key under which serde_json hands on a number that it keeps as text. */
export const NUMBER_KEY = '$serde_json::private::Number';

/** The first bad member in the order of the text decides the message. */
function members(
  entries: readonly [string, Json][],
  decoders: Decoders,
  source: Source | undefined,
): Record<string, unknown> {
  const found = new Map<string, unknown>();
  for (const [key, value] of entries) {
    if (!Object.hasOwn(decoders, key)) continue;
    if (found.has(key)) throw repeated(key);
    found.set(key, decoders[key]?.(value, key, source));
  }
  const result: Record<string, unknown> = {};
  for (const [key, decode] of Object.entries(decoders)) {
    result[key] = found.has(key) ? found.get(key) : decode(undefined, key, source);
  }
  return result;
}

/** The members of an object that is written as an array. */
function elements(
  values: readonly Json[],
  what: string,
  decoders: Decoders,
  source: Source | undefined,
): Record<string, unknown> {
  const entries = Object.entries(decoders);
  const count = entries.length === 1 ? '1 element' : `${entries.length} elements`;
  const result: Record<string, unknown> = {};
  for (const [index, [key, decode]] of entries.entries()) {
    if (index >= values.length && !mayBeMissing.has(decode)) {
      throw new TypeMismatch(`invalid length ${index}, expected ${what} with ${count}`);
    }
    result[key] = decode(values[index], key, source);
  }
  if (values.length <= entries.length) return result;
  const expected = source?.startsWith('tagged') ? `${count} in sequence` : 'fewer elements in array';
  throw new TypeMismatch(`invalid length ${values.length}, expected ${expected}`);
}

function named<T extends string>(names: readonly T[], word: string): T {
  const found = names.find((candidate) => candidate === word);
  if (found !== undefined) return found;
  const quoted = names.map((name) => `\`${name}\``);
  const expected =
    quoted.length <= 2 ? `expected ${quoted.join(' or ')}` : `expected one of ${quoted.join(', ')}`;
  throw new TypeMismatch(`unknown variant \`${word}\`, ${expected}`);
}

function pascalCase(name: string): string {
  return name.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

export function mismatch(
  value: Json | undefined,
  name: string,
  expected: string,
  source: Source = 'value',
): TypeMismatch {
  if (value === undefined) return missing(name);
  return new WrongType(`invalid type: ${unexpected(value, source)}, expected ${expected}`);
}

function missing(name: string): TypeMismatch {
  return new TypeMismatch(`missing field \`${name}\``);
}

export function repeated(name: string): TypeMismatch {
  return new TypeMismatch(`duplicate field \`${name}\``);
}

function unexpected(value: Json, source: Source): string {
  if (value === null) return 'null';
  if (typeof value === 'boolean') return `boolean \`${value}\``;
  if (typeof value === 'string') return `string ${quotedText(value)}`;
  if (Array.isArray(value)) return 'sequence';
  if (!(value instanceof JsonNumber)) return 'map';
  if (source === 'value') return 'number';
  if (isWhole(value)) return `integer \`${value.text}\``;
  if (source === 'text') return 'number';
  if (source === 'tagged text') return 'map';
  const wide = wideType(value);
  if (wide !== undefined) return `integer \`${value.text}\` as ${wide}`;
  const written = floatText(value);
  return written === undefined ? 'map' : float(written);
}

function float(written: string): string {
  return `floating point \`${written}\``;
}

const SHORT_ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\0': '\\0',
  '\t': '\\t',
  '\n': '\\n',
  '\r': '\\r',
};

/** A text in quotes, as Rust prints one for debugging. */
function quotedText(text: string): string {
  const escaped = text.replace(/["\\]|[^ \P{Z}]|\p{C}|\p{Grapheme_Extend}/gu, (character) => {
    return SHORT_ESCAPES[character] ?? `\\u{${character.codePointAt(0)?.toString(16)}}`;
  });
  return `"${escaped}"`;
}
