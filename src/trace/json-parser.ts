// A strict JSON reader over bytes that loses nothing (json-value.ts says what that means). It accepts and
// refuses what serde_json does, which wrote and reads the bundles, with the same message and position.
// It knows nothing of what the JSON means.

import { isAscii, isUtf8 } from 'node:buffer';
import { type Json, JsonNumber, type JsonObject, noteRepeatedKey } from './json-value.js';

/** Arrays and objects may be nested this deep; serde_json stops at the same depth. */
export const MAX_JSON_DEPTH = 127;

/** `message` ends in ` at line L column C`, counted in bytes, lines from 1. */
export class JsonSyntaxError extends Error {}

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

/** The position of a byte as serde_json writes it. */
export function jsonPosition(bytes: Uint8Array, index: number): string {
  let line = 1;
  let lineStart = 0;
  for (let i = bytes.indexOf(10); i !== -1 && i < index; i = bytes.indexOf(10, i + 1)) {
    line++;
    lineStart = i + 1;
  }
  return `line ${line} column ${index - lineStart}`;
}

const QUOTE = 34;
const COMMA = 44;
const MINUS = 45;
const DOT = 46;
const ZERO = 48;
const NINE = 57;
const COLON = 58;
const UPPER_E = 69;
const OPEN_BRACKET = 91;
const BACKSLASH = 92;
const CLOSE_BRACKET = 93;
const LOWER_E = 101;
const OPEN_BRACE = 123;
const CLOSE_BRACE = 125;
const END = -1;

/**
 * Up to this length a slice of a string is a copy in V8; a longer one keeps the whole text alive, which is no loss where
 * the text is short: most of an event is kept anyway.
 */
const COPIED_SLICE = 12;
const SHORT_TEXT = 1024;
/** Strings end within this many bytes often enough that a plain loop beats the search. */
const SHORT_STRING = 24;
const ESCAPES = new Set('"\\/bfnrt');

class Parser {
  readonly #bytes: Buffer;
  /** The bytes as one character each: character and byte positions are the same. */
  readonly #text: string;
  readonly #ascii: boolean;
  readonly #utf8: boolean;
  readonly #special = /["\\\u0000-\u001f]/g;
  #at = 0;
  #depth = 0;
  valueEnd = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#text = this.#bytes.toString('latin1');
    this.#utf8 = isUtf8(bytes);
    this.#ascii = isAscii(bytes);
  }

  document(members?: JsonMember[], keep?: ReadonlySet<string>): Json {
    const first = members === undefined ? END : this.#peek();
    let value: Json;
    if (first === OPEN_BRACE) value = this.#object(true, members, keep);
    else if (first === OPEN_BRACKET) value = this.#array(true, undefined, members);
    else value = this.#value(true);
    this.valueEnd = this.#at;
    if (this.#peek() !== END) throw this.#peekError('trailing characters');
    return value;
  }

  #value(build: boolean): Json {
    const byte = this.#peek();
    switch (byte) {
      case QUOTE:
        return this.#string(build);
      case OPEN_BRACE:
        return this.#object(build);
      case OPEN_BRACKET:
        return this.#array(build);
      case 116:
        return this.#word('true', true);
      case 102:
        return this.#word('false', false);
      case 110:
        return this.#word('null', null);
      case END:
        throw this.#peekError('EOF while parsing a value');
      default:
        if (byte === MINUS || (byte >= ZERO && byte <= NINE)) return this.#number();
        throw this.#peekError('expected value');
    }
  }

  #array(build: boolean, ends?: number[], elements?: JsonMember[]): Json[] {
    this.#enter();
    const items: Json[] = [];
    for (let first = true; ; first = false) {
      const byte = this.#peek();
      if (byte === END) throw this.#peekError('EOF while parsing a list');
      if (byte === CLOSE_BRACKET) break;
      if (!first) {
        if (byte !== COMMA) throw this.#peekError('expected `,` or `]`');
        this.#at++;
        if (this.#peek() === CLOSE_BRACKET) throw this.#peekError('trailing comma');
      }
      if (elements !== undefined) this.#peek();
      const start = this.#at;
      const item = this.#value(build);
      if (build) items.push(item);
      ends?.push(this.#at);
      elements?.push({ key: '', keyEnd: start, value: item, start, end: this.#at, itemEnds: [] });
    }
    this.#leave();
    return items;
  }

  #object(build: boolean, members?: JsonMember[], keep?: ReadonlySet<string>): JsonObject {
    this.#enter();
    const object: JsonObject = new Map();
    for (let first = true; ; first = false) {
      let byte = this.#peek();
      if (byte === END) throw this.#peekError('EOF while parsing an object');
      if (byte === CLOSE_BRACE) break;
      if (!first) {
        if (byte !== COMMA) throw this.#peekError('expected `,` or `}`');
        this.#at++;
        byte = this.#peek();
        if (byte === CLOSE_BRACE) throw this.#peekError('trailing comma');
        if (byte === END) throw this.#peekError('EOF while parsing a value');
      }
      if (byte !== QUOTE) throw this.#peekError('key must be a string');
      const key = this.#string(build);
      const keyEnd = this.#at;
      byte = this.#peek();
      if (byte === END) throw this.#peekError('EOF while parsing an object');
      if (byte !== COLON) throw this.#peekError('expected `:`');
      this.#at++;
      if (members !== undefined) this.#peek();
      const start = this.#at;
      const wanted = build && (keep === undefined || keep.has(key));
      if (members === undefined || !wanted) {
        const value = this.#value(wanted);
        if (wanted) this.#set(object, key, value);
        continue;
      }
      const itemEnds: number[] = [];
      const value = this.#peek() === OPEN_BRACKET ? this.#array(true, itemEnds) : this.#value(true);
      this.#set(object, key, value);
      members.push({ key, keyEnd, value, start, end: this.#at, itemEnds });
    }
    this.#leave();
    return object;
  }

  #set(object: JsonObject, key: string, value: Json): void {
    const { size } = object;
    object.set(key, value);
    if (object.size === size) noteRepeatedKey(object, key);
  }

  #string(build: boolean): string {
    const start = ++this.#at;
    const text = this.#text;
    let escaped = false;
    for (let i = start, short = start + SHORT_STRING; ; ) {
      let code = i < text.length ? text.charCodeAt(i) : END;
      if (code >= 32 && code !== QUOTE && code !== BACKSLASH) {
        if (++i < short) continue;
        this.#special.lastIndex = i;
        i = this.#special.test(text) ? this.#special.lastIndex - 1 : text.length;
        code = i < text.length ? text.charCodeAt(i) : END;
      }
      if (code === QUOTE) {
        this.#at = i + 1;
        break;
      }
      if (code === END) throw this.#error('EOF while parsing a string', text.length);
      if (code !== BACKSLASH) {
        throw this.#error('control character (\\u0000-\\u001F) found while parsing a string', i + 1);
      }
      escaped = true;
      i = this.#escape(i + 1);
      short = i + SHORT_STRING;
    }
    const end = this.#at - 1;
    if (!this.#utf8 && !isUtf8(this.#bytes.subarray(start, end))) {
      throw this.#error('invalid unicode code point', this.#at);
    }
    if (!build) return '';
    if (escaped) return JSON.parse(this.#bytes.toString('utf8', start - 1, end + 1));
    if (this.#ascii && (end - start <= COPIED_SLICE || text.length <= SHORT_TEXT))
      return text.slice(start, end);
    return this.#bytes.toString('utf8', start, end);
  }

  /** Checks the escape whose letter is at `at`; returns the position after it. */
  #escape(at: number): number {
    const text = this.#text;
    if (at >= text.length) throw this.#error('EOF while parsing a string', text.length);
    const letter = text.charAt(at);
    if (letter !== 'u') {
      if (!ESCAPES.has(letter)) throw this.#error('invalid escape', at + 1);
      return at + 1;
    }
    const first = this.#hex(at + 1);
    const next = at + 5;
    if (first >= 0xdc00 && first <= 0xdfff) throw this.#error('lone leading surrogate in hex escape', next);
    if (first < 0xd800 || first > 0xdbff) return next;
    for (let i = 0; i < 2; i++) {
      if (next + i >= text.length) throw this.#error('EOF while parsing a string', text.length);
      if (text.charAt(next + i) !== '\\u'[i]) throw this.#error('unexpected end of hex escape', next + i + 1);
    }
    const second = this.#hex(next + 2);
    if (second < 0xdc00 || second > 0xdfff) {
      throw this.#error('lone leading surrogate in hex escape', next + 6);
    }
    return next + 6;
  }

  #hex(at: number): number {
    const digits = this.#text.slice(at, at + 4);
    if (digits.length < 4) throw this.#error('EOF while parsing a string', this.#text.length);
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) throw this.#error('invalid escape', at + 4);
    return Number.parseInt(digits, 16);
  }

  #number(): JsonNumber {
    const text = this.#text;
    const start = this.#at;
    let i = text.charCodeAt(start) === MINUS ? start + 1 : start;
    let code = this.#digit(i);
    const zero = code === ZERO;
    do code = this.#code(++i);
    while (!zero && code >= ZERO && code <= NINE);
    if (zero && code >= ZERO && code <= NINE) throw this.#error('invalid number', i + 1);
    if (code === DOT) {
      code = this.#code(++i);
      if (code < ZERO || code > NINE) {
        if (code === END) throw this.#error('EOF while parsing a value', i);
        throw this.#error('invalid number', i + 1);
      }
      while (code >= ZERO && code <= NINE) code = this.#code(++i);
    }
    let exponent = '';
    const mantissaEnd = i;
    if (code === LOWER_E || code === UPPER_E) {
      const sign = text.charAt(i + 1);
      i += sign === '+' || sign === '-' ? 2 : 1;
      const digits = i;
      this.#digit(i);
      do code = this.#code(++i);
      while (code >= ZERO && code <= NINE);
      exponent = `e${sign === '-' ? '-' : '+'}${text.slice(digits, i)}`;
    }
    this.#at = i;
    const written = text.slice(start, mantissaEnd) + exponent;
    return new JsonNumber(written === '-0' ? '0' : written);
  }

  #digit(at: number): number {
    const code = this.#code(at);
    if (code === END) throw this.#error('EOF while parsing a value', at);
    if (code < ZERO || code > NINE) throw this.#error('invalid number', at + 1);
    return code;
  }

  #word<T>(word: string, value: T): T {
    for (let i = 1; i < word.length; i++) {
      const at = this.#at + i;
      if (at >= this.#text.length) throw this.#error('EOF while parsing a value', at);
      if (this.#text.charAt(at) !== word.charAt(i)) throw this.#error('expected ident', at + 1);
    }
    this.#at += word.length;
    return value;
  }

  #enter(): void {
    if (++this.#depth > MAX_JSON_DEPTH) throw this.#peekError('recursion limit exceeded');
    this.#at++;
  }

  #leave(): void {
    this.#depth--;
    this.#at++;
  }

  /** The next byte that is not white space; the cursor stays on it. */
  #peek(): number {
    const text = this.#text;
    let i = this.#at;
    for (; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code !== 32 && code !== 10 && code !== 13 && code !== 9) {
        this.#at = i;
        return code;
      }
    }
    this.#at = i;
    return END;
  }

  #code(at: number): number {
    return at < this.#text.length ? this.#text.charCodeAt(at) : END;
  }

  #peekError(what: string): JsonSyntaxError {
    return this.#error(what, Math.min(this.#at + 1, this.#text.length));
  }

  #error(what: string, index: number): JsonSyntaxError {
    return new JsonSyntaxError(`${what} at ${jsonPosition(this.#bytes, index)}`);
  }
}
