// The table of known binaries: reads it, checks it, finds the row of a binary. The rows are in offset-table.json,
// in the form of AgentSight's `codex_offsets` (schema 1), so that rows go from one to the other unchanged.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { AgsightError, systemErrorCode } from '../errors.js';
import type { Fingerprint } from './fingerprint.js';
import type { Arch } from './headers.js';
import type { AwslcOffsets, TlsFunction } from './tls-function.js';

const schemaVersion = 1;

export interface OffsetEntry {
  codex_version: string;
  arch: Arch;
  fingerprint: Fingerprint;
  /** Null: a known binary without known functions. */
  offsets: EntryOffsets | null;
}

interface EntryOffsets {
  ssl_write: number;
  ssl_read: number;
  ssl_do_handshake?: number | null;
  write_is_ex: boolean;
  read_is_ex: boolean;
  aead_seal?: number | null;
  aead_open?: number | null;
}

export interface OffsetTable {
  entries: OffsetEntry[];
  /** Entries left out, by their position, each with what is wrong with it. */
  rejected: { index: number; reason: string }[];
}

let builtIn: OffsetTable | undefined;

/** The table that comes with the program; read once. */
export function builtInTable(): OffsetTable {
  builtIn ??= readOffsetTable(fileURLToPath(new URL('./offset-table.json', import.meta.url)));
  return builtIn;
}

/**
 * Reads a table; an entry that is not sound costs only itself.
 *
 * @throws AgsightError `unreadable` or `bad-table` when there is no list of entries at all
 */
function readOffsetTable(path: string): OffsetTable {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const code = systemErrorCode(error) ?? String(error);
    throw new AgsightError('unreadable', `cannot be read: ${code}`, { file: path, cause: error });
  }
  return parseOffsetTable(text, path);
}

/** As `readOffsetTable`, from text; `path` is for the errors. */
export function parseOffsetTable(text: string, path: string): OffsetTable {
  const badTable = (what: string) =>
    new AgsightError('bad-table', what, {
      file: path,
      remedy: 'give it schema_version 1 and a list of entries',
    });
  let table: unknown;
  try {
    table = JSON.parse(text);
  } catch {
    throw badTable('not JSON');
  }
  if (!isObject(table) || !Array.isArray(table.entries)) throw badTable('not an offset table');
  if (table.schema_version !== schemaVersion) {
    throw badTable(`an offset table of schema ${String(table.schema_version)}, not ${schemaVersion}`);
  }
  const result: OffsetTable = { entries: [], rejected: [] };
  const entries: unknown[] = table.entries;
  for (const [index, entry] of entries.entries()) {
    const reason = flawOf(entry);
    if (reason === undefined) result.entries.push(entry as OffsetEntry);
    else result.rejected.push({ index, reason });
  }
  return result;
}

/** The row of the binary with this fingerprint: same size, then same BuildID, else same head. */
export function findEntry(table: OffsetTable, fingerprint: Fingerprint, arch: Arch): OffsetEntry | undefined {
  const candidates = table.entries.filter(
    (entry) => entry.arch === arch && entry.fingerprint.file_size === fingerprint.file_size,
  );
  const byBuildId = candidates.find(
    (entry) => fingerprint.build_id !== null && entry.fingerprint.build_id === fingerprint.build_id,
  );
  return (
    byBuildId ?? candidates.find((entry) => entry.fingerprint.head_64k_sha256 === fingerprint.head_64k_sha256)
  );
}

/** OpenSSL's functions in the row. */
export function opensslFunctionsOf({ offsets }: OffsetEntry): TlsFunction[] {
  if (offsets === null) return [];
  const { ssl_write, ssl_read, ssl_do_handshake, write_is_ex, read_is_ex } = offsets;
  const functions: TlsFunction[] = [
    { name: 'ssl_write', isEx: write_is_ex, offset: ssl_write },
    { name: 'ssl_read', isEx: read_is_ex, offset: ssl_read },
  ];
  if (typeof ssl_do_handshake === 'number') {
    functions.push({ name: 'ssl_do_handshake', isEx: false, offset: ssl_do_handshake });
  }
  return functions;
}

/** aws-lc's pair in the row; null when it has none. */
export function awslcOffsetsOf({ offsets }: OffsetEntry): AwslcOffsets | null {
  const { aead_seal, aead_open } = offsets ?? {};
  return typeof aead_seal === 'number' && typeof aead_open === 'number' ? { aead_seal, aead_open } : null;
}

/** Every file offset in the row. */
export function offsetsOf({ offsets }: OffsetEntry): number[] {
  return Object.values(offsets ?? {}).filter((value) => typeof value === 'number');
}

/** What makes `entry` unusable; undefined when it is an OffsetEntry. */
function flawOf(entry: unknown): string | undefined {
  if (!isObject(entry)) return 'not an object';
  if (typeof entry.codex_version !== 'string') return 'codex_version is not a string';
  if (entry.arch !== 'x86_64' && entry.arch !== 'aarch64') return 'arch is neither x86_64 nor aarch64';
  const { fingerprint, offsets } = entry;
  if (!isObject(fingerprint)) return 'fingerprint is not an object';
  if (!isOffset(fingerprint.file_size)) return 'file_size is not a size';
  if (!isHex(fingerprint.head_64k_sha256, 64)) return 'head_64k_sha256 is not a lower-case SHA-256';
  if (fingerprint.build_id !== null && !isHex(fingerprint.build_id))
    return 'build_id is neither hex nor null';
  if (offsets === null) return undefined;
  if (!isObject(offsets)) return 'offsets is neither an object nor null';
  for (const key of ['ssl_write', 'ssl_read']) {
    if (!isOffset(offsets[key])) return `${key} is not a file offset`;
  }
  for (const key of ['ssl_do_handshake', 'aead_seal', 'aead_open']) {
    const value = offsets[key];
    if (value !== undefined && value !== null && !isOffset(value)) return `${key} is not a file offset`;
  }
  for (const key of ['write_is_ex', 'read_is_ex']) {
    if (typeof offsets[key] !== 'boolean') return `${key} is neither true nor false`;
  }
  return undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isOffset(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isHex(value: unknown, digits?: number): value is string {
  return (
    typeof value === 'string' &&
    /^[0-9a-f]+$/.test(value) &&
    (digits === undefined || value.length === digits)
  );
}
