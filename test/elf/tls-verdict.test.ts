import { mkdirSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { type BinaryReport, inspectBinary } from '../../src/elf/binary.js';
import { inspectProgram } from '../../src/elf/program.js';
import type { TlsLibrary } from '../../src/elf/tls-library.js';
import { tlsVerdicts } from '../../src/elf/tls-verdict.js';
import { bareLibrary, openWorkshop, strip } from './build.js';

const workshop = openWorkshop();
afterAll(workshop.close);

const verdictsOf = (name: string, source: string, flags: readonly string[] = bareLibrary) =>
  tlsVerdicts(inspectBinary(strip(workshop.compile(name, source, flags))));
const texts = (...lines: readonly string[]) =>
  lines.map((line, index) => `const char text_${index}[] = "\\0${line}\\0";`).join('\n');

describe('the verdict on a library', () => {
  it('names the functions that are probed', () => {
    expect(
      verdictsOf('openssl.so', 'int SSL_write(void) { return 1; } int SSL_read(void) { return 2; }'),
    ).toEqual([
      {
        library: 'openssl',
        version: null,
        is_captured: true,
        functions: ['SSL_write', 'SSL_read'],
        tier: 'symbol',
        confidence: 'high',
        reason: null,
        remedy: null,
      },
    ]);
  });

  it.each([
    [
      'an OpenSSL without its functions',
      ['OpenSSL 3.6.4 25 Aug 2026'],
      'openssl',
      '3.6.4',
      /not found/,
      /--symbols/,
    ],
    ['Go', ['crypto/tls.(*Conn).Write'], 'crypto/tls', null, /not found/, /Go 1\.18/],
    [
      'an unknown ring',
      ['/ring-0.17.8/src/aead/algorithm.rs'],
      'ring',
      '0.17.8',
      /0\.17\.8 have unknown/,
      /0\.17\.14/,
    ],
    [
      'rustls on something else',
      ['/rustls-0.23.5/src/conn.rs'],
      'rustls',
      '0.23.5',
      /neither ring nor/,
      /aws-lc/,
    ],
  ])('gives reason and remedy: %s', (name, lines, library, version, reason, remedy) => {
    const source = `int answer(void) { return 42; }\n${texts(...lines)}`;
    expect(verdictsOf(`${name.replaceAll(' ', '-')}.so`, source)).toEqual([
      {
        library,
        version,
        is_captured: false,
        functions: [],
        tier: null,
        confidence: null,
        reason: expect.stringMatching(reason),
        remedy: expect.stringMatching(remedy),
      },
    ]);
  });

  it('says nothing of an aws-lc that has no part in TLS beside a ring that has', () => {
    const none = { tier: null, confidence: null, functions: [], offsets: null };
    const awslc: TlsLibrary = { library: 'aws-lc', version: null, ...none };
    const offsets = {
      aes_gcm_seal: 1,
      aes_gcm_open: 2,
      chacha20_poly1305_seal: 3,
      chacha20_poly1305_open: 4,
    };
    const ring: TlsLibrary = {
      library: 'ring',
      version: '0.17.14',
      tier: 'pattern',
      confidence: 'high',
      functions: [],
      offsets,
    };
    const report = (tls: TlsLibrary[]): BinaryReport => ({
      ...inspectBinary(workshop.path('openssl.so')),
      tls,
    });
    expect(tlsVerdicts(report([awslc, ring])).map(({ library }) => library)).toEqual(['ring']);
    expect(tlsVerdicts(report([awslc]))).toMatchObject([{ library: 'aws-lc', is_captured: false }]);
  });

  it('knows linked libraries of other makes, also those that only another one is linked to', () => {
    mkdirSync(workshop.path('lib'));
    const bare = ['-shared', '-fPIC', '-nostdlib'];
    const nss = workshop.compile('lib/libssl3.so', 'int send(void) { return 1; }', [
      ...bare,
      '-Wl,-soname,libssl3.so',
    ]);
    const http = workshop.compile('lib/libhttp.so', 'int send(void); int get(void) { return send(); }', [
      ...bare,
      nss,
    ]);
    const program = workshop.compile('program', 'int get(void); int main(void) { return get(); }', [
      http,
      `-Wl,-rpath-link,${workshop.path('lib')}`,
      `-Wl,-rpath,${workshop.path('lib')}`,
    ]);
    expect(inspectProgram(program).unseen).toMatchObject([
      { library: 'nss', is_captured: false, reason: expect.any(String), remedy: expect.any(String) },
    ]);
    expect(inspectProgram(workshop.path('openssl.so')).unseen).toEqual([]);
  });
});
