import { Command } from 'commander';
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { offsetsCommand } from '../../src/commands/offsets.js';
import { inspectBinary } from '../../src/elf/binary.js';
import { bareLibrary, openWorkshop } from './build.js';

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
  process.exitCode = undefined;
});

async function run(...args: string[]): Promise<void> {
  const program = new Command('agsight').option('--json').addCommand(offsetsCommand());
  await program.parseAsync(['offsets', ...args], { from: 'user' });
}

const json = () => JSON.parse(stdout.join('\n'));

describe('agsight offsets', () => {
  it('prints one object for one binary', async () => {
    await run('--json', known);
    const { fingerprint, tls } = inspectBinary(known);
    expect(json()).toEqual({
      path: known,
      codex_version: null,
      arch: inspectBinary(known).arch,
      fingerprint,
      tls: [{ library: 'openssl', tier: 'symbol', confidence: 'high', offsets: tls[0]?.offsets }],
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
