// Types for the part of elfy that is used: its header parsers, on slices that we have bounded.

declare module 'elfy' {
  export interface Header {
    class: '32' | '64';
    endian: 'lsb' | 'msb';
    type: string | undefined;
    machine: string | undefined;
    phoff: number;
    phentsize: number;
    phnum: number;
    shoff: number;
    shentsize: number;
    shnum: number;
    shstrndx: number;
  }

  export interface Program {
    type: string | undefined;
    offset: number;
    vaddr: number;
    filesz: number;
    memsz: number;
    align: number;
    flags: Record<string, true>;
  }

  export interface Section {
    /** Index in the string table of section names. */
    name: number;
    addr: number;
    type: string | number;
    off: number;
    size: number;
    link: number;
  }

  export class Parser {
    parseHeader(bytes: Buffer): Header;
    parsePrograms(bytes: Buffer, header: Header): Program[];
    parseSections(bytes: Buffer, header: Header): Section[];
  }

  const elfy: { Parser: typeof Parser };
  export default elfy;
}
