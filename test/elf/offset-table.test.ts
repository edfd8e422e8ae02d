import { mkdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { inspectBinary } from '../../src/elf/binary.js';
import {
  builtInTable,
  findEntry,
  knownTable,
  type OffsetEntry,
  parseOffsetTable,
  userTablePath,
} from '../../src/elf/offset-table.js';
import { bareLibrary, functionOffsets, openWorkshop } from './build.js';

const tableFile = fileURLToPath(new URL('../../src/elf/offset-table.json', import.meta.url));
const fresh = (): { schema_version: number; entries: Record<string, unknown>[] } =>
  JSON.parse(readFileSync(tableFile, 'utf8'));

describe('the table that comes with the program', () => {
  const { entries, problems } = builtInTable();

  it('is sound', () => {
    expect(problems).toEqual([]);
    expect(entries.map(({ codex_version, arch }) => `${codex_version} ${arch}`)).toEqual([
      '0.50.0 x86_64',
      '0.100.0 x86_64',
      '0.110.0 aarch64',
      '0.116.0 x86_64',
      '0.116.0 aarch64',
      '0.120.0 x86_64',
      '0.130.0 x86_64',
      '0.130.0 aarch64',
      '0.137.0 x86_64',
      '0.140.0 x86_64',
      '0.141.0 x86_64',
      '0.142.0 x86_64',
      '0.142.0 aarch64',
      '0.155.1 x86_64',
      '0.160.0 x86_64',
      '0.169.0 x86_64',
      '0.169.0 aarch64',
    ]);
  });

  it('knows the published rows of 0.141.0 and 0.137.0', () => {
    const offsets = (version: string) =>
      entries.find(({ codex_version }) => codex_version === version)?.offsets;
    expect(offsets('0.141.0')).toMatchObject({
      ssl_write: 210691872,
      ssl_read: 210691280,
      ssl_do_handshake: 210689600,
    });
    expect(offsets('0.137.0')).toMatchObject({
      ssl_write: 172964768,
      ssl_read: 172964176,
      ssl_do_handshake: 172962496,
    });
  });

  it('finds each row by its own fingerprint', () => {
    for (const entry of entries)
      expect(findEntry({ entries, problems }, entry.fingerprint, entry.arch ?? 'x86_64')).toBe(entry);
  });
});

describe('a row', () => {
  const head = 'a'.repeat(64);
  const row = (codex_version: string, build_id: string | null, head_64k_sha256 = head): OffsetEntry => ({
    codex_version,
    arch: 'x86_64',
    fingerprint: { file_size: 100, head_64k_sha256, build_id },
    offsets: null,
  });
  const table = { entries: [row('by head', null), row('by id', 'beef', 'b'.repeat(64))], problems: [] };

  it('needs the same size and architecture', () => {
    const fingerprint = { file_size: 100, head_64k_sha256: head, build_id: null };
    expect(findEntry(table, fingerprint, 'x86_64')?.codex_version).toBe('by head');
    expect(findEntry(table, { ...fingerprint, file_size: 101 }, 'x86_64')).toBeUndefined();
    expect(findEntry(table, fingerprint, 'aarch64')).toBeUndefined();
  });

  it('is found by BuildID before it is found by its head', () => {
    const fingerprint = { file_size: 100, head_64k_sha256: head, build_id: 'beef' };
    expect(findEntry(table, fingerprint, 'x86_64')?.codex_version).toBe('by id');
    expect(findEntry(table, { ...fingerprint, build_id: 'f00d' }, 'x86_64')?.codex_version).toBe('by head');
    expect(
      findEntry(table, { ...fingerprint, head_64k_sha256: 'c'.repeat(64), build_id: null }, 'x86_64'),
    ).toBeUndefined();
  });
});

describe('a damaged table', () => {
  it.each<[string, (entry: Record<string, unknown>) => void]>([
    ['codex_version', (entry) => delete entry.codex_version],
    ['arch', (entry) => Object.assign(entry, { arch: 'riscv64' })],
    ['fingerprint', (entry) => Object.assign(entry, { fingerprint: [] })],
    ['file_size', ({ fingerprint }) => Object.assign(fingerprint ?? {}, { file_size: '1' })],
    ['head_64k_sha256', ({ fingerprint }) => Object.assign(fingerprint ?? {}, { head_64k_sha256: 'ab' })],
    ['build_id', ({ fingerprint }) => Object.assign(fingerprint ?? {}, { build_id: 'not hex' })],
    ['offsets', (entry) => Object.assign(entry, { offsets: 7 })],
    ['ssl_write', ({ offsets }) => Object.assign(offsets ?? {}, { ssl_write: -1 })],
    ['ssl_read', ({ offsets }) => Object.assign(offsets ?? {}, { ssl_read: 1.5 })],
    ['ssl_do_handshake', ({ offsets }) => Object.assign(offsets ?? {}, { ssl_do_handshake: '0x1' })],
    ['aead_seal', ({ offsets }) => Object.assign(offsets ?? {}, { aead_seal: 2 ** 60 })],
    ['write_is_ex', ({ offsets }) => Object.assign(offsets ?? {}, { write_is_ex: 1 })],
  ])('loses only the entry whose %s is wrong', (what, spoil) => {
    const table = fresh();
    const [, victim] = table.entries;
    spoil(victim ?? {});
    const { entries, problems } = parseOffsetTable(JSON.stringify(table), 'table.json');
    expect(entries).toHaveLength(table.entries.length - 1);
    expect(problems).toEqual([
      expect.stringMatching(new RegExp(`^table.json: entry 1 is left out: .*${what}`)),
    ]);
  });

  it('keeps a known binary without functions', () => {
    const table = fresh();
    Object.assign(table.entries[0] ?? {}, { offsets: null });
    expect(parseOffsetTable(JSON.stringify(table), 'table.json').problems).toEqual([]);
  });

  it.each([['not json'], ['7'], ['{"schema_version":1}'], ['{"schema_version":2,"entries":[]}']])(
    'is an error when it is none: %s',
    (text) => {
      expect(() => parseOffsetTable(text, 'table.json')).toThrow(
        /^table\.json: .*\(give it schema_version 1/,
      );
    },
  );
});

describe('tables of others', () => {
  const row = {
    codex_version: 'unknown',
    fingerprint: { file_size: 1, head_64k_sha256: 'AB'.repeat(32) },
    offsets: { ssl_write: 1, ssl_read: 2, ssl_do_handshake: 3, write_is_ex: true, read_is_ex: true },
  };

  it.each([
    ["AgentSight's configuration", { features: {}, codex_offsets: { schema_version: 1, entries: [row] } }],
    ['a table without a schema', { entries: [row] }],
    ['a list of rows', [row]],
    ['one row', row],
  ])('are read from %s', (_, content) => {
    const { entries, problems } = parseOffsetTable(JSON.stringify(content), 'table.json');
    expect(problems).toEqual([]);
    expect(entries).toEqual([
      { ...row, fingerprint: { file_size: 1, head_64k_sha256: 'ab'.repeat(32), build_id: null } },
    ]);
    const fingerprint = { file_size: 1, head_64k_sha256: 'ab'.repeat(32), build_id: null };
    for (const arch of ['x86_64', 'aarch64'] as const) {
      expect(findEntry({ entries, problems }, fingerprint, arch)?.codex_version).toBe('unknown');
    }
  });
});

describe('tables of the user', () => {
  const workshop = openWorkshop();
  beforeEach(() => vi.stubEnv('XDG_CONFIG_HOME', workshop.path('config')));
  afterEach(() => vi.unstubAllEnvs());
  afterAll(workshop.close);
  const rowsOf = (version: string) => ({
    schema_version: 1,
    entries: [{ ...fresh().entries[0], codex_version: version }],
  });

  it('are asked first: the one that is named, the one in its place, the one of the program', () => {
    const fingerprint = builtInTable().entries[0]?.fingerprint;
    const found = (path?: string) =>
      fingerprint && findEntry(knownTable(path), fingerprint, 'x86_64')?.codex_version;
    expect(found()).toBe('0.50.0');
    mkdirSync(workshop.path('config/agsight'), { recursive: true });
    workshop.write('config/agsight/offsets.json', JSON.stringify(rowsOf('mine')));
    expect(found()).toBe('mine');
    expect(found(workshop.write('named.json', JSON.stringify(rowsOf('named'))))).toBe('named');
    expect(knownTable().entries).toHaveLength(builtInTable().entries.length + 1);
  });

  it('are only a problem in their place when they are damaged, and an error when they are named', () => {
    const path = workshop.write('config/agsight/offsets.json', 'not JSON');
    expect(knownTable().problems).toEqual([expect.stringMatching(/offsets\.json: not JSON/)]);
    expect(knownTable().entries).toHaveLength(builtInTable().entries.length);
    expect(() => knownTable(path)).toThrow(/not JSON/);
    expect(() => knownTable(workshop.path('nothing.json'))).toThrow(/cannot be read: ENOENT/);
    expect(() => knownTable(workshop.path('.'))).toThrow(/not a file of at most/);
  });

  it('are in ~/.config without XDG_CONFIG_HOME', () => {
    expect(userTablePath({})).toBe(join(homedir(), '.config', 'agsight', 'offsets.json'));
  });
});

describe('table tier', () => {
  const workshop = openWorkshop();
  afterAll(workshop.close);

  /** A table with one row for the file, whose functions are all at `offset`. */
  function tableFor(path: string, offset: number) {
    const { arch, fingerprint } = inspectBinary(path);
    const offsets = {
      ssl_write: offset,
      ssl_read: offset,
      ssl_do_handshake: null,
      write_is_ex: true,
      read_is_ex: false,
      aead_seal: offset,
      aead_open: offset,
      aes_gcm_seal: null,
      aes_gcm_open: null,
      chacha20_poly1305_seal: null,
      chacha20_poly1305_open: null,
    };
    return { entries: [{ codex_version: '9.9.9', arch, fingerprint, offsets }], problems: [] };
  }

  it('gives what the row says, without a search when it is asked first', () => {
    const path = workshop.compile(
      'known.so',
      'int answer(void) { return 42; } const char text[] = "OpenSSL 3.6.4 25 Aug 2026";',
      [...bareLibrary, '-Wl,-Ttext=0x2000'],
    );
    const bytes = readFileSync(path);
    const code = bytes.indexOf(Buffer.from([0x2a, 0, 0, 0])) - 1;
    const report = inspectBinary(path, {
      order: ['table', 'symbol', 'pattern'],
      table: tableFor(path, code),
    });
    expect(report.codex_version).toBe('9.9.9');
    expect(report.tls).toEqual([
      {
        library: 'openssl',
        version: null,
        tier: 'table',
        confidence: 'high',
        functions: [
          { name: 'ssl_write', isEx: true, offset: code, confidence: 'high' },
          { name: 'ssl_read', isEx: false, offset: code, confidence: 'high' },
        ],
        offsets: {
          ssl_write: code,
          ssl_read: code,
          ssl_do_handshake: null,
          write_is_ex: true,
          read_is_ex: false,
        },
      },
      {
        library: 'aws-lc',
        version: null,
        tier: 'table',
        confidence: 'high',
        functions: [],
        offsets: { aead_seal: code, aead_open: code },
      },
    ]);
  });

  it('gives functions that a library may lack where the row has them, and tells which library a binary lacks', () => {
    const path = workshop.path('known.so');
    const start = functionOffsets(path).get('answer') ?? 0;
    const awslcOf = (changes: Record<string, number | null>) => {
      const { entries, problems } = tableFor(path, start);
      const changed = entries.map((entry) => ({ ...entry, offsets: { ...entry.offsets, ...changes } }));
      const { tls } = inspectBinary(path, { tier: 'table', table: { entries: changed, problems } });
      return tls.find(({ library }) => library === 'aws-lc')?.offsets;
    };
    const both = { aead_seal: start, aead_open: start };
    expect(awslcOf({ aead_seal_scatter: start })).toEqual({ ...both, aead_seal_scatter: start });
    expect(awslcOf({ aead_seal_scatter: null })).toEqual(both);
    expect(awslcOf({ aead_open: null, aead_seal_scatter: start })).toBeUndefined();
  });

  it('never points a probe outside of the code', () => {
    const path = workshop.path('known.so');
    const report = inspectBinary(path, { table: tableFor(path, 16) });
    expect(report.tls).toMatchObject([{ library: 'openssl', version: '3.6.4', tier: null, functions: [] }]);
    expect(report.remarks).toContain('its row of the offset table points outside of its code');
  });

  it('never points a probe into the middle of a function', () => {
    const path = workshop.path('known.so');
    const start = functionOffsets(path).get('answer') ?? 0;
    expect(inspectBinary(path, { table: tableFor(path, start) }).tls).toMatchObject([
      { tier: 'table' },
      { tier: 'table' },
    ]);
    const report = inspectBinary(path, { table: tableFor(path, start + 1) });
    expect(report.tls).toMatchObject([{ library: 'openssl', tier: null }]);
    expect(report.remarks).toContain('its row of the offset table points to where no function starts');
  });
});
