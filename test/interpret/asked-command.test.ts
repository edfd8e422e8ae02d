import { describe, expect, test } from 'vitest';
import { askedCommand, isAsked } from '../../src/interpret/asked-command.js';

/** As Codex 0.130 to 0.169 end it. */
const loader = (command: string): string[] => [
  '/bin/bash',
  '-c',
  `__CODEX_SNAPSHOT_OVERRIDE_SET_0="\${HOME+x}"\nif . '/h/snapshot.sh' >/dev/null 2>&1; then :; fi\n\nexec '/usr/bin/bash' -c ${command}`,
];
const sandbox = (...argv: string[]): string[] => [
  '/h/tmp/codex-linux-sandbox',
  '--sandbox-policy-cwd',
  '/w',
  '--',
  ...argv,
];

describe('the command that was asked for', () => {
  test.each([
    ['alone is itself', ['/bin/bash', '-c', 'ls'], ['/bin/bash', '-c', 'ls']],
    ['comes out of the loader', loader("'ls -l'"), ['/usr/bin/bash', '-lc', 'ls -l']],
    ['has its quotes', loader(`'echo '"'"'a b'"'"''`), ['/usr/bin/bash', '-lc', "echo 'a b'"]],
    [
      'may look like the end of a loader itself',
      loader(`'true\n\nexec '"'"'sh'"'"' -c '"'"'x'"'"''`),
      ['/usr/bin/bash', '-lc', "true\n\nexec 'sh' -c 'x'"],
    ],
    ['comes out of the sandbox', sandbox('ls', '--', 'a'), ['ls', '--', 'a']],
    ['comes out of both', sandbox(...loader("'ls'")), ['/usr/bin/bash', '-lc', 'ls']],
    ['is not guessed in a loader of another form', loader("'ls' 'more'"), loader("'ls' 'more'")],
    ['may be missing', [], []],
  ])('%s', (_, argv, command) => {
    expect(askedCommand(argv)).toEqual(command);
  });

  test.each([
    ['ls -l', ['/bin/bash', '-lc', 'ls -l'], true],
    ['ls -l', sandbox(...loader("'ls -l'")), true],
    ['bash -lc ls', ['bash', '-lc', 'ls'], true],
    ['ls', ['/bin/bash', '-lc', 'ls -l'], false],
  ])('%j is run by %j: %j', (request, argv, is) => {
    expect(isAsked(argv, request)).toBe(is);
  });
});
