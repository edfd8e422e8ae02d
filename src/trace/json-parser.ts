// A strict JSON reader over bytes that loses nothing (json-value.ts says what that means). It accepts and
// refuses what serde_json does, which wrote and reads the bundles, with the same message and position.
// It knows nothing of what the JSON means.

import { END, JsonScanner, MINUS, NINE, QUOTE, ZERO } from './json-scanner.js';
import { type Json, type JsonObject, noteRepeats } from './json-value.js';
import { mismatch, NUMBER_KEY } from './typed-json.js';

/** Arrays and objects may be nested this deep; serde_json stops at the same depth. */
export const MAX_JSON_DEPTH = 127;

/** One member of the outermost object, or one element of the outermost array (its key is empty), with its place. */
export interface JsonMember {
  key: string;
  value: Json;
  start: number;
  end: number;
  /** Where each item of an array ends. */
  itemEnds: number[];
}

/** Follows the outermost object or array while it is parsed. What it throws ends the parsing. */
export interface MemberReader {
  /**
   * Whether the value that follows is wanted; `any` when it may be of any type, and objects in it stand for what serde_json
   * takes them for.
   *
   * @param key undefined for an element of an array.
   * @param at where the key ends or the element starts.
   */
  wants(key: string | undefined, at: number): boolean | 'any';
  /** Before a wanted array or object is parsed; `empty` is one of its kind. */
  opens?(start: number, empty: Json): void;
  read(member: JsonMember): void;
  /** Values that are not wanted are passed over as serde_json does it: any nesting, any surrogate. */
  lenient: boolean;
  /** The text is read from a file, which shows in the positions of some faults. */
  fromFile?: boolean;
}

/** Parses one JSON text, as a file holds it. Throws JsonSyntaxError. */
export function parseJson(bytes: Uint8Array): Json {
  return new Parser(bytes, { fromFile: true }).document();
}

/**
 * Parses one JSON text, as a file holds it, and, when it is an object or array, also tells its members apart (repeated
 * keys included). Throws JsonSyntaxError.
 *
 * @param keep only these members of the outermost object are returned; the others are checked but not built.
 */
export function parseJsonMembers(
  bytes: Uint8Array,
  keep?: ReadonlySet<string>,
): { value: Json; members: JsonMember[] } {
  const members: JsonMember[] = [];
  const value = new Parser(bytes, { fromFile: true }).document({
    wants: (key) => keep === undefined || key === undefined || keep.has(key),
    read: (member) => members.push(member),
    lenient: false,
  });
  return { value, members };
}

/**
 * Parses the JSON text that starts at `start` and lets `reader` follow it; the values in it keep the members that are
 * repeated. Throws JsonSyntaxError.
 */
export function readJsonMembers(
  bytes: Uint8Array,
  reader: MemberReader,
  start = 0,
): { value: Json; end: number } {
  const parser = new Parser(bytes, { start, asWritten: true, fromFile: reader.fromFile });
  const value = parser.document(reader);
  return { value, end: parser.valueEnd };
}

/** Checks one JSON text as loosely as serde_json does when nobody asks for what is in it. Throws JsonSyntaxError. */
export function checkJson(bytes: Uint8Array): void {
  new Parser(bytes).check();
}

const COMMA = 44;
const COLON = 58;
const OPEN_BRACKET = 91;
const CLOSE_BRACKET = 93;
const OPEN_BRACE = 123;
const CLOSE_BRACE = 125;

type StandIn = 'string containing a number' | 'raw value';

/** As the first key of an object these make serde_json take what is under them for the whole. */
const STAND_INS: ReadonlyMap<string, StandIn> = new Map([
  [NUMBER_KEY, 'string containing a number'],
  ['$serde_json::private::RawValue', 'raw value'],
]);

interface ParserOptions {
  start?: number;
  /** Members are kept as they are written, for a type that tells them apart itself. */
  asWritten?: boolean;
  /** As MemberReader has it. */
  fromFile?: boolean | undefined;
}

class Parser {
  readonly #scanner: JsonScanner;
  readonly #fromFile: boolean;
  #asWritten: boolean;
  #depth = 0;
  valueEnd = 0;

  constructor(bytes: Uint8Array, { start = 0, asWritten = false, fromFile = false }: ParserOptions = {}) {
    this.#scanner = new JsonScanner(bytes, start, fromFile);
    this.#fromFile = fromFile;
    this.#asWritten = asWritten;
  }

  document(reader?: MemberReader): Json {
    const first = reader === undefined ? END : this.#scanner.peek();
    let value: Json;
    if (first === OPEN_BRACE) value = this.#object(true, reader);
    else if (first === OPEN_BRACKET) value = this.#array(true, undefined, reader);
    else value = this.#value(true);
    this.#end();
    return value;
  }

  check(): void {
    this.#passOver();
    this.#end();
  }

  #end(): void {
    this.valueEnd = this.#scanner.at;
    if (this.#scanner.peek() !== END) throw this.#scanner.peekError('trailing characters');
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

  #array(build: boolean, ends?: number[], reader?: MemberReader): Json[] {
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
      if (reader === undefined) {
        const item = this.#value(build);
        if (build) items.push(item);
      } else {
        scanner.peek();
        items.push(this.#member(reader, '', reader.wants(undefined, scanner.at)));
      }
      ends?.push(scanner.at);
    }
    this.#leave();
    return items;
  }

  #object(build: boolean, reader?: MemberReader): Json {
    const scanner = this.#scanner;
    this.#enter();
    const object: JsonObject = new Map();
    let written: [string, Json][] | undefined;
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
      const key = scanner.string(build || first);
      const standsFor = first && !this.#asWritten ? STAND_INS.get(key) : undefined;
      if (standsFor !== undefined) return this.#standIn(standsFor);
      const wanted = reader === undefined ? build : reader.wants(key, scanner.at);
      this.#colon();
      const value = reader === undefined ? this.#value(build) : this.#member(reader, key, wanted);
      if (!wanted) continue;
      if (this.#asWritten && (written !== undefined || object.has(key))) {
        written ??= [...object];
        written.push([key, value]);
      }
      object.set(key, value);
    }
    this.#leave();
    if (written !== undefined) noteRepeats(object, written);
    return object;
  }

  /** The value of a member that `reader` follows; null for one that it does not want. */
  #member(reader: MemberReader, key: string, wanted: boolean | 'any'): Json {
    const scanner = this.#scanner;
    if (!wanted) {
      if (reader.lenient) this.#passOver();
      else this.#value(false);
      return null;
    }
    const first = scanner.peek();
    const start = scanner.at;
    if (first === OPEN_BRACE) reader.opens?.(start, new Map());
    else if (first === OPEN_BRACKET) reader.opens?.(start, []);
    const itemEnds: number[] = [];
    const asWritten = this.#asWritten;
    if (wanted === 'any') this.#asWritten = false;
    const value = first === OPEN_BRACKET ? this.#array(true, itemEnds) : this.#value(true);
    this.#asWritten = asWritten;
    reader.read({ key, value, start, end: scanner.at, itemEnds });
    return value;
  }

  /** Passes over a value. Arrays and objects in it are no further calls: they may be nested as deep as they like. */
  #passOver(): void {
    const scanner = this.#scanner;
    const open: number[] = [];
    do {
      const byte = scanner.peek();
      if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
        scanner.at++;
        open.push(byte);
        if (!this.#closes(open)) {
          this.#passKey(open);
          continue;
        }
      } else if (byte === QUOTE) scanner.string(false, true);
      else if (byte === MINUS || (byte >= ZERO && byte <= NINE)) scanner.number(true);
      else this.#value(false);
      while (open.length > 0) {
        if (this.#closes(open)) continue;
        if (scanner.peek() !== COMMA) {
          throw scanner.peekError(`expected \`,\` or \`${open.at(-1) === OPEN_BRACE ? '}' : ']'}\``);
        }
        scanner.at++;
        this.#passKey(open);
        break;
      }
    } while (open.length > 0);
  }

  /** Whether the innermost array or object ends here; then it is passed. */
  #closes(open: number[]): boolean {
    const byte = this.#scanner.peek();
    const inObject = open.at(-1) === OPEN_BRACE;
    if (byte === END) throw this.#scanner.peekError(`EOF while parsing ${inObject ? 'an object' : 'a list'}`);
    if (byte !== (inObject ? CLOSE_BRACE : CLOSE_BRACKET)) return false;
    this.#scanner.at++;
    open.pop();
    return true;
  }

  #passKey(open: readonly number[]): void {
    if (open.at(-1) !== OPEN_BRACE) return;
    const scanner = this.#scanner;
    const byte = scanner.peek();
    if (byte === END) throw scanner.peekError('EOF while parsing an object');
    if (byte !== QUOTE) throw scanner.peekError('key must be a string');
    scanner.string(false, true);
    this.#colon();
  }

  #colon(): void {
    const byte = this.#scanner.peek();
    if (byte === END) throw this.#scanner.peekError('EOF while parsing an object');
    if (byte !== COLON) throw this.#scanner.peekError('expected `:`');
    this.#scanner.at++;
  }

  /** The rest of an object with a key of serde_json's own: the value that the text under it stands for. */
  #standIn(expected: StandIn): Json {
    const scanner = this.#scanner;
    this.#colon();
    let byte = scanner.peek();
    if (byte !== QUOTE) throw this.#noText(byte, expected);
    const text = Buffer.from(scanner.string(true));
    const value =
      expected === 'raw value' ? new Parser(text).document() : new JsonScanner(text).wholeNumber();
    byte = scanner.peek();
    if (byte === END) throw scanner.peekError('EOF while parsing an object');
    if (byte !== CLOSE_BRACE) throw scanner.peekError(`trailing ${byte === COMMA ? 'comma' : 'characters'}`);
    this.#leave();
    return value;
  }

  #noText(byte: number, expected: StandIn): Error {
    let value: Json = null;
    if (byte === OPEN_BRACE) value = new Map();
    else if (byte === OPEN_BRACKET) value = [];
    else value = this.#value(true);
    // In a file the reference has taken the byte behind a number, or the first one of an array or object.
    const seen = this.#fromFile && typeof value === 'object' && value !== null ? 1 : 0;
    return this.#scanner.errorHere(mismatch(value, '', expected, 'text').message, seen);
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
