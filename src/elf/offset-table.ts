// Tables of known binaries: reads them, checks them, finds the row of a binary, writes the row of one. The form is
// AgentSight's `codex_offsets` (schema 1), so that rows go from one to the other unchanged; `arch` and the functions
// of the record libraries are ours, and others ignore them.

import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AgsightError, systemErrorCode } from '../errors.js';
import type { Fingerprint } from './fingerprint.js';
import type { Arch } from './headers.js';
import {
  eachRecordLibrary,
  type Findings,
  type OpensslOffsets,
  type RecordAnswer,
  type RecordLibraryName,
  type RecordOffsets,
  recordFunctions,
  recordLibraryNames,
  recordOffsets,
  type TlsFunction,
} from './tls-function.js';

const schemaVersion = 1;
const maxTableBytes = 16 * 1024 * 1024;

export interface OffsetEntry {
  codex_version: string;
  /** Absent in tables of others, who tell binaries apart by their fingerprints alone. */
  arch?: Arch;
  fingerprint: Fingerprint;
  /** Null: a known binary without known functions. */
  offsets: EntryOffsets | null;
}

interface EntryOffsets {
  ssl_write: number;
  ssl_read: number;
  ssl_do_handshake: number | null;
  write_is_ex: boolean;
  read_is_ex: boolean;
  /** Of the record libraries. Null: the binary does not have the function. Absent: nobody has looked. */
  [recordFunction: string]: number | boolean | null | undefined;
}

export interface OffsetTable {
  entries: OffsetEntry[];
  /** What had to be left out, a phrase each. */
  problems: string[];
}

let builtIn: OffsetTable | undefined;
let builtInIdentity: string | undefined;

const builtInPath = fileURLToPath(new URL('./offset-table.json', import.meta.url));

/** The table that comes with the program; read once. */
export function builtInTable(): OffsetTable {
  builtIn ??= readOffsetTable(builtInPath);
  return builtIn;
}

/** Where a user keeps rows of their own: `agsight/offsets.json` under XDG_CONFIG_HOME, which is ~/.config unless set. */
export function userTablePath(env: NodeJS.ProcessEnv = process.env): string {
  return join(env.XDG_CONFIG_HOME || join(homedir(), '.config'), 'agsight', 'offsets.json');
}

/** Another text whenever a table that is asked without being named may have changed. */
export function tablesIdentity(): string {
  builtInIdentity ??= createHash('sha256').update(readFileSync(builtInPath)).digest('hex');
  try {
    const { ino, size, ctimeNs } = statSync(userTablePath(), { bigint: true });
    return `${builtInIdentity} ${ino} ${size} ${ctimeNs}`;
  } catch (error) {
    return `${builtInIdentity} ${systemErrorCode(error) ?? String(error)}`;
  }
}

/**
 * The rows of `path` if one is given, then those of the user's own table if there is one, then those that come with
 * the program: whoever comes first is asked first.
 *
 * @throws AgsightError `unreadable` or `bad-table` when `path` cannot be used; a user's own table is only a problem
 */
export function knownTable(path?: string): OffsetTable {
  const tables = path === undefined ? [] : [readOffsetTable(path)];
  try {
    tables.push(readOffsetTable(userTablePath()));
  } catch (error) {
    if (!(error instanceof AgsightError)) throw error;
    const isMissing = systemErrorCode(error.cause) === 'ENOENT';
    if (!isMissing) tables.push({ entries: [], problems: [error.message] });
  }
  tables.push(builtInTable());
  return {
    entries: tables.flatMap(({ entries }) => entries),
    problems: tables.flatMap(({ problems }) => problems),
  };
}

/**
 * Reads a table; an entry that is not sound costs only itself.
 *
 * @throws AgsightError `unreadable` or `bad-table` when there is no list of entries at all
 */
function readOffsetTable(path: string): OffsetTable {
  let text: string;
  try {
    const status = statSync(path);
    if (!status.isFile() || status.size > maxTableBytes) {
      throw badTable(path, `not a file of at most ${maxTableBytes} bytes`);
    }
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof AgsightError) throw error;
    const code = systemErrorCode(error) ?? String(error);
    throw new AgsightError('unreadable', `cannot be read: ${code}`, { file: path, cause: error });
  }
  return parseOffsetTable(text, path);
}

/**
 * As `readOffsetTable`, from text; `path` is for the errors. Takes a table, AgentSight's configuration with one
 * in it, a bare list of rows, or one row as `agsight offsets --entry` prints it.
 */
export function parseOffsetTable(text: string, path: string): OffsetTable {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    throw badTable(path, 'not JSON');
  }
  const table: OffsetTable = { entries: [], problems: [] };
  for (const [index, row] of rowsOf(content, path).entries()) {
    const flaw = flawOf(row);
    if (flaw === undefined) table.entries.push(normalised(row as OffsetEntry));
    else table.problems.push(`${path}: entry ${index} is left out: ${flaw}`);
  }
  return table;
}

function rowsOf(content: unknown, path: string): unknown[] {
  if (Array.isArray(content)) return content;
  if (isObject(content) && isObject(content.fingerprint)) return [content];
  const table = isObject(content) && isObject(content.codex_offsets) ? content.codex_offsets : content;
  if (!isObject(table) || !Array.isArray(table.entries)) throw badTable(path, 'not an offset table');
  const version = table.schema_version ?? schemaVersion;
  if (version !== schemaVersion) {
    throw badTable(path, `an offset table of schema ${String(version)}, not ${schemaVersion}`);
  }
  return table.entries;
}

function badTable(path: string, what: string): AgsightError {
  return new AgsightError('bad-table', what, {
    file: path,
    remedy: `give it schema_version ${schemaVersion} and a list of entries`,
  });
}

function normalised({ fingerprint, offsets, ...entry }: OffsetEntry): OffsetEntry {
  const { file_size, head_64k_sha256, build_id } = fingerprint;
  return {
    ...entry,
    fingerprint: {
      file_size,
      head_64k_sha256: head_64k_sha256.toLowerCase(),
      build_id: build_id?.toLowerCase() ?? null,
    },
    offsets: offsets ?? null,
  };
}

/** The row of the binary with this fingerprint: same size, then same BuildID, else same head. */
export function findEntry(
  { entries }: OffsetTable,
  fingerprint: Fingerprint,
  arch: Arch,
): OffsetEntry | undefined {
  const candidates = entries.filter(
    (entry) =>
      (entry.arch === undefined || entry.arch === arch) &&
      entry.fingerprint.file_size === fingerprint.file_size,
  );
  const byBuildId = candidates.find(
    (entry) => fingerprint.build_id !== null && entry.fingerprint.build_id === fingerprint.build_id,
  );
  return (
    byBuildId ?? candidates.find((entry) => entry.fingerprint.head_64k_sha256 === fingerprint.head_64k_sha256)
  );
}

/** The functions in the row. */
export function findingsOf(entry: OffsetEntry | undefined): Findings {
  const offsets = entry?.offsets;
  if (offsets === undefined || offsets === null) {
    return { functions: [], records: eachRecordLibrary(() => undefined), reasons: [], doubts: [] };
  }
  const { ssl_write, ssl_read, ssl_do_handshake, write_is_ex, read_is_ex } = offsets;
  const confidence = 'high';
  const functions: TlsFunction[] = [
    { name: 'ssl_write', isEx: write_is_ex, offset: ssl_write, confidence },
    { name: 'ssl_read', isEx: read_is_ex, offset: ssl_read, confidence },
  ];
  if (typeof ssl_do_handshake === 'number') {
    functions.push({ name: 'ssl_do_handshake', isEx: false, offset: ssl_do_handshake, confidence });
  }
  const recordsOf = (library: RecordLibraryName): RecordAnswer => {
    const found = recordOffsets(library, (key) => {
      const offset = offsets[key];
      return typeof offset === 'number' ? offset : undefined;
    });
    if (found !== undefined) return { offsets: found, confidence };
    return recordFunctions(library).some(([key]) => offsets[key] === null) ? null : undefined;
  };
  return { functions, records: eachRecordLibrary(recordsOf), reasons: [], doubts: [] };
}

/** Every file offset in the row. */
export function offsetsOf({ offsets }: OffsetEntry): number[] {
  return Object.values(offsets ?? {}).filter((value) => typeof value === 'number');
}

/**
 * The row of a binary, to be put into a table. Undefined when its writing or reading function is unknown.
 *
 * @param records of each record library; null: it holds none; undefined: that is unknown
 */
export function makeEntry(
  codexVersion: string | null,
  arch: Arch,
  fingerprint: Fingerprint,
  openssl: OpensslOffsets | null,
  records: Record<RecordLibraryName, RecordOffsets | null | undefined>,
): OffsetEntry | undefined {
  if (openssl === null) return undefined;
  const { ssl_write, ssl_read } = openssl;
  if (ssl_write === null || ssl_read === null) return undefined;
  return {
    codex_version: codexVersion ?? 'unknown',
    arch,
    fingerprint,
    offsets: {
      ...openssl,
      ssl_write,
      ssl_read,
      ...Object.fromEntries(
        recordLibraryNames.flatMap((library) => {
          const known = records[library];
          if (known === undefined) return [];
          return recordFunctions(library).map(([key]) => [key, known?.[key] ?? null]);
        }),
      ),
    },
  };
}

/** What makes `entry` unusable; undefined when it is an OffsetEntry. */
function flawOf(entry: unknown): string | undefined {
  if (!isObject(entry)) return 'not an object';
  if (typeof entry.codex_version !== 'string') return 'codex_version is not a string';
  if (entry.arch !== undefined && entry.arch !== 'x86_64' && entry.arch !== 'aarch64')
    return 'arch is neither x86_64 nor aarch64';
  const { fingerprint, offsets } = entry;
  if (!isObject(fingerprint)) return 'fingerprint is not an object';
  if (!isOffset(fingerprint.file_size)) return 'file_size is not a size';
  if (!isHex(fingerprint.head_64k_sha256, 64)) return 'head_64k_sha256 is not a SHA-256';
  const { build_id } = fingerprint;
  if (build_id !== undefined && build_id !== null && !isHex(build_id))
    return 'build_id is neither hex nor null';
  if (offsets === null || offsets === undefined) return undefined;
  if (!isObject(offsets)) return 'offsets is neither an object nor null';
  for (const key of ['ssl_write', 'ssl_read']) {
    if (!isOffset(offsets[key])) return `${key} is not a file offset`;
  }
  const recordKeys = recordLibraryNames.flatMap((library) => recordFunctions(library).map(([key]) => key));
  for (const key of ['ssl_do_handshake', ...recordKeys]) {
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
    /^[0-9a-f]+$/i.test(value) &&
    (digits === undefined || value.length === digits)
  );
}
