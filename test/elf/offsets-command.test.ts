import { Command } from 'commander';
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { offsetsCommand } from '../../src/commands/offsets.js';
import { inspectBinary } from '../../src/elf/binary.js';
import { bareLibrary, functionOffsets, openWorkshop } from './build.js';

const workshop = openWorkshop();
afterAll(workshop.close);

const known = workshop.compile(
  'known.so',
  'int SSL_write(void) { return 1; } int SSL_write_ex(void) { return 2; } int SSL_read(void) { return 3; }',
  bareLibrary,
);
const plain = workshop.compile('plain.so', 'const char text[] = "OpenSSL 3.6.4 25 Aug 2026";', bareLibrary);
const text = workshop.write('text', 'no program');

let stdout: string[];
let stderr: string[];

beforeEach(() => {
  stdout = [];
  stderr = [];
  vi.spyOn(console, 'log').mockImplementation((line: string) => void stdout.push(line));
  vi.spyOn(console, 'error').mockImplementation((line: string) => void stderr.push(line));
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  process.exitCode = undefined;
});

async function run(...args: string[]): Promise<void> {
  const program = new Command('agsight').option('--json').addCommand(offsetsCommand());
  await program.parseAsync(['offsets', ...args], { from: 'user' });
}

const json = () => JSON.parse(stdout.join('\n'));

describe('agsight offsets', () => {
  it('prints one object for one binary, with every function that is probed', async () => {
    await run('--json', known);
    const { fingerprint, tls } = inspectBinary(known);
    const offsetOf = (name: string) => functionOffsets(known).get(name);
    const functions = ['SSL_write_ex', 'SSL_write', 'SSL_read'];
    expect(json()).toEqual({
      path: known,
      codex_version: null,
      arch: inspectBinary(known).arch,
      fingerprint,
      tls: [
        {
          library: 'openssl',
          tier: 'symbol',
          confidence: 'high',
          offsets: tls[0]?.offsets,
          functions: functions.map((symbol) => ({ symbol, offset: offsetOf(symbol) })),
        },
      ],
    });
    expect(stderr).toEqual([]);
    expect(process.exitCode).toBeUndefined();
  });

  it('prints an array for several, without those that cannot be read, which it names', async () => {
    await run('--json', known, text, known);
    expect(json().map(({ path }: { path: string }) => path)).toEqual([known, known]);
    expect(stderr.map((line) => JSON.parse(line))).toEqual([
      { error: expect.objectContaining({ code: 'not-elf', file: text }) },
    ]);
    expect(process.exitCode).toBe(1);
  });

  it('fails on a binary without functions and says what is there', async () => {
    await run('--json', plain);
    expect(json().tls).toEqual([{ library: 'openssl', version: '3.6.4', tier: null, offsets: null }]);
    expect(stderr.join()).toContain('no TLS functions found');
    expect(stderr.join()).toContain('openssl 3.6.4 is there');
    expect(process.exitCode).toBe(1);
  });

  it('asks only the tier that is named', async () => {
    await run('--tier', 'table', '--json', known);
    expect(json().tls).toEqual([]);
    expect(process.exitCode).toBe(1);
  });

  it('prints a row that a table takes, and finds the binary by it', async () => {
    await run('--entry', known);
    const row = json();
    expect(row).toEqual({
      codex_version: 'unknown',
      arch: inspectBinary(known).arch,
      fingerprint: inspectBinary(known).fingerprint,
      offsets: {
        ...inspectBinary(known).tls[0]?.offsets,
        aead_seal: null,
        aead_open: null,
        aead_seal_scatter: null,
        aes_gcm_seal: null,
        aes_gcm_open: null,
        chacha20_poly1305_seal: null,
        chacha20_poly1305_open: null,
      },
    });
    expect(process.exitCode).toBeUndefined();
    const table = workshop.write('row.json', stdout.join('\n'));
    stdout = [];
    await run('--json', '--tier', 'table', '--table', table, known);
    expect(json().tls).toMatchObject([{ tier: 'table', offsets: { ssl_write: row.offsets.ssl_write } }]);
    expect(process.exitCode).toBeUndefined();
  });

  it('has no row for a binary without functions', async () => {
    await run('--entry', plain);
    expect(stdout).toEqual([]);
    expect(stderr.join()).toContain('no row can be made of it');
    expect(process.exitCode).toBe(1);
  });

  it('takes the name of a command for the program that a shell would run', async () => {
    vi.stubEnv('PATH', workshop.path('.'));
    await run('--json', 'known.so');
    expect(json()).toMatchObject({ path: known });
    await run('no-such-command-here');
    expect(stderr.join()).toContain('no such command, nor such a file here');
    expect(process.exitCode).toBe(1);
  });

  it('has no row for a program whose library is another file, and names that', async () => {
    const library = workshop.compile(
      'libssl.so.82',
      'int SSL_write(void) { return 1; } int SSL_read(void) { return 2; }',
      [...bareLibrary, '-Wl,-soname,libssl.so.82'],
    );
    const program = workshop.compile('loads', 'int SSL_write(void); int main(void) { return SSL_write(); }', [
      library,
      '-Wl,--disable-new-dtags',
      '-Wl,-rpath,$ORIGIN',
    ]);
    await run('--entry', program);
    expect(stderr.join()).toContain(`openssl is in ${library}, which it loads`);
    expect(stderr.join()).not.toContain('no known TLS library');
    expect(process.exitCode).toBe(1);
  });

  it('shows all tiers, and exits with 1 only when they disagree', async () => {
    await run('--all-tiers', '--json', known);
    expect(json()).toMatchObject({
      path: known,
      tiers: { symbol: [{ library: 'openssl' }], pattern: [], table: [] },
      disagreements: [],
    });
    expect(process.exitCode).toBeUndefined();

    stdout = [];
    const { arch, fingerprint, tls } = inspectBinary(known);
    const places = tls[0]?.functions.map(({ offset }) => offset) ?? [];
    const [first, second] = places;
    const wrong = { ssl_write: second, ssl_read: first, write_is_ex: true, read_is_ex: false };
    const row = { codex_version: '1.2.3', arch, fingerprint, offsets: wrong };
    const table = workshop.write('wrong.json', JSON.stringify(row));
    await run('--all-tiers', '--table', table, known);
    expect(stdout.join('\n')).toMatch(new RegExp(`openssl +table +high +SSL_write_ex +${second} `));
    expect(stderr).toEqual([
      expect.stringContaining(`SSL_write_ex is at ${first} by symbol, ${second} by table`),
      expect.stringContaining('SSL_read is at'),
    ]);
    expect(process.exitCode).toBe(1);
  });

  it('follows the program to the library that it is linked to', async () => {
    const library = workshop.compile(
      'libssl.so.82',
      'int SSL_write(void) { return 1; } int SSL_read(void) { return 3; }',
      [...bareLibrary, '-Wl,-soname,libssl.so.82'],
    );
    const path = workshop.compile('linked', 'int SSL_read(void); int main(void) { return SSL_read(); }', [
      library,
      '-Wl,-rpath,$ORIGIN',
    ]);
    await run('--json', path);
    expect(json()).toMatchObject({ path, tls: [{ library: 'openssl', tier: 'symbol', path: library }] });
    await run(path);
    expect(stdout.at(-1)).toContain(`openssl, ${library}`);
    expect(process.exitCode).toBeUndefined();
  });

  it.each([
    [['--symbols', 'a.debug', 'one', 'two'], /--symbols goes with one binary/],
    [['--tier', 'symbol', '--all-tiers', 'one'], /cannot be used with/],
    [['--entry', '--all-tiers', 'one'], /cannot be used with/],
    [['--tier', 'guess', 'one'], /Allowed choices are symbol, pattern, table/],
    [[], /missing required argument/],
  ])('refuses %j', async (args, message) => {
    let output = '';
    const command = offsetsCommand()
      .exitOverride()
      .configureOutput({ writeErr: (text) => (output += text) });
    await expect(command.parseAsync(args, { from: 'user' })).rejects.toThrow();
    expect(output).toMatch(message);
  });

  it('prints every function with its offset for people', async () => {
    await run(known, text);
    const lines = stdout.join('\n').split('\n');
    for (const { name, isEx, offset } of inspectBinary(known).tls[0]?.functions ?? []) {
      const symbol = `${name === 'ssl_write' ? 'SSL_write' : 'SSL_read'}${isEx ? '_ex' : ''}`;
      expect(lines).toContainEqual(expect.stringMatching(new RegExp(`symbol +high +${symbol} +${offset} `)));
    }
    expect(stderr).toEqual([expect.stringMatching(/^agsight: .*text: not an ELF file/)]);
    expect(process.exitCode).toBe(1);
  });
});
