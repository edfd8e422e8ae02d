import { afterAll, describe, expect, it } from 'vitest';
import { createAddressMap } from '../../src/elf/address-map.js';
import { compareTiers, inspectBinary } from '../../src/elf/binary.js';
import { BinaryFile } from '../../src/elf/file.js';
import { readHeaders } from '../../src/elf/headers.js';
import { requireThat } from '../support/requirements.js';
import { functionAddresses, functionOffsets, openWorkshop, strip, toolchains } from './build.js';
import { awslcSource, mainSource, opensslSource } from './openssl-like.js';

/** A function made of bytes, `????` being a call's distance, with the frame description that compilers emit. */
function asmFunction(name: string, hex: string, rest = ''): string {
  const bytes = hex.replaceAll('????', '11 22 33 44').trim().split(/\s+/);
  const data = bytes.map((byte) => `0x${byte}`).join(',');
  return `asm(".text\\n.balign 16\\n.type ${name},@function\\n${name}:\\n.cfi_startproc\\n.byte ${data}\\n${rest}.cfi_endproc\\n");`;
}

const clangWrite = '55 48 89 e5 53 50 49 89 c8 31 db 31 c9 e8 ???? 85 c0 0f 4e c3 48 83 c4 08 5b 5d c3';
const clangRead = '55 48 89 e5 e8 ???? 31 c9 85 c0 0f 4e c1 5d c3';
const gccRead = 'f3 0f 1e fa 48 83 ec 08 e8 ???? 31 d2 85 c0 0f 48 c2 48 83 c4 08 c3';
const gccWrite2 = `${gccRead} 0f 1f 80 00 00 00 00`;
const gccWriteTail = 'f3 0f 1e fa 49 89 c8 31 c9 e9 d2 ff ff ff';

const clang = [asmFunction('SSL_write_ex', clangWrite), asmFunction('SSL_read_ex', clangRead)];
// Both of gcc's functions in one piece, so that the assembler puts nothing between them.
const gcc = [
  asmFunction('SSL_read_ex', gccRead),
  asmFunction(
    'SSL_write_ex2',
    gccWrite2,
    `.cfi_endproc\\nSSL_write_ex:\\n.cfi_startproc\\n.byte ${gccWriteTail
      .split(' ')
      .map((byte) => `0x${byte}`)
      .join(',')}\\n`,
  ),
];
const handshake = `
  asm(".text\\n.type SSL_do_handshake,@function\\nSSL_do_handshake:\\n.cfi_startproc\\n"
      "lea .Lname(%rip), %rdi\\nlea .Lfile(%rip), %r8\\nret\\n.cfi_endproc\\n"
      ".section .rodata\\n.Lfile: .asciz \\"ssl/ssl_lib.c\\"\\n.Lname: .asciz \\"SSL_do_handshake\\"\\n.text\\n");`;
/** Names the function only, as a table of error strings would: no second way to SSL_do_handshake. */
const bystander = `
  asm(".text\\n.type bystander,@function\\nbystander:\\n.cfi_startproc\\nlea .Lname(%rip), %rax\\nret\\n.cfi_endproc\\n");`;
const main = 'int main(void) { return 0; }';

describe.runIf(process.arch === 'x64')('byte patterns alone', () => {
  const workshop = openWorkshop();
  afterAll(workshop.close);
  let built = 0;

  /** The stripped program, and where in it the named functions are. */
  function build(parts: readonly string[], flags: readonly string[] = ['-pie']) {
    const path = workshop.compile(`program-${built++}`, [...parts, main].join('\n'), flags);
    const addresses = functionAddresses(path);
    const file = BinaryFile.open(path);
    const map = createAddressMap(readHeaders(file).segments);
    file.close();
    return {
      path: strip(path),
      offsetOf: (name: string) => map.toOffset(addresses.get(name) ?? Number.NaN) ?? Number.NaN,
    };
  }

  const inspect = (path: string, windowBytes?: number) =>
    inspectBinary(path, { tier: 'pattern', windowBytes });

  it.each([
    ['clang', clang, ['-pie']],
    ['clang, addresses ahead of offsets', clang, ['-no-pie', '-Wl,-Ttext=0x7654000']],
    ['clang, one segment for code and data', clang, ['-no-pie', '-Wl,-z,noseparate-code']],
    ['gcc', gcc, ['-pie']],
  ])('finds the functions as made by %s', (_, parts, flags) => {
    const { path, offsetOf } = build([...parts, handshake, bystander], flags);
    expect(inspect(path).tls).toEqual([
      {
        library: 'openssl',
        version: null,
        tier: 'pattern',
        confidence: 'low',
        functions: [
          { name: 'ssl_write', isEx: true, offset: offsetOf('SSL_write_ex'), confidence: 'low' },
          { name: 'ssl_read', isEx: true, offset: offsetOf('SSL_read_ex'), confidence: 'low' },
          {
            name: 'ssl_do_handshake',
            isEx: false,
            offset: offsetOf('SSL_do_handshake'),
            confidence: 'low',
          },
        ],
        offsets: {
          ssl_write: offsetOf('SSL_write_ex'),
          ssl_read: offsetOf('SSL_read_ex'),
          ssl_do_handshake: offsetOf('SSL_do_handshake'),
          write_is_ex: true,
          read_is_ex: true,
        },
      },
    ]);
  });

  it('finds them wherever the border of two windows falls', () => {
    const { path, offsetOf } = build([...clang, handshake]);
    for (let window = 512; window < 512 + 64; window++) {
      expect(inspect(path, window).tls[0]?.offsets).toMatchObject({
        ssl_write: offsetOf('SSL_write_ex'),
        ssl_read: offsetOf('SSL_read_ex'),
        ssl_do_handshake: offsetOf('SSL_do_handshake'),
      });
    }
  });

  it('does without the handshake', () => {
    const { path } = build(clang);
    expect(inspect(path).tls[0]?.offsets).toMatchObject({ ssl_do_handshake: null });
  });

  it('leaves the handshake open when two functions could be it', () => {
    const { path } = build([
      ...clang,
      handshake,
      handshake
        .replaceAll('SSL_do_handshake,', 'again,')
        .replaceAll('SSL_do_handshake:', 'again:')
        .replaceAll('.Lfile', '.Lfile2')
        .replaceAll('.Lname', '.Lname2'),
    ]);
    expect(inspect(path).tls[0]?.offsets).toMatchObject({ ssl_do_handshake: null });
  });

  it('ignores a match in the middle of a function', () => {
    const { path, offsetOf } = build([...clang, asmFunction('longer', `90 90 ${clangRead}`)]);
    expect(inspect(path).tls[0]?.offsets).toMatchObject({ ssl_read: offsetOf('SSL_read_ex') });
  });

  it('does not choose between two candidates', () => {
    for (const second of [clangWrite, clangRead, gccRead]) {
      const { path } = build([...clang, asmFunction('second', second)]);
      const { tls, remarks } = inspect(path);
      expect(tls).toEqual([]);
      expect(remarks.join()).toMatch(/could be at any of 2 places: 0x[0-9a-f]+, 0x[0-9a-f]+/);
    }
  });

  it('is not told to doubt what the symbols tell', () => {
    const source = [...clang, asmFunction('second', clangRead), main].join('\n');
    const path = workshop.compile('named', source, ['-pie']);
    expect(inspectBinary(path)).toMatchObject({ tls: [{ library: 'openssl', tier: 'symbol' }], remarks: [] });
    const doubt = expect.stringMatching(/^SSL_read_ex could be at any of 2 places/);
    expect(compareTiers(path).remarks).toContainEqual(doubt);
    expect(inspect(path).remarks).toContainEqual(doubt);
  });

  it('takes no half: a write function without its read function', () => {
    const { path } = build(clang.slice(0, 1));
    expect(inspect(path)).toMatchObject({
      tls: [],
      remarks: ['only SSL_write_ex was found: data in one direction'],
    });
  });

  it('does without the search table of .eh_frame', () => {
    const { path, offsetOf } = build(clang, ['-pie', '-Wl,--no-eh-frame-hdr']);
    expect(inspect(path).tls[0]?.offsets).toMatchObject({ ssl_write: offsetOf('SSL_write_ex') });
  });
});

it('both architectures have a compiler', (context) => {
  const reason = 'needs aarch64-linux-gnu-gcc (Debian: gcc-aarch64-linux-gnu) to build AArch64 programs';
  requireThat(toolchains().length === 2, reason, context);
});

describe.each(toolchains())('string anchors and byte patterns, $arch', ({ arch, compiler, prefix }) => {
  const workshop = openWorkshop();
  afterAll(workshop.close);
  let built = 0;

  function build(source: string, flags: readonly string[]) {
    const path = workshop.compile(`${arch}-${built++}`, `${source}\n${mainSource}`, flags, compiler);
    return { path: strip(path, prefix), offsets: functionOffsets(path) };
  }

  const inspect = (path: string) => inspectBinary(path, { tier: 'pattern' });

  it.each([
    ['-O2 -pie', 'ssl/ssl_lib.c'],
    ['-O2 -no-pie', '/build/openssl-3.5.5/ssl/ssl_lib.c'],
    ['-O2 -static', 'ssl/ssl_lib.c'],
    ['-Os -pie', 'ssl/ssl_lib.c'],
    ['-O2 -fno-pie -no-pie', '../openssl/ssl/ssl_lib.c'],
    ['-O3 -fPIC -pie -ffunction-sections -fdata-sections', '../ssl/ssl_lib.c'],
    ['-O2 -fno-section-anchors -no-pie -Wl,-z,noseparate-code', 'ssl/ssl_lib.c'],
  ])('find OpenSSL as compiled with %s', (flags, file) => {
    const { path, offsets } = build(opensslSource(file), flags.split(' '));
    const report = inspect(path);
    expect(report).toMatchObject({ arch, remarks: [] });
    expect(report.tls).toMatchObject([{ library: 'openssl', tier: 'pattern' }]);
    expect(report.tls[0]?.offsets).toEqual({
      ssl_write: offsets.get('SSL_write_ex'),
      ssl_read: offsets.get('SSL_read_ex'),
      ssl_do_handshake: offsets.get('SSL_do_handshake'),
      write_is_ex: true,
      read_is_ex: true,
    });
    const plain = report.tls[0]?.functions.filter(({ name, isEx }) => !isEx && name !== 'ssl_do_handshake');
    expect(plain).toMatchObject([
      { name: 'ssl_write', offset: offsets.get('SSL_write') },
      { name: 'ssl_read', offset: offsets.get('SSL_read') },
    ]);
  });

  it.each([500, 1500, 2500, 3500])('find OpenSSL when its texts are %d bytes into a group', (length) => {
    const before = `static const char before[${length}] = "x"; const char *use(int i) { return &before[i]; }`;
    const { path, offsets } = build(`${before}\n${opensslSource()}`, ['-O2', '-pie']);
    expect(inspect(path).tls[0]?.offsets).toMatchObject({
      ssl_write: offsets.get('SSL_write_ex'),
      ssl_read: offsets.get('SSL_read_ex'),
      ssl_do_handshake: offsets.get('SSL_do_handshake'),
    });
  });

  it.each(['-O2 -pie', '-Os -fno-pie -no-pie', '-O3 -static'])('find aws-lc as compiled with %s', (flags) => {
    const { path, offsets } = build(awslcSource, flags.split(' '));
    expect(inspect(path).tls).toEqual([
      {
        library: 'aws-lc',
        version: null,
        tier: 'pattern',
        confidence: 'low',
        functions: [],
        offsets: {
          aead_seal: offsets.get('EVP_AEAD_CTX_seal'),
          aead_open: offsets.get('EVP_AEAD_CTX_open'),
          aead_seal_scatter: offsets.get('EVP_AEAD_CTX_seal_scatter'),
        },
      },
    ]);
  });

  it('find aws-lc without the function that rustls needs for TLS 1.2 only, and not by half of the others', () => {
    const without = (symbol: string) =>
      inspect(
        build(awslcSource.replace(`int ${symbol}(`, `__attribute__((unused)) static int ${symbol}(`), ['-O2'])
          .path,
      );
    const [awslc] = without('EVP_AEAD_CTX_seal_scatter').tls;
    expect(awslc).toMatchObject({ library: 'aws-lc', tier: 'pattern' });
    expect(Object.keys(awslc?.offsets ?? {})).toEqual(['aead_seal', 'aead_open']);
    expect(without('EVP_AEAD_CTX_open').tls).toMatchObject([
      { library: 'aws-lc', tier: null, offsets: null },
    ]);
  });

  it('do not choose between two libraries', () => {
    const second = opensslSource().replace(/\b(SSL_\w+|bystander|report)\(/g, '$1_again(');
    const twice = `${opensslSource()}\n${second
      .replace(/struct ssl \{.*\};/, '')
      .replace(/ssl_(read|write)_internal\(/g, 'ssl_$1_internal_again(')
      .replace(/__func__/g, '"ssl_write_internal"')}`;
    const { path } = build(`${twice}`, ['-O2', '-pie']);
    expect(inspect(path).tls).toEqual([]);
  });

  it('take the text of a name for no function', () => {
    const { path } = build(
      'const char *names[] = { "ssl_write_internal", "ssl_read_internal", "ssl/ssl_lib.c" };',
      ['-O2'],
    );
    expect(inspect(path).tls).toEqual([]);
  });
});
