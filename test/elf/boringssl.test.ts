import { afterAll, describe, expect, it } from 'vitest';
import { inspectBinary } from '../../src/elf/binary.js';
import { functionOffsets, openWorkshop, strip } from './build.js';

/** A function that begins as BoringSSL's does; `body` is what follows. */
function asmFunction(name: string, hex: string, body = 'ret', hasFrame = false): string {
  const bytes = hex.replace(/\s+/g, '').replace(/../g, '0x$&,').slice(0, -1);
  return `asm(".text\\n.balign 16\\n.type ${name},@function\\n${name}:\\n${hasFrame ? '.cfi_startproc\\n' : ''}.byte ${bytes}\\n${body}\\n${hasFrame ? '.cfi_endproc\\n' : ''}");`;
}

const namesFile = 'lea .Lfile(%rip), %rcx\\nret';
const read = '554889e5 4157 4156 53 50 4883bf9800000000 7400';
const write = '554889e5 4157 4156 4155 4154 53 4883ec18 4189d7 4989f6 4889fb';
const handshake = '554889e5 4157';
const reports = (reason: number) => `mov $${reason}, %edx\\n`;
const file = 'asm(".section .rodata\\n.Lfile: .asciz \\"vendor/boringssl/ssl/ssl_lib.cc\\"\\n.text\\n");';
const main = 'int main(void) { return 0; }';
const noFrames = ['-fno-toplevel-reorder', '-fno-asynchronous-unwind-tables', '-fno-unwind-tables'];

describe.runIf(process.arch === 'x64')('BoringSSL', () => {
  const workshop = openWorkshop();
  afterAll(workshop.close);
  let built = 0;

  function build(parts: readonly string[], flags: readonly string[] = noFrames) {
    const path = workshop.compile(`boringssl-${built++}`, [...parts, file, main].join('\n'), flags);
    return { path: strip(path), offsets: functionOffsets(path) };
  }

  const inspect = (path: string) => inspectBinary(path, { tier: 'pattern' });

  it.each([
    ['without frames', noFrames, false],
    ['with frames', ['-fno-toplevel-reorder', '-pie'], true],
  ])('is found %s', (_, flags, hasFrame) => {
    const { path, offsets } = build(
      [
        asmFunction('SSL_do_handshake', handshake, `${reports(134)}${namesFile}`, hasFrame),
        asmFunction('SSL_read', read, namesFile, hasFrame),
        asmFunction('SSL_write', write, `call SSL_do_handshake\\n${namesFile}`, hasFrame),
      ],
      flags,
    );
    expect(inspect(path).tls).toEqual([
      {
        library: 'openssl',
        version: 'BoringSSL',
        tier: 'pattern',
        confidence: 'high',
        functions: [
          { name: 'ssl_write', isEx: false, offset: offsets.get('SSL_write'), confidence: 'high' },
          { name: 'ssl_read', isEx: false, offset: offsets.get('SSL_read'), confidence: 'high' },
          {
            name: 'ssl_do_handshake',
            isEx: false,
            offset: offsets.get('SSL_do_handshake'),
            confidence: 'high',
          },
        ],
        offsets: {
          ssl_write: offsets.get('SSL_write'),
          ssl_read: offsets.get('SSL_read'),
          ssl_do_handshake: offsets.get('SSL_do_handshake'),
          write_is_ex: false,
          read_is_ex: false,
        },
      },
    ]);
  });

  it('is less certain where the code does not name its file', () => {
    const { path } = build([
      asmFunction('SSL_read', read),
      asmFunction('SSL_write', write, `ret\\n.skip 0x2000, 0x90`),
      asmFunction('other', '90', namesFile),
    ]);
    expect(inspect(path).tls).toMatchObject([{ version: 'BoringSSL', confidence: 'low' }]);
  });

  it('is found where the linker has moved its functions apart, by what SSL_write reports', () => {
    const before = asmFunction('SSL_write', write, `${reports(226)}${reports(111)}${namesFile}`);
    const other = asmFunction('other', write, `${reports(226)}${namesFile}\\n.skip 0x2000, 0x90`);
    const { path, offsets } = build([before, other, asmFunction('SSL_read', read, namesFile)]);
    expect(inspect(path).tls).toMatchObject([
      {
        tier: 'pattern',
        confidence: 'high',
        offsets: { ssl_write: offsets.get('SSL_write'), ssl_read: offsets.get('SSL_read') },
      },
    ]);
  });

  it.each([
    ['two reading functions', [read, read, write], /could be at several places/],
    ['two writing functions', [read, write, write], /could be at several places/],
    ['no writing function', [read], /no known byte pattern/],
    ['a writing function before the reading one', [write, read], /no known byte pattern/],
  ])('is not found with %s', (_, codes, reason) => {
    const { path } = build(codes.map((code, index) => asmFunction(`f${index}`, code, namesFile)));
    const { tls, remarks } = inspect(path);
    expect(tls).toMatchObject([{ library: 'openssl', version: 'BoringSSL', tier: null }]);
    expect(remarks.join()).toMatch(reason);
  });
});
