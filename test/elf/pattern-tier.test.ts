import { afterAll, describe, expect, it } from 'vitest';
import { createAddressMap } from '../../src/elf/address-map.js';
import { inspectBinary } from '../../src/elf/binary.js';
import { BinaryFile } from '../../src/elf/file.js';
import { readHeaders } from '../../src/elf/headers.js';
import { functionAddresses, openWorkshop, strip } from './build.js';

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

describe.runIf(process.arch === 'x64')('pattern tier', () => {
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
        functions: [
          { name: 'ssl_write', isEx: true, offset: offsetOf('SSL_write_ex') },
          { name: 'ssl_read', isEx: true, offset: offsetOf('SSL_read_ex') },
          { name: 'ssl_do_handshake', isEx: false, offset: offsetOf('SSL_do_handshake') },
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
      expect(remarks.join()).toMatch(/could be at any of 2 places: \d+, \d+/);
    }
  });

  it('takes no half: a write function without its read function', () => {
    const { path } = build(clang.slice(0, 1));
    expect(inspect(path)).toMatchObject({
      tls: [],
      remarks: [expect.stringContaining('no known byte pattern')],
    });
  });

  it('says so where nothing tells where functions start', () => {
    const { path } = build(clang, ['-pie', '-Wl,--no-eh-frame-hdr']);
    expect(inspect(path)).toMatchObject({ tls: [], remarks: [expect.stringContaining('.eh_frame_hdr')] });
  });
});
