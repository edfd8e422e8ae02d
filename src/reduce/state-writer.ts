// Writes a reduced state as text: two spaces of indentation, maps sorted by the UTF-8 bytes of their keys, no
// final newline; piece by piece, because the whole may not fit into one string.

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { open, rename, rm } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import { AgsightError, systemErrorCode } from '../errors.js';
import { sortByUtf8 } from '../trace/json-value.js';
import type { ReducedState } from './state.js';

const INDENT = '  ';
const ENTRY_INDENT = INDENT + INDENT;
/** Pieces are collected up to this many bytes before they go to the file. */
const BLOCK_BYTES = 1024 * 1024;
/** UTF-8 needs no more for a unit of a string. */
const MAX_UNIT_BYTES = 3;

/** The text of a state in pieces, each at most an entry of a map. */
export function* stateText(state: ReducedState): Generator<string> {
  let separator = '{';
  for (const [name, value] of Object.entries(state)) {
    if (value === undefined) continue;
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
  let separator = '{';
  for (const key of sortByUtf8([...map.keys()])) {
    yield `${separator}\n${ENTRY_INDENT}${JSON.stringify(key)}: ${entryText(map.get(key))}`;
    separator = ',';
  }
  yield `\n${INDENT}}`;
}

/** `prettyJson` at the place of a map's entry, in one native step where that can be. */
export function entryText(value: unknown): string {
  try {
    // The two arrays around it make JSON.stringify indent it as deep as an entry stands.
    return JSON.stringify([[value]], null, INDENT).slice('[\n  [\n    '.length, -'\n  ]\n]'.length);
  } catch (error) {
    // Integers beyond 2^53 are bigints, which JSON.stringify refuses.
    if (!(error instanceof TypeError)) throw error;
    return prettyJson(value, ENTRY_INDENT);
  }
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
 * finds half of it. Mode 0600. Throws AgsightError `state-write-failed`, and the reason of `signal`.
 */
export async function writeWhole(
  path: string,
  pieces: Iterable<string>,
  signal?: AbortSignal,
): Promise<void> {
  const beside = `${path}.tmp-${process.pid}-${randomBytes(4).toString('hex')}`;
  try {
    const file = await open(beside, 'wx', 0o600);
    try {
      await eachBlock(pieces, signal, (block) => file.writeFile(block));
    } finally {
      await file.close();
    }
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    if (signal?.aborted) throw signal.reason;
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

/** Writes to a stream no faster than it takes. Throws what the stream fails with, and the reason of `signal`. */
export async function writeTo(
  stream: Writable,
  pieces: Iterable<string>,
  signal?: AbortSignal,
): Promise<void> {
  await eachBlock(pieces, signal, async (block) => {
    if (!stream.write(block)) await once(stream, 'drain', { signal });
  });
}

/** Encodes pieces into blocks that are worth a write. */
async function eachBlock(
  pieces: Iterable<string>,
  signal: AbortSignal | undefined,
  write: (block: Buffer) => Promise<void>,
): Promise<void> {
  let block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  let length = 0;
  const flush = async () => {
    if (length === 0) return;
    await write(block.subarray(0, length));
    // A stream may still hold the block that it was given.
    block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
    length = 0;
  };
  for (const piece of pieces) {
    const most = MAX_UNIT_BYTES * piece.length;
    if (most > block.length - length) {
      signal?.throwIfAborted();
      await flush();
    }
    if (most <= block.length) length += block.write(piece, length);
    else await write(Buffer.from(piece));
  }
  signal?.throwIfAborted();
  await flush();
}
