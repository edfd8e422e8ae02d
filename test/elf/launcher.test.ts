import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { nativeProgramOf } from '../../src/elf/launcher.js';
import { openWorkshop } from './build.js';

const arch = process.arch === 'arm64' ? 'arm64' : 'x64';
const triple = arch === 'arm64' ? 'aarch64-unknown-linux-musl' : 'x86_64-unknown-linux-musl';
const otherTriple = arch === 'arm64' ? 'x86_64-unknown-linux-musl' : 'aarch64-unknown-linux-musl';

const workshop = openWorkshop();
afterAll(workshop.close);
let installed = 0;

/** A directory laid out as npm does it; `files` are empty programs. Returns what PATH would lead to. */
function install(files: readonly string[], name = '@openai/codex') {
  const root = workshop.path(`install-${installed++}`);
  const write = (path: string, content: string) => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
    return join(root, path);
  };
  const script = write('lib/node_modules/@openai/codex/bin/codex.js', '#!/usr/bin/env node\n');
  chmodSync(script, 0o755);
  write('lib/node_modules/@openai/codex/package.json', JSON.stringify({ name }));
  for (const file of files) write(file, '');
  mkdirSync(join(root, 'bin'));
  const command = join(root, 'bin', 'codex');
  symlinkSync('../lib/node_modules/@openai/codex/bin/codex.js', command);
  return { command, script, path: (file: string) => join(root, file) };
}

describe('the launcher script of npm', () => {
  it.each([
    ['beside it', `lib/node_modules/@openai/codex-linux-${arch}/vendor/${triple}/bin/codex`],
    [
      'below it',
      `lib/node_modules/@openai/codex/node_modules/@openai/codex-linux-${arch}/vendor/${triple}/bin/codex`,
    ],
    ['beside it, before 0.137', `lib/node_modules/@openai/codex-linux-${arch}/vendor/${triple}/codex/codex`],
    ['in its own package, before 0.100', `lib/node_modules/@openai/codex/vendor/${triple}/codex/codex`],
  ])('leads to the program %s', (_, native) => {
    const { command, script, path } = install([native]);
    expect(nativeProgramOf(command)).toBe(path(native));
    expect(nativeProgramOf(script)).toBe(path(native));
  });

  it('leads to the program of this machine, when others are there too', () => {
    const vendor = 'lib/node_modules/@openai/codex/vendor';
    const { command, path } = install([
      `${vendor}/${otherTriple}/codex/codex`,
      `${vendor}/${triple}/codex/codex`,
    ]);
    expect(nativeProgramOf(command)).toBe(path(`${vendor}/${triple}/codex/codex`));
  });

  it('leads to a program for another machine when there is no other', () => {
    const native = `lib/node_modules/@openai/codex/vendor/${otherTriple}/codex/codex`;
    const { command, path } = install([native]);
    expect(nativeProgramOf(command)).toBe(path(native));
  });

  it('is an error when it leads nowhere', () => {
    expect(() => nativeProgramOf(install([]).command)).toThrow(/codex: Codex's launcher, without a program/);
  });
});

describe('anything else', () => {
  it.each([
    ['a script of another package', () => install([], 'other').command],
    ['a script of none', () => workshop.write('script', '#!/bin/sh\n')],
    ['a program', () => process.execPath],
    ['a name without a file', () => workshop.path('nothing')],
    ['a directory', () => workshop.path('.')],
  ])('is itself: %s', (_, make) => {
    const path = make();
    expect(nativeProgramOf(path)).toBe(path);
  });
});
