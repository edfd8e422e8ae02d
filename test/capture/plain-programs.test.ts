import {
  chmodSync,
  copyFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { PlainPrograms } from '../../src/capture/plain-programs.js';

let directory: string;
let list: string;
let program: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'agsight-plain-'));
  list = join(directory, 'cache', 'plain-programs.json');
  program = join(directory, 'program');
  copyFileSync('/bin/sh', program);
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

function meet(...paths: string[]): void {
  const programs = new PlainPrograms(list);
  for (const path of paths) programs.add(path, statSync(path));
  programs.keep();
}

const inodes = (): number[] => new PlainPrograms(list).unchanged().map(({ ino }) => ino);

test('programs are known to later captures while they are as they were', () => {
  expect(inodes()).toEqual([]);
  meet(program);
  meet('/bin/sh');
  expect(inodes()).toEqual([statSync('/bin/sh').ino, statSync(program).ino]);

  utimesSync(program, new Date(0), new Date(0));
  expect(inodes()).toEqual([statSync('/bin/sh').ino]);
  meet(program);
  expect(inodes()).toEqual([statSync(program).ino, statSync('/bin/sh').ino]);
  rmSync(program);
  expect(inodes()).toEqual([statSync('/bin/sh').ino]);
});

test('a path where another file is now than the one that was examined is not kept', () => {
  const programs = new PlainPrograms(list);
  programs.add(program, statSync('/bin/sh'));
  programs.add(join(directory, 'of-a-container'), statSync(program));
  programs.keep();
  expect(inodes()).toEqual([]);
});

test('only its owner can read or write the list', () => {
  meet(program);
  expect(statSync(list).mode & 0o777).toBe(0o600);
  chmodSync(list, 0o620);
  expect(inodes()).toEqual([]);
});

test('of a damaged list what is whole is used, and it is written anew', () => {
  meet(program);
  const [entry] = JSON.parse(readFileSync(list, 'utf8'));
  for (const text of [
    '',
    '{',
    '{}',
    'null',
    '[1,null,{"path":1,"key":""}]',
    '[{"path":"/\\u0000","key":"x"}]',
  ]) {
    writeFileSync(list, text);
    expect(inodes()).toEqual([]);
  }
  writeFileSync(list, JSON.stringify([null, entry]));
  expect(inodes()).toEqual([statSync(program).ino]);
});

test('the list keeps to its limit, the newest first', () => {
  const paths = Array.from({ length: 130 }, (_, nth) => join(directory, `p${nth}`));
  for (const path of paths) copyFileSync('/bin/true', path);
  meet(...paths.slice(0, 100));
  meet(...paths.slice(100));
  const known = inodes();
  expect(known).toHaveLength(128);
  expect(known[0]).toBe(statSync(paths[100] ?? '').ino);
});
