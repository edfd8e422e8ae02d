import { execFileSync } from 'node:child_process';
import { afterAll, describe, expect, it } from 'vitest';
import { inspectBinary } from '../../src/elf/binary.js';
import { AgsightError } from '../../src/errors.js';
import { functionOffsets, openWorkshop, strip, toolchains } from './build.js';
import { awslcSource, mainSource, opensslSource } from './openssl-like.js';

describe.each(toolchains())('a separate debug file, $arch', ({ compiler, prefix }) => {
  const workshop = openWorkshop();
  afterAll(workshop.close);
  let built = 0;

  function build(source: string, flags: readonly string[]) {
    const path = workshop.compile(
      `program-${built++}`,
      `${source}\n${mainSource}`,
      ['-g', ...flags],
      compiler,
    );
    const debug = `${path}.debug`;
    execFileSync(`${prefix}objcopy`, ['--only-keep-debug', path, debug]);
    return { path, debug, stripped: strip(path, prefix), offsets: functionOffsets(path) };
  }

  const bySymbols = (path: string, symbols: string) => inspectBinary(path, { tier: 'symbol', symbols });
  const errorOf = (path: string, symbols: string): AgsightError => {
    try {
      bySymbols(path, symbols);
    } catch (error) {
      if (error instanceof AgsightError) return error;
      throw error;
    }
    throw new Error(`${symbols} is accepted`);
  };

  it.each([
    ['by BuildID', ['-Wl,--build-id']],
    ['by layout', ['-Wl,--build-id=none']],
    ['by layout, addresses ahead of offsets', ['-Wl,--build-id=none', '-no-pie', '-Wl,-Ttext=0x7654000']],
  ])('gives the symbols of its program, %s', (_, flags) => {
    const { stripped, debug, offsets } = build(opensslSource(), flags);
    const report = bySymbols(stripped, debug);
    expect(report.path).toBe(stripped);
    expect(report.fingerprint).toEqual(inspectBinary(stripped).fingerprint);
    expect(report.tls).toMatchObject([{ library: 'openssl', tier: 'symbol', confidence: 'high' }]);
    expect(report.tls[0]?.offsets).toMatchObject({
      ssl_write: offsets.get('SSL_write_ex'),
      ssl_read: offsets.get('SSL_read_ex'),
      ssl_do_handshake: offsets.get('SSL_do_handshake'),
      write_is_ex: true,
    });
  });

  it('may be the program before it was stripped', () => {
    const { stripped, path, offsets } = build(opensslSource(), ['-Wl,--build-id=none']);
    expect(bySymbols(stripped, path).tls[0]?.offsets).toMatchObject({ ssl_read: offsets.get('SSL_read_ex') });
  });

  it('gives the prefixed names of a Rust package', () => {
    const renamed = awslcSource.replace(/EVP_AEAD_CTX_/g, 'aws_lc_0_30_0_EVP_AEAD_CTX_');
    const { stripped, debug, offsets } = build(renamed, []);
    expect(bySymbols(stripped, debug).tls).toMatchObject([
      {
        library: 'aws-lc',
        tier: 'symbol',
        offsets: {
          aead_seal: offsets.get('aws_lc_0_30_0_EVP_AEAD_CTX_seal'),
          aead_open: offsets.get('aws_lc_0_30_0_EVP_AEAD_CTX_open'),
          aead_seal_scatter: offsets.get('aws_lc_0_30_0_EVP_AEAD_CTX_seal_scatter'),
        },
      },
    ]);
  });

  it('gives aws-lc without the function that rustls needs for TLS 1.2 only', () => {
    const renamed = awslcSource
      .replace('EVP_AEAD_CTX_seal_scatter', 'other')
      .replace(/EVP_AEAD_CTX_/g, 'aws_lc_0_30_0_EVP_AEAD_CTX_');
    const { stripped, debug } = build(renamed, []);
    const [awslc] = bySymbols(stripped, debug).tls;
    expect(awslc).toMatchObject({ library: 'aws-lc', tier: 'symbol' });
    expect(Object.keys(awslc?.offsets ?? {})).toEqual(['aead_seal', 'aead_open']);
  });

  it('of another program is refused', () => {
    const one = build(opensslSource(), ['-Wl,--build-id']);
    const two = build(`${opensslSource()}\nint more(void) { return 7; }`, ['-Wl,--build-id']);
    const error = errorOf(one.stripped, two.debug);
    expect(error.code).toBe('symbols-mismatch');
    expect(error.message).toMatch(/^\S+: not the symbols of \S+: its BuildID is [0-9a-f]+, not [0-9a-f]+ \(/);

    const three = build(opensslSource(), ['-Wl,--build-id=none']);
    const four = build(`${opensslSource()}\nchar more[99999];`, ['-Wl,--build-id=none']);
    expect(errorOf(three.stripped, four.debug).message).toMatch(/its segments are laid out otherwise/);
  });

  it('that is none is named', () => {
    const { stripped } = build(opensslSource(), []);
    const text = workshop.write('text', 'no program');
    expect(errorOf(stripped, text)).toMatchObject({ code: 'not-elf', file: text });
  });
});
