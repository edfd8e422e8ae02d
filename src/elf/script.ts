// A script, which is no program itself: what runs it, and how to find the program behind it. Nothing is started for
// that: what a shim leads to depends on the directory and the environment in which it is run.

import { basename } from 'node:path';

/** The first line, and of a shim all of it. */
export const scriptBytes = 1024;

const shell = /^(?:ba|da|z|k|mk|a|fi)?sh$/;
/** `exec "/root/.pyenv/libexec/pyenv" exec "$program"`, `exec asdf exec "python3"` */
const shim = /\bexec\s+["']?(?:[\w./-]*\/)?([a-z]{1,8}env|asdf)["']?\s+exec\b/;

export interface Script {
  what: string;
  remedy: string;
}

/** @param start the first `scriptBytes` of the file at `path`, or all of it; undefined when it is no script */
export function describeScript(path: string, start: Buffer): Script | undefined {
  const text = start.toString('latin1');
  if (!text.startsWith('#!')) return undefined;
  const interpreter = interpreterOf(text);
  if (interpreter === undefined) {
    return { what: 'a script', remedy: 'name the program that it starts' };
  }
  const [, manager] = shim.exec(text) ?? [];
  const isShell = shell.test(basename(interpreter));
  const remedy =
    manager !== undefined
      ? `name the program that it starts, which \`${manager} which ${basename(path)}\` tells`
      : isShell
        ? 'name the program that it starts'
        : `name ${interpreter}: what the script says over TLS goes through it`;
  return { what: `a script that ${interpreter} runs`, remedy };
}

/** As a person would name it; undefined when the first line names none. */
function interpreterOf(text: string): string | undefined {
  const [line = ''] = text.slice(2).split('\n', 1);
  const [command = '', ...args] = line.trim().split(/\s+/);
  const name =
    basename(command) === 'env'
      ? args.find((argument) => !argument.startsWith('-') && !argument.includes('='))
      : command;
  return name !== undefined && /^[\w./+-]+$/.test(name) ? name : undefined;
}
