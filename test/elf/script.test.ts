import { describe, expect, it } from 'vitest';
import { describeScript } from '../../src/elf/script.js';

const pyenv = `#!/usr/bin/env bash
set -e
[ -n "$PYENV_DEBUG" ] && set -x

program="\${0##*/}"

export PYENV_ROOT="/root/.pyenv"
exec "/root/.pyenv/libexec/pyenv" exec "$program" "$@"
`;

describe('a script', () => {
  it.each([
    [pyenv, 'bash', 'name the program that it starts, which `pyenv which python3` tells'],
    [
      '#!/usr/bin/env bash\n# asdf-plugin: python 3.11\nexec asdf exec "python3" "$@"\n',
      'bash',
      'name the program that it starts, which `asdf which python3` tells',
    ],
    ['#!/bin/sh\nexec /usr/lib/tool/tool.bin "$@"\n', '/bin/sh', 'name the program that it starts'],
    [
      '#!/usr/bin/env -S NO_COLOR=1 node --no-warnings\n',
      'node',
      'name node: what the script says over TLS goes through it',
    ],
    [
      '#! /opt/venv/bin/python3.12 -s\r\n',
      '/opt/venv/bin/python3.12',
      'name /opt/venv/bin/python3.12: what the script says over TLS goes through it',
    ],
  ])('tells what runs it, and what to name instead: %j', (text, interpreter, remedy) => {
    expect(describeScript('/shims/python3', Buffer.from(text))).toEqual({
      what: `a script that ${interpreter} runs`,
      remedy,
    });
  });

  it.each(['#!', '#!\n', '#!/usr/bin/env\n', '#!/bin/\u001b[31msh\n'])('may name nothing: %j', (text) => {
    expect(describeScript('/bin/x', Buffer.from(text))).toMatchObject({ what: 'a script' });
  });

  it('is nothing else', () => {
    expect(describeScript('/bin/x', Buffer.from('\x7fELF'))).toBeUndefined();
    expect(describeScript('/bin/x', Buffer.from(''))).toBeUndefined();
  });
});
