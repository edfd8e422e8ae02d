// Names of programs as `--name` takes them: what matches, and what of a pattern the kernel can compare by itself.

import { AgsightError } from '../errors.js';

/** The kernel knows the first 15 bytes of a program's name. */
const headBytes = 15;

export interface NamePattern {
  /** As given. */
  text: string;
  matches(name: string): boolean;
  /** The literal beginning, at most 15 bytes: every name that matches begins with it. */
  head: Buffer;
}

/**
 * A pattern in which `*` stands for any text and `?` for any one character.
 *
 * @throws AgsightError `bad-name` when it is empty or has a slash: names are file names, not paths
 */
export function namePattern(text: string): NamePattern {
  if (text === '' || text.includes('/')) {
    throw new AgsightError('bad-name', `"${text}" is not the name of a program`, {
      remedy: 'give a file name without its path; * and ? stand for any characters',
    });
  }
  const source = text
    .replaceAll(/[\\^$.|+()[\]{}]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  const pattern = new RegExp(`^${source}$`, 's');
  const literal = /^[^*?]*/.exec(text)?.[0] ?? '';
  return {
    text,
    matches: (name) => pattern.test(name),
    head: Buffer.from(literal, 'utf8').subarray(0, headBytes),
  };
}
