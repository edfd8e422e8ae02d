// Where the options of known programs carry a password. Owns which words of a command line hold one, and how words are
// told apart in the text of a command. Options that say in their name what they carry need no program (redact.ts).

/** Part of one word, from `start` to `end`. */
export interface Span {
  word: number;
  start: number;
  end: number;
}

interface PasswordOptions {
  /** The last group is the value; when it is empty or absent, the next word is. */
  option: RegExp;
  /** Where the value has this character, the password is what follows it; a value without it is none. */
  after?: ':' | '=';
  /** The value is never the next word. */
  isAttached?: boolean;
  /** What comes between the program and its options. */
  subcommand?: string;
  /** Ends with the first word that is no option: what follows is the command line of another program. */
  isWrapper?: boolean;
}

const CURL: PasswordOptions[] = [
  // Letters without a value may stand before it: -su.
  { option: /^(?:-[#0-9aBfgGiIjJklLMnNOpqRsSvVZ]*[uU]|--(?:proxy-)?user(?:=|$))(.*)$/s, after: ':' },
  // Cookies, or the name of a file with them.
  { option: /^(?:-[#0-9aBfgGiIjJklLMnNOpqRsSvVZ]*b|--cookie(?:=|$))(.*)$/s, after: '=' },
  { option: /^--(?:oauth2-bearer|(?:proxy-)?pass)(?:=(.*))?$/s },
];
// Not the ports of a container with that name.
const ATTACHED: PasswordOptions[] = [{ option: /^-p(?!\d+:\d+$)(.+)$/s, isAttached: true }];

/** @see the manuals of the programs. */
const PROGRAMS: readonly [name: RegExp, options: readonly PasswordOptions[]][] = [
  [/^curl$/, CURL],
  [/^(?:mysql|mariadb)[a-z-]*$/, ATTACHED],
  [/^7z[ar]?$/, ATTACHED],
  [/^sshpass$/, [{ option: /^-p(.*)$/s, isWrapper: true }]],
  [/^redis-cli$/, [{ option: /^(?:-a|--pass(?:=(.*))?)$/s }]],
  [/^(?:docker|podman|az|oc)$/, [{ option: /^-p(.*)$/s, subcommand: 'login' }]],
  [/^(?:zip|unzip)$/, [{ option: /^-P(.*)$/s }]],
  [/^ldap[a-z]+$/, [{ option: /^-w(.*)$/s }]],
];
const PROGRAM_IN_TEXT =
  /(?:curl|mysql[a-z]*|mariadb[a-z-]*|7z[ar]?|sshpass|redis-cli|docker|podman|az|oc|unzip|zip|ldap[a-z]+)(?=[ \t]|\\+[nt]|\\*["'],)/g;

/** The passwords in the words of one command, in order, whatever runs it (`sudo -u me curl …`). */
export function passwordsIn(words: readonly string[]): Span[] {
  const spans = new Map<number, Span>();
  for (const [program, options] of PROGRAMS) {
    const at = words.findIndex((word) => program.test(word.slice(word.lastIndexOf('/') + 1)));
    if (at < 0) continue;
    for (const one of options) {
      for (const span of valuesOf(one, words, at + 1)) spans.set(span.word, span);
    }
  }
  return [...spans.values()].sort((one, other) => one.word - other.word);
}

function* valuesOf(
  { option, after, isAttached, isWrapper, subcommand }: PasswordOptions,
  words: readonly string[],
  first: number,
): Generator<Span> {
  if (subcommand !== undefined && words[first] !== subcommand) return;
  for (let at = first; at < words.length; at++) {
    const word = words[at] ?? '';
    if (isWrapper && !word.startsWith('-')) return;
    const match = option.exec(word);
    if (match === null) continue;
    const attached = match[1] ?? '';
    const isNext = attached === '' && !isAttached;
    const value = isNext ? (words[at + 1] ?? '') : attached;
    if (isNext && value.startsWith('-')) continue;
    const place = isNext ? at + 1 : at;
    const begin = isNext ? 0 : word.length - attached.length;
    const start = after === undefined ? 0 : value.indexOf(after) + 1;
    if ((after === undefined || start > 0) && start < value.length) {
      yield { word: place, start: begin + start, end: begin + value.length };
    }
    if (isWrapper) return;
  }
}

/** Characters of a command in a text that are looked at: a password is not so far from the program. */
const MAX_LENGTH = 4000;
const GAP = String.raw`(?:\s|\\+[nrt])*`;
// A newline in JSON has one backslash, in JSON within JSON two; that of a continued line has three or more.
const BLANKS = /(?:[ \t]|\\\r?\n|\\{3,}n|\\+t)+/y;
const COMMA = new RegExp(`,${GAP}(?=\\\\*["'])`, 'y');
const LIST = new RegExp(`\\\\*["'],${GAP}(?=\\\\*["'])`, 'y');
// A quote begins a part of a word only where a shell command has one, and not where it could be the end of a JSON string.
const WORD = new RegExp(
  `(?:(?<=[\\s,=:]|\\\\[nt]|-[A-Za-z])(\\\\*)(["'])(?!${GAP}(?:[,:}\\]]|$))[^\\n]*?(?<!\\\\)\\1\\2` +
    `|[^\\s;&|<>"'\\\\()\`]|\\\\+[^\\\\nrt"'\\s])+`,
  'y',
);
const STRING = /(\\*)(["'])[^\n]*?(?<!\\)\1\2/y;
const QUOTED = /^(\\*["'])(.*)\1$/s;

/** `text`, plain or JSON, with what `replace` makes of each password that a known program is given in it. */
export function replacePasswords(text: string, replace: (password: string) => string): string {
  let safe = '';
  let done = 0;
  let outer: Word[] = [];
  for (const { 0: program, index } of text.matchAll(PROGRAM_IN_TEXT)) {
    if (index < done || !/(?:^|[^\w.-]|\\[nrtbf])$/.test(text.slice(Math.max(0, index - 2), index))) continue;
    const around = outer.find(({ at, text: word }) => index < at + word.length && index >= at);
    // As a word of its own it has been looked at with the command that it belongs to.
    if (around?.at === index && around.text === program) continue;
    const limit = around === undefined ? index + MAX_LENGTH : around.at + around.text.length;
    const words = wordsFrom(text.slice(index, limit), program.length).map((word) => ({
      ...word,
      at: word.at + index,
    }));
    if (around === undefined) outer = words;
    for (const { word, start, end } of passwordsIn([program, ...words.map((one) => one.text)])) {
      const { at, text: whole } = words[word - 1] ?? { at: 0, text: '' };
      const quote = /^\\*["']/.exec(whole.slice(start, end))?.[0] ?? '';
      const password = whole.slice(start + quote.length, end).replace(/\\*["'].*$/s, '');
      // A variable is no secret, and what was replaced before is passed over.
      if (password === '' || /^(?:\$|\[redacted:)/.test(password)) continue;
      const from = at + start + quote.length;
      safe += text.slice(done, from) + replace(password);
      done = from + password.length;
    }
  }
  return done === 0 ? text : safe + text.slice(done);
}

interface Word {
  at: number;
  text: string;
}

/** The words from `start` to the end of the command, or of the list of JSON strings; quotes around a word left out. */
function wordsFrom(text: string, start: number): Word[] {
  const listStart = endOf(LIST, text, start);
  const [word, between] = listStart === undefined ? [WORD, BLANKS] : [STRING, COMMA];
  const words: Word[] = [];
  let at = listStart ?? endOf(BLANKS, text, start);
  while (at !== undefined) {
    const end = endOf(word, text, at);
    if (end === undefined) break;
    const written = text.slice(at, end);
    const [, quote = '', inner = written] = QUOTED.exec(written) ?? [];
    words.push({ at: at + quote.length, text: inner });
    at = endOf(between, text, end);
  }
  return words;
}

/** Where a match that begins at `start` ends. */
function endOf(sticky: RegExp, text: string, start: number): number | undefined {
  sticky.lastIndex = start;
  return sticky.test(text) ? sticky.lastIndex : undefined;
}
