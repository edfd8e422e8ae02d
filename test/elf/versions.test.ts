import { afterAll, describe, expect, it } from 'vitest';
import { inspectBinary } from '../../src/elf/binary.js';
import { bareLibrary, openWorkshop } from './build.js';

describe('versions', () => {
  const workshop = openWorkshop();
  afterAll(workshop.close);
  let built = 0;

  /** A library whose read-only data holds the texts end to end, as Rust stores them. */
  function library(...texts: string[]): string {
    const literal = JSON.stringify(`${texts.join('')}`).replaceAll('\\u0000', '\\000');
    return workshop.compile(`texts-${built++}.so`, `const char texts[] = ${literal};`, bareLibrary);
  }
  const codexVersion = (...texts: string[]) => inspectBinary(library('codex_cli_rs', ...texts)).codex_version;

  it.each([
    ['codex-mcp-client/0.169.0failed to'],
    ['codex-doctor/0.169.0version response'],
    ['\u2728 Update available!0.169.0See full release notes:'],
    ['web_search_mode~TMPDIR0.169.0`approval_policy'],
    ['web_search_mode0.169.0`approval_policy'],
    ['failed to queue rollout items: 0.169.0failed to'],
    ['failed to list tools from some MCP servers: 0.169.0Codex'],
  ])('takes the Codex version from %s', (text) => {
    expect(codexVersion(text)).toBe('0.169.0');
  });

  it('keeps the suffix of a preview release and nothing more', () => {
    expect(codexVersion('codex-doctor/0.170.0-alpha.12version')).toBe('0.170.0-alpha.12');
    expect(codexVersion('codex-doctor/0.170.0-aluminium')).toBe('0.170.0');
  });

  it('believes the version that most texts name', () => {
    const texts = ['codex-mcp-client/0.5.0', ' codex-doctor/0.5.0 ', 'web_search_mode1.2.3 '];
    expect(codexVersion(...texts)).toBe('0.5.0');
    expect(codexVersion(...texts.slice(1))).toBeNull();
  });

  it('calls nothing Codex that does not carry its name', () => {
    expect(inspectBinary(library('codex-doctor/0.169.0 ')).codex_version).toBeNull();
  });

  it('finds libraries and versions wherever the border of two windows falls', () => {
    const path = library(
      'codex_cli_rs',
      'codex-doctor/0.169.0 ',
      'OpenSSL 3.6.4 25 Aug 2026\0',
      '/aws-lc/crypto/fipsmodule/cipher/aead.c\0',
    );
    for (let windowBytes = 64; windowBytes < 192; windowBytes++) {
      const { codex_version, tls } = inspectBinary(path, { windowBytes });
      expect(codex_version).toBe('0.169.0');
      expect(tls).toEqual([
        { library: 'openssl', version: '3.6.4', tier: null, confidence: null, functions: [], offsets: null },
        { library: 'aws-lc', version: null, tier: null, confidence: null, functions: [], offsets: null },
      ]);
    }
  });

  it.each([
    ['OpenSSL 3.0.17+quic 1 Jul 2025', '3.0.17+quic'],
    ['OpenSSL 1.1.1w  11 Sep 2023', '1.1.1w'],
  ])('reads %s', (text, version) => {
    expect(inspectBinary(library(text)).tls).toMatchObject([{ library: 'openssl', version }]);
  });

  it('takes no text that only mentions OpenSSL', () => {
    expect(inspectBinary(library('needs OpenSSL 3.0.0 or newer; OpenSSL version mismatch')).tls).toEqual([]);
  });
});
