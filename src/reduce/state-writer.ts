// Writes a reduced state as text: two spaces of indentation, maps sorted by the UTF-8 bytes of their keys, no
// final newline; piece by piece, because the whole may not fit into one string.

import { randomBytes } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { AgsightError, systemErrorCode } from '../errors.js';
import { compareUtf8 } from '../trace/json-value.js';
import type { ReducedState } from './state.js';

const INDENT = '  ';
/** Pieces are collected up to this many characters before they go to the file. */
const FLUSH_CHARS = 1024 * 1024;

/** The text of a state in pieces. */
export function* stateText(state: ReducedState): Generator<string> {
  let separator = '{';
  for (const [name, value] of Object.entries(state)) {
    yield `${separator}\n${INDENT}"${name}": `;
    if (value instanceof Map) yield* mapText(value);
    else yield prettyJson(value, INDENT);
    separator = ',';
  }
  yield '\n}';
}

function* mapText(map: ReadonlyMap<string, unknown>): Generator<string> {
  if (map.size === 0) {
    yield '{}';
    return;
  }
  const indent = INDENT + INDENT;
  let separator = '{';
  for (const key of [...map.keys()].sort(compareUtf8)) {
    yield `${separator}\n${indent}${JSON.stringify(key)}: ${prettyJson(map.get(key), indent)}`;
    separator = ',';
  }
  yield `\n${INDENT}}`;
}

/** JSON text with members that are undefined left out; the first line is not indented. */
export function prettyJson(value: unknown, indent = ''): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value !== 'object' || value === null) return String(value);
  const inner = indent + INDENT;
  const parts = Array.isArray(value)
    ? value.map((item) => inner + prettyJson(item, inner))
    : Object.entries(value)
        .filter(([, member]) => member !== undefined)
        .map(([key, member]) => `${inner}${JSON.stringify(key)}: ${prettyJson(member, inner)}`);
  const [open, close] = Array.isArray(value) ? '[]' : '{}';
  return parts.length === 0 ? `${open}${close}` : `${open}\n${parts.join(',\n')}\n${indent}${close}`;
}

/**
 * Writes a file beside its place and moves it there when it is whole, so that no reader and no interruption
 * finds half of it. Mode 0600. Throws AgsightError `state-write-failed`.
 */
export async function writeWhole(path: string, pieces: Iterable<string>): Promise<void> {
  const beside = `${path}.tmp-${process.pid}-${randomBytes(4).toString('hex')}`;
  try {
    const file = await open(beside, 'wx', 0o600);
    try {
      await writePieces(file, pieces);
    } finally {
      await file.close();
    }
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw new AgsightError(
      'state-write-failed',
      `cannot write (${systemErrorCode(error) ?? String(error)})`,
      {
        file: path,
        remedy: 'check the directory, its permissions and the free space',
        cause: error,
      },
    );
  }
}

async function writePieces(file: FileHandle, pieces: Iterable<string>): Promise<void> {
  let collected: string[] = [];
  let chars = 0;
  for (const piece of pieces) {
    collected.push(piece);
    chars += piece.length;
    if (chars < FLUSH_CHARS) continue;
    await file.writeFile(collected.join(''));
    collected = [];
    chars = 0;
  }
  await file.writeFile(collected.join(''));
}
