// Takes secrets out of an argument vector: what an element is can depend on the one before it, and on the program.
// Owns neither the names that tell of a secret (redact.ts) nor the options of programs (password-options.ts).

import { passwordsIn } from './password-options.js';
import { HEADER_NAMES, MEMBER_NAMES, PASSWORD_VARIABLES, type Redactor, UPPER_NAMES } from './redact.js';

const OPTION = new RegExp(
  `^(?:--?(?:${MEMBER_NAMES}|token|secret)|--(?:[a-z0-9]+-){1,3}(?:${MEMBER_NAMES}|token|secret))$`,
  'i',
);
/** A name that is a secret or, as often, something to sort or look up by: only a long value is one. */
const KEY = /^--?key$/i;
const SHORTEST_KEY = 6;
const HEADER = new RegExp(
  `^((?:proxy-)?authorization:\\s*(?:[a-z]+\\s+)?|(?:${HEADER_NAMES}):\\s*|cookie:\\s*)(.+)$`,
  'is',
);
// Of the environment: `env PGPASSWORD=…`, `docker run -e DB_PASSWORD=…`, `--env=…`.
const VARIABLE = new RegExp(
  `^((?:--?[a-z-]+=)?(?:${PASSWORD_VARIABLES}|(?:[A-Z0-9_]*_)?(?:PASSWORD|PASSWD|PASSPHRASE|TOKEN|SECRET)|[A-Z0-9_]*_${UPPER_NAMES}(?=.{7}))=)(.+)$`,
  's',
);
/** What follows is a command, which may begin with a variable. */
const SCRIPT_OPTION = /^-[a-z]*c$/;

/** The arguments with `[redacted:…]` in the place of each secret; their number stays. */
export function redactArguments(argv: readonly string[], redactor: Redactor): string[] {
  const passwords = new Map(passwordsIn(argv).map((span) => [span.word, span]));
  return argv.map((argument, index) => {
    const span = passwords.get(index);
    if (span !== undefined) {
      const { start, end } = span;
      return argument.slice(0, start) + redactor.secret(argument.slice(start, end)) + argument.slice(end);
    }
    const before = argv[index - 1] ?? '';
    if (!argument.startsWith('-')) {
      if (OPTION.test(before)) return redactor.secret(argument);
      if (KEY.test(before) && argument.length >= SHORTEST_KEY) return redactor.secret(argument);
    }
    const equals = argument.indexOf('=') + 1;
    if (equals > 1 && OPTION.test(argument.slice(0, equals - 1))) {
      return argument.slice(0, equals) + redactor.secret(argument.slice(equals));
    }
    const isScript = /\s/.test(argument) && (SCRIPT_OPTION.test(before) || index === argv.length - 1);
    const [, kept, secret] = HEADER.exec(argument) ?? (isScript ? null : VARIABLE.exec(argument)) ?? [];
    if (kept !== undefined && secret !== undefined) return kept + redactor.secret(secret);
    return redactor.text(argument);
  });
}
