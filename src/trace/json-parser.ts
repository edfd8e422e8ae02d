// A strict JSON reader over bytes that loses nothing (json-value.ts says what that means). It accepts and
// refuses what serde_json does, which wrote and reads the bundles, with the same message and position.
// It knows nothing of what the JSON means.

import { END, JsonScanner, MINUS, NINE, QUOTE, ZERO } from './json-scanner.js';
import { type Json, type JsonObject, noteRepeatedKey } from './json-value.js';

/** Arrays and objects may be nested this deep; serde_json stops at the same depth. */
export const MAX_JSON_DEPTH = 127;

/** One member of the outermost object, or one element of the outermost array (its key is empty), with its place. */
export interface JsonMember {
  key: string;
  /** Where the key ends, its quote included. */
  keyEnd: number;
  value: Json;
  start: number;
  end: number;
  /** Where each item of an array ends. */
  itemEnds: number[];
}

/** Parses one JSON text. Throws JsonSyntaxError. */
export function parseJson(bytes: Uint8Array): Json {
  return new Parser(bytes).document();
}

/**
 * Parses one JSON text and, when it is an object or array, also tells its members apart (repeated keys included).
 * Throws JsonSyntaxError; `members` then holds those before the fault.
 *
 * @param keep only these members of the outermost object are returned; the others are checked but not built.
 */
export function parseJsonMembers(
  bytes: Uint8Array,
  members: JsonMember[] = [],
  keep?: ReadonlySet<string>,
): { value: Json; members: JsonMember[]; end: number } {
  const parser = new Parser(bytes);
  const value = parser.document(members, keep);
  return { value, members, end: parser.valueEnd };
}

const COMMA = 44;
const COLON = 58;
const OPEN_BRACKET = 91;
const CLOSE_BRACKET = 93;
const OPEN_BRACE = 123;
const CLOSE_BRACE = 125;

class Parser {
  readonly #scanner: JsonScanner;
  #depth = 0;
  valueEnd = 0;

  constructor(bytes: Uint8Array) {
    this.#scanner = new JsonScanner(bytes);
  }

  document(members?: JsonMember[], keep?: ReadonlySet<string>): Json {
    const first = members === undefined ? END : this.#scanner.peek();
    let value: Json;
    if (first === OPEN_BRACE) value = this.#object(true, members, keep);
    else if (first === OPEN_BRACKET) value = this.#array(true, undefined, members);
    else value = this.#value(true);
    this.valueEnd = this.#scanner.at;
    if (this.#scanner.peek() !== END) throw this.#scanner.peekError('trailing characters');
    return value;
  }

  #value(build: boolean): Json {
    const byte = this.#scanner.peek();
    switch (byte) {
      case QUOTE:
        return this.#scanner.string(build);
      case OPEN_BRACE:
        return this.#object(build);
      case OPEN_BRACKET:
        return this.#array(build);
      case 116:
        return this.#scanner.word('true', true);
      case 102:
        return this.#scanner.word('false', false);
      case 110:
        return this.#scanner.word('null', null);
      case END:
        throw this.#scanner.peekError('EOF while parsing a value');
      default:
        if (byte === MINUS || (byte >= ZERO && byte <= NINE)) return this.#scanner.number();
        throw this.#scanner.peekError('expected value');
    }
  }

  #array(build: boolean, ends?: number[], elements?: JsonMember[]): Json[] {
    const scanner = this.#scanner;
    this.#enter();
    const items: Json[] = [];
    for (let first = true; ; first = false) {
      const byte = scanner.peek();
      if (byte === END) throw scanner.peekError('EOF while parsing a list');
      if (byte === CLOSE_BRACKET) break;
      if (!first) {
        if (byte !== COMMA) throw scanner.peekError('expected `,` or `]`');
        scanner.at++;
        if (scanner.peek() === CLOSE_BRACKET) throw scanner.peekError('trailing comma');
      }
      if (elements !== undefined) scanner.peek();
      const start = scanner.at;
      const item = this.#value(build);
      if (build) items.push(item);
      ends?.push(scanner.at);
      elements?.push({ key: '', keyEnd: start, value: item, start, end: scanner.at, itemEnds: [] });
    }
    this.#leave();
    return items;
  }

  #object(build: boolean, members?: JsonMember[], keep?: ReadonlySet<string>): JsonObject {
    const scanner = this.#scanner;
    this.#enter();
    const object: JsonObject = new Map();
    for (let first = true; ; first = false) {
      let byte = scanner.peek();
      if (byte === END) throw scanner.peekError('EOF while parsing an object');
      if (byte === CLOSE_BRACE) break;
      if (!first) {
        if (byte !== COMMA) throw scanner.peekError('expected `,` or `}`');
        scanner.at++;
        byte = scanner.peek();
        if (byte === CLOSE_BRACE) throw scanner.peekError('trailing comma');
        if (byte === END) throw scanner.peekError('EOF while parsing a value');
      }
      if (byte !== QUOTE) throw scanner.peekError('key must be a string');
      const key = scanner.string(build);
      const keyEnd = scanner.at;
      byte = scanner.peek();
      if (byte === END) throw scanner.peekError('EOF while parsing an object');
      if (byte !== COLON) throw scanner.peekError('expected `:`');
      scanner.at++;
      if (members !== undefined) scanner.peek();
      const start = scanner.at;
      const wanted = build && (keep === undefined || keep.has(key));
      if (members === undefined || !wanted) {
        const value = this.#value(wanted);
        if (wanted) this.#set(object, key, value);
        continue;
      }
      const itemEnds: number[] = [];
      const value = scanner.peek() === OPEN_BRACKET ? this.#array(true, itemEnds) : this.#value(true);
      this.#set(object, key, value);
      members.push({ key, keyEnd, value, start, end: scanner.at, itemEnds });
    }
    this.#leave();
    return object;
  }

  #set(object: JsonObject, key: string, value: Json): void {
    const { size } = object;
    object.set(key, value);
    if (object.size === size) noteRepeatedKey(object, key);
  }

  #enter(): void {
    if (++this.#depth > MAX_JSON_DEPTH) throw this.#scanner.peekError('recursion limit exceeded');
    this.#scanner.at++;
  }

  #leave(): void {
    this.#depth--;
    this.#scanner.at++;
  }
}
