// Takes secrets out of text that is about to be written. Owns what counts as a secret in a body, an output or a command
// line, and the replacement; not which programs take passwords (password-options.ts), nor argument vectors
// (redact-arguments.ts). Header fields of the captured exchanges need no rule here: none are ever written. Those
// that a program prints do.

import { createHmac } from 'node:crypto';
import { replacePasswords } from './password-options.js';

/** Hexadecimal digits of the keyed hash that stand for a secret: equal secrets stay recognisable. */
const HASH_DIGITS = 12;

// A secret may follow any character that cannot be part of it, or a JSON escape such as \n, whose letter can.
// The check stands behind the literal beginning: in front of it the search would be several times slower.
const begin = (literal: string): string =>
  String.raw`${literal}(?<=(?:^|[^A-Za-z0-9_-]|\\[nrtbf])${literal})`;

/** What begins in a way that nothing else does. */
const TOKENS = [
  `${begin('sk-')}[A-Za-z0-9_-]{16,}`,
  String.raw`${begin('eyJ')}[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}`,
  `${begin('A[KS]IA')}[A-Z0-9]{16}(?![A-Za-z0-9])`,
  `${begin('gh[pousr]_')}[A-Za-z0-9]{20,}`,
  `${begin('github_pat_')}[A-Za-z0-9_]{20,}`,
  `${begin('glpat-')}[A-Za-z0-9_-]{16,}`,
  `${begin('xox[abprs]-')}[A-Za-z0-9-]{10,}`,
  `${begin('AIza')}[A-Za-z0-9_-]{35}`,
  // In the paths of what bots and hooks are called by.
  `${begin('bot')}\\d{8,10}:[A-Za-z0-9_-]{30,40}`,
  `${begin('T')}[A-Z0-9]{8,12}/B[A-Z0-9]{8,12}/[A-Za-z0-9]{20,32}`,
];

// The same words stand in plain text, in JSON, and in JSON within JSON, where a quote has one or more backslashes.
const QUOTE = String.raw`(?:\\*["'])`;
const GAP = String.raw`(?:\s|\\+[nrt])*`;
// A variable in the place of a value is no secret, and what was replaced before is passed over.
const NO_VALUE = String.raw`(?!\[redacted:|\$)`;
const BARE = String.raw`[^\s"'\\,;&|<>(){}]`;
/** A value without quotes, at least so long. */
const bare = (least: number): string => `${NO_VALUE}${BARE}{${least},}`;
const quoted = (least: number): string => String.raw`${NO_VALUE}[^\s"'\\]{${least},}`;
/** Between a name and its value: `name: value`, `name=value`, or `"name", "value"` in a list. */
const IS = `(?:${QUOTE}?${GAP}[:=]${GAP}|${QUOTE}${GAP},${GAP}(?=${QUOTE}))`;
const WORD_END = '(?![A-Za-z0-9_-])';

export const HEADER_NAMES =
  'x-(?:[a-z0-9]+-){0,4}(?:token|secret|key|signature)|(?:private|job|deploy)-token|api-key|chatgpt-account-id|openai-organization|openai-project';
export const MEMBER_NAMES = [
  '(?:api|secret|private|account|access|auth)[_-]?key',
  '(?:access|refresh|id|auth|session|security|bearer|api)[_-]?token',
  '(?:client|app|consumer)[_-]?secret',
  'aws[_-]?secret[_-]?access[_-]?key|secret[_-]?access[_-]?key',
  'pass(?:word|wd|phrase)',
].join('|');
const PARAMETERS = `${MEMBER_NAMES}|key|token|secret|sig|(?:x-(?:amz|goog)-)?signature|auth`;
export const UPPER_NAMES = '(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|COOKIE)';

/** Environment variables that hold a password, and that the names above do not cover. */
export const PASSWORD_VARIABLES = '(?:PGPASSWORD|MYSQL_PWD|SSHPASS|REDISCLI_AUTH)';

const FLAGS = `(?:${MEMBER_NAMES}|token|secret)`;
// The end of a continued line in JSON has three backslashes or more, that of any other one or two.
const BLANKS = String.raw`(?:\s|\\(?=\r?\n)|\\{3,}n)+`;
// A value on a command line ends where the shell ends a word.
const SHELL_BARE = String.raw`(?:[^\s"'\\;&|<>()\x60]|\\+[^\\nrt"'\s])`;
/**
 * A value on a command line: in quotes up to the next, but not where the first could be the end of a JSON string. Without,
 * of that length at least, the second after a blank: it could be prose.
 */
const argumentOf = (least: number, leastAfterBlank: number): string =>
  `${NO_VALUE}(?:(?<=["'])(?!${GAP}[,:}\\]])[^"'\\\\\\r\\n]+(?=\\\\*["'])|(?<==)${SHELL_BARE}{${least},}|(?<![="'])${SHELL_BARE}{${leastAfterBlank},})`;
/** An option with a telling name: --api-key, --http-password. The long names have words in front. */
const OPTION = `-${FLAGS}(?<=(?:^|[\\s"']|\\\\[nrt])(?:-?-${FLAGS}|--(?:[a-z0-9]+-){1,3}(?:${MEMBER_NAMES}|token|secret)))`;

/** Each finds what may stay, and then the secret. */
const RULES: readonly RegExp[] = [
  // -----BEGIN … PRIVATE KEY----- up to its end, or as far as it was shown.
  /(-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----)((?:[A-Za-z0-9+/=\s:,]|-(?!----)|\\+[nrt]){1,32768})/g,
  new RegExp(`()(${TOKENS.join('|')})`, 'g'),
  // The scheme stays: it tells what was there.
  /([Bb]earer )((?!\[redacted:)[A-Za-z0-9._~+/-]{20,}=*)/g,
  new RegExp(
    `((?:proxy-)?authorization${IS}${QUOTE}?(?:(?:basic|bearer|digest|negotiate|token) )?)(${quoted(8)})`,
    'gi',
  ),
  new RegExp(`(cookie${IS}${QUOTE}?)((?!\\[redacted:)[^\\s"'\\\\=;,]{1,256}=[^"'\\\\\\r\\n]+)`, 'gi'),
  new RegExp(`((?:${HEADER_NAMES})${IS}${QUOTE}?)(${quoted(4)})`, 'gi'),
  new RegExp(`([?&](?:amp;)?(?:${PARAMETERS})=)(${bare(6)})`, 'gi'),
  // Quoted, any word is a secret; without quotes it could be code, and has a digit.
  new RegExp(`((?:${MEMBER_NAMES})${IS}${QUOTE})(${quoted(6)})(?=\\\\*["'])`, 'gi'),
  new RegExp(
    `((?:${MEMBER_NAMES})${WORD_END}${GAP}[:=]${GAP})((?=${BARE}{0,256}[0-9])${bare(6)})(?!${BARE}|\\()`,
    'gi',
  ),
  // What this option has is as often something to look up or to sort by, and short.
  new RegExp(
    `(-key(?<=(?:^|[\\s"']|\\\\[nrt])-?-key)(?:=|${BLANKS}|${QUOTE},${GAP}(?=${QUOTE}))${QUOTE}?)(${NO_VALUE}${SHELL_BARE}{6,})`,
    'gi',
  ),
  new RegExp(
    `(${OPTION}(?:=|(?:${BLANKS}|${QUOTE},${GAP}(?=${QUOTE}))(?!\\\\*["']?-))${QUOTE}?)(${argumentOf(3, 6)})`,
    'gi',
  ),
  new RegExp(`(${PASSWORD_VARIABLES}=${QUOTE}?)(${argumentOf(1, 1)})`, 'g'),
  new RegExp(`(_${UPPER_NAMES}${IS}${QUOTE})(${quoted(6)})`, 'g'),
  new RegExp(`(_${UPPER_NAMES}${IS})(${bare(6)})`, 'g'),
  /(:\/\/[^\s:@/"'\\]{1,256}:)((?!\[redacted:)[^\s@/"'\\]{3,256})(?=@)/g,
];

/** Replaces keys and tokens by `[redacted:<hash>]`, the hash keyed with the salt of the capture. */
export class Redactor {
  readonly #salt: Uint8Array;
  readonly #keepsSecrets: boolean;
  #count = 0;

  constructor(salt: Uint8Array, { keepsSecrets = false } = {}) {
    this.#salt = salt;
    this.#keepsSecrets = keepsSecrets;
  }

  /** Secrets replaced so far. */
  get count(): number {
    return this.#count;
  }

  /** Plain text or JSON text: the replacement has no character that JSON escapes. */
  text(text: string): string {
    if (this.#keepsSecrets) return text;
    let safe = text;
    for (const rule of RULES) {
      safe = safe.replace(rule, (_, kept: string, secret: string) => `${kept}${this.#mark(secret)}`);
    }
    return replacePasswords(safe, (password) => this.#mark(password));
  }

  /** What is written for a text that is a secret as a whole. */
  secret(secret: string): string {
    return this.#keepsSecrets || secret === '' || secret.startsWith('[redacted:')
      ? secret
      : this.#mark(secret);
  }

  #mark(secret: string): string {
    this.#count += 1;
    const hash = createHmac('sha256', this.#salt).update(secret).digest('hex');
    return `[redacted:${hash.slice(0, HASH_DIGITS)}]`;
  }
}
