// The pieces that JSON is made of, over bytes: white space, strings, numbers and words. It accepts and refuses what
// serde_json does, with the same message and position. How they make arrays and objects is json-parser.ts.

import { isAscii, isUtf8 } from 'node:buffer';
import { JsonNumber, NEGATIVE_ZERO } from './json-value.js';

/** `message` ends in ` at line L column C`, counted in bytes, lines from 1. */
export class JsonSyntaxError extends Error {}

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

export const QUOTE = 34;
export const MINUS = 45;
const DOT = 46;
export const ZERO = 48;
export const NINE = 57;
const UPPER_E = 69;
const BACKSLASH = 92;
const LOWER_E = 101;
export const END = -1;

/**
 * Up to this length a slice of a string is a copy in V8; a longer one keeps the whole text alive, which is no loss where
 * the text is short: most of an event is kept anyway.
 */
const COPIED_SLICE = 12;
const SHORT_TEXT = 1024;
/** Strings end within this many bytes often enough that a plain loop beats the search. */
const SHORT_STRING = 24;
const ESCAPES = new Set('"\\/bfnrt');

/** A cursor over one JSON text. Its steps throw JsonSyntaxError where the text is none. */
export class JsonScanner {
  readonly #bytes: Buffer;
  /** The bytes as one character each: character and byte positions are the same. */
  readonly #text: string;
  readonly #ascii: boolean;
  readonly #utf8: boolean;
  readonly #special = /["\\\u0000-\u001f]/g;

  /**
   * @param at the position of the next byte.
   * @param fromFile whether serde_json reads the text from a file: then it has taken each byte that it looks at.
   */
  constructor(
    bytes: Uint8Array,
    public at = 0,
    private readonly fromFile = false,
  ) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#text = this.#bytes.toString('latin1');
    this.#utf8 = isUtf8(bytes);
    this.#ascii = isAscii(bytes);
  }

  /** The next byte that is not white space; the cursor stays on it. */
  peek(): number {
    const text = this.#text;
    let i = this.at;
    for (; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code !== 32 && code !== 10 && code !== 13 && code !== 9) {
        this.at = i;
        return code;
      }
    }
    this.at = i;
    return END;
  }

  /**
   * Reads the string whose quote is next.
   *
   * @param build whether it is wanted; otherwise it is only checked.
   * @param passing whether serde_json passes over it: it does not look at the characters that escapes stand for.
   */
  string(build: boolean, passing = false): string {
    const start = ++this.at;
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
        this.at = i + 1;
        break;
      }
      if (code === END) throw this.#error('EOF while parsing a string', text.length);
      if (code !== BACKSLASH) {
        const what = 'control character (\\u0000-\\u001F) found while parsing a string';
        throw this.#error(what, passing && !this.fromFile ? i : i + 1);
      }
      escaped = true;
      i = this.#escape(i + 1, passing);
      short = i + SHORT_STRING;
    }
    if (passing) return '';
    const end = this.at - 1;
    if (!this.#utf8 && !isUtf8(this.#bytes.subarray(start, end))) {
      throw this.#error('invalid unicode code point', this.at);
    }
    if (!build) return '';
    if (escaped) return JSON.parse(this.#bytes.toString('utf8', start - 1, end + 1));
    if (this.#ascii && (end - start <= COPIED_SLICE || text.length <= SHORT_TEXT))
      return text.slice(start, end);
    return this.#bytes.toString('utf8', start, end);
  }

  /**
   * Reads the number whose sign or first digit is next.
   *
   * @param passing whether serde_json passes over it: then it takes an early end for a wrong digit.
   */
  number(passing = false): JsonNumber {
    const text = this.#text;
    const start = this.at;
    let i = text.charCodeAt(start) === MINUS ? start + 1 : start;
    let code = this.#digit(i, passing);
    const zero = code === ZERO;
    do code = this.#code(++i);
    while (!zero && code >= ZERO && code <= NINE);
    if (zero && code >= ZERO && code <= NINE) throw this.#error('invalid number', i + 1);
    if (code === DOT) {
      code = this.#digit(++i, passing);
      while (code >= ZERO && code <= NINE) code = this.#code(++i);
    }
    let exponent = '';
    const mantissaEnd = i;
    if (code === LOWER_E || code === UPPER_E) {
      const sign = text.charAt(i + 1);
      i += sign === '+' || sign === '-' ? 2 : 1;
      const digits = i;
      this.#digit(i, passing);
      do code = this.#code(++i);
      while (code >= ZERO && code <= NINE);
      exponent = `e${sign === '-' ? '-' : '+'}${text.slice(digits, i)}`;
    }
    this.at = i;
    const written = text.slice(start, mantissaEnd) + exponent;
    return written === '-0' ? NEGATIVE_ZERO : new JsonNumber(written);
  }

  /** Reads a text that is one number and nothing else. */
  wholeNumber(): JsonNumber {
    const code = this.#code(0);
    if (code === END) throw this.#error('EOF while parsing a value', 0);
    if (code !== MINUS && (code < ZERO || code > NINE)) throw this.#error('invalid number', 1);
    const number = this.number();
    if (this.#code(this.at) !== END) throw this.#error('invalid number', this.at + 1);
    return number;
  }

  /** Reads `word`, whose first letter is next, and gives `value`. */
  word<T>(word: string, value: T): T {
    for (let i = 1; i < word.length; i++) {
      const at = this.at + i;
      if (at >= this.#text.length) throw this.#error('EOF while parsing a value', at);
      if (this.#text.charAt(at) !== word.charAt(i)) throw this.#error('expected ident', at + 1);
    }
    this.at += word.length;
    return value;
  }

  /** Checks the escape whose letter is at `at`; returns the position after it. */
  #escape(at: number, passing: boolean): number {
    const text = this.#text;
    if (at >= text.length) throw this.#error('EOF while parsing a string', text.length);
    const letter = text.charAt(at);
    if (letter !== 'u') {
      if (!ESCAPES.has(letter)) throw this.#error('invalid escape', at + 1);
      return at + 1;
    }
    const first = this.#hex(at + 1);
    const next = at + 5;
    if (passing) return next;
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

  #digit(at: number, passing: boolean): number {
    const code = this.#code(at);
    if (code === END) throw this.#error(passing ? 'invalid number' : 'EOF while parsing a value', at);
    if (code < ZERO || code > NINE) throw this.#error('invalid number', at + 1);
    return code;
  }

  #code(at: number): number {
    return at < this.#text.length ? this.#text.charCodeAt(at) : END;
  }

  /** An error at the cursor, or `seen` bytes further. */
  errorHere(what: string, seen: number): JsonSyntaxError {
    return this.#error(what, Math.min(this.at + seen, this.#text.length));
  }

  /** An error at the byte that `peek` has found. */
  peekError(what: string): JsonSyntaxError {
    return this.errorHere(what, 1);
  }

  #error(what: string, index: number): JsonSyntaxError {
    return new JsonSyntaxError(`${what} at ${jsonPosition(this.#bytes, index)}`);
  }
}
