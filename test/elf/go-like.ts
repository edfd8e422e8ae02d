// A program that begins like one of Go: a table of functions as Go 1.20 and newer write it, and functions with the names of
// crypto/tls, whose code has the byte of a return also where nothing returns.

/** What each instruction set has for the same code: two returns, and an operand that looks like one. */
const body = {
  x86_64: (name: string) => `
    ${name}: cmp $0xc3, %al
    jne 1f
    movabs $0xc3c3c3c3c3c3c3c3, %rcx
    ret
    1: mov $0xc3, %eax
    vmovdqu64 0xc3(%rsp), %zmm17
    ret
    .balign 32, 0xcc`,
  aarch64: (name: string) => `
    ${name}: cbz x0, 1f
    ret
    1: mov x0, #0xc3
    ret
    .balign 16`,
};

export const goFunctions = [
  'crypto/tls.(*Conn).Write',
  'crypto/tls.(*Conn).Read',
  'crypto/tls.(*Conn).clientHandshake',
  'crypto/tls.(*Conn).serverHandshake',
] as const;

export interface GoLike {
  arch: keyof typeof body;
  magic?: number;
  /** Loaded anywhere: the address of the code is in a relocation. */
  isPie?: boolean;
  functions?: readonly string[];
}

/** C source; to be compiled with `goFlags`. */
export function goSource({
  arch,
  magic = 0xfffffff1,
  isPie = false,
  functions = goFunctions,
}: GoLike): string {
  const all = ['main.before', ...functions, 'main.after'];
  const assembly = `
    .section ${isPie ? '.data.rel.ro.gopclntab, "aw"' : '.gopclntab, "a"'}
    .balign 32
    table: .long ${magic}
    .byte 0, 0, ${arch === 'x86_64' ? 1 : 4}, 8
    .quad ${all.length}, 0, go_text, names - table, 0, 0, 0, functions - table
    names: .byte 0
    ${all.map((name, index) => `n${index}: .asciz "${name}"`).join('\n')}
    .balign 8
    functions:
    ${all.map((_, index) => `.long f${index} - go_text, d${index} - functions`).join('\n')}
    .long go_end - go_text
    ${all.map((_, index) => `d${index}: .long f${index} - go_text, n${index} - names, 0, 0`).join('\n')}
    .section .go.buildinfo, "a"
    .balign 16
    .ascii "\\377 Go buildinf:"
    .byte 8, 2
    .zero 16
    .byte 8
    .ascii "go1.27.3"
    .byte 0
    .zero 32
    .text
    .balign 32
    go_text:
    ${all.map((_, index) => body[arch](`f${index}`)).join('\n')}
    go_end: .byte 0`;
  return `void _start(void) {}\nasm(${JSON.stringify(assembly)});\n`;
}

export const goFlags = ({ isPie = false }: GoLike): string[] => [
  '-nostdlib',
  ...(isPie ? ['-pie', '-fPIE', '-Wl,--no-dynamic-linker'] : ['-static', '-no-pie']),
];
