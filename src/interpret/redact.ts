// Takes secrets out of text that is about to be written. Owns what counts as a secret in a body or a command
// line, and the replacement. Header fields need no rule here: none are ever written.

import { createHmac } from 'node:crypto';

/** Hexadecimal digits of the keyed hash that stand for a secret: equal secrets stay recognisable. */
const HASH_DIGITS = 12;

// A secret may follow any character that cannot be part of it, or a JSON escape such as \n, whose letter can.
// The check stands behind the literal beginning: in front of it the search would be several times slower.
const begin = (literal: string): string =>
  String.raw`${literal}(?<=(?:^|[^A-Za-z0-9_-]|\\[nrtbf])${literal})`;

const SECRET = new RegExp(
  [
    // The scheme stays: it tells what was there.
    '(?<scheme>[Bb]earer )(?<token>[A-Za-z0-9._~+/-]{20,}=*)',
    `${begin('sk-')}[A-Za-z0-9_-]{16,}`,
    String.raw`${begin('eyJ')}[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}`,
    `${begin('A[KS]IA')}[A-Z0-9]{16}(?![A-Za-z0-9])`,
  ].join('|'),
  'g',
);

/** Replaces keys and tokens by `[redacted:<hash>]`, the hash keyed with the salt of the capture. */
export class Redactor {
  readonly #salt: Uint8Array;
  #count = 0;

  constructor(salt: Uint8Array) {
    this.#salt = salt;
  }

  /** Secrets replaced so far. */
  get count(): number {
    return this.#count;
  }

  /** Plain text or JSON text: the replacement has no character that JSON escapes. */
  text(text: string): string {
    return text.replace(SECRET, (match, scheme = '', token = match) => {
      this.#count += 1;
      const hash = createHmac('sha256', this.#salt).update(token).digest('hex');
      return `${scheme}[redacted:${hash.slice(0, HASH_DIGITS)}]`;
    });
  }
}
