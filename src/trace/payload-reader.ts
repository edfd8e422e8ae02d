// Reads payloads: their JSON, each parsed once per event. Where the files are is payload-files.ts.

import { isUtf8 } from 'node:buffer';
import { checkJson, parseJson } from './json-parser.js';
import { JsonSyntaxError } from './json-scanner.js';
import type { Json } from './json-value.js';
import { PayloadFiles } from './payload-files.js';
import type { RawPayloadRef } from './raw-event.js';
import { Rejection } from './rejection.js';
import { RequestParser } from './request-parser.js';

/** Reads payload files, each parsed once per event, and never from outside the bundle. */
export class PayloadReader {
  readonly #files: PayloadFiles;
  readonly #requests = new RequestParser();
  readonly #parsed = new Map<string, Json>();
  readonly #seen = new Set<string>();

  /** Throws when the bundle directory does not exist. */
  constructor(dir: string) {
    this.#files = new PayloadFiles(dir);
  }

  /** Forgets parsed payloads; called between events. */
  forget(): void {
    this.#parsed.clear();
  }

  /** Whether `json` has read this payload without fault. */
  wasRead(ref: RawPayloadRef): boolean {
    return this.#seen.has(ref.path);
  }

  /** The payload's JSON. Throws Rejection `payload-outside`, `payload-unreadable` or `payload-invalid`. */
  json(ref: RawPayloadRef): Json {
    const known = this.#parsed.get(ref.path);
    if (known !== undefined) return known;
    const value = this.#parse(ref, parseJson);
    this.#parsed.set(ref.path, value);
    return value;
  }

  /**
   * What matters of a request, as RequestParser.parse returns it. Throws as `json` does.
   *
   * @param conversation whose request it is.
   */
  request(ref: RawPayloadRef, conversation: string): Json {
    return this.#parse(ref, (bytes) => this.#requests.parse(conversation, bytes));
  }

  #parse(ref: RawPayloadRef, parse: (bytes: Buffer) => Json): Json {
    const bytes = this.#files.read(ref, 'open payload', 'parse payload');
    try {
      const value = parse(bytes);
      this.#seen.add(ref.path);
      return value;
    } catch (error) {
      if (!(error instanceof JsonSyntaxError)) throw error;
      throw new Rejection('payload-invalid', `parse payload ${ref.raw_payload_id}`, [error.message]);
    }
  }

  /**
   * Checks a payload that no event needed to look into, as loosely as the reference does: any nesting, any
   * surrogate. Throws as `json` does.
   */
  check(ref: RawPayloadRef): void {
    const bytes = this.#files.read(ref, 'read payload', 'read payload');
    if (!isUtf8(bytes)) {
      const cause = 'stream did not contain valid UTF-8';
      throw new Rejection('payload-invalid', `read payload ${ref.raw_payload_id}`, [cause]);
    }
    try {
      JSON.parse(bytes.toString('utf8'));
    } catch {
      throw new Rejection('payload-invalid', `invalid payload ${ref.raw_payload_id}`, [syntaxFault(bytes)]);
    }
  }
}

function syntaxFault(bytes: Uint8Array): string {
  try {
    checkJson(bytes);
  } catch (error) {
    if (error instanceof JsonSyntaxError) return error.message;
  }
  return 'not JSON';
}
