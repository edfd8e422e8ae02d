// The files that carry probes: each once, however many processes run it. Decides which functions of a file
// are probed and how; finding the functions is src/elf's work.

import { closeSync, existsSync, fstatSync, openSync, readSync, type Stats, statSync } from 'node:fs';
import { basename } from 'node:path';
import type { KernelProgram, Probe } from '../bpf/kernel-program.js';
import { Cookie, tlsLibraries } from '../bpf/record.js';
import { type BinaryReport, inspectBinary } from '../elf/binary.js';
import { linkedTlsLibraries } from '../elf/linked-libraries.js';
import { captureTiers, symbolName, type TlsFunction } from '../elf/tls-function.js';
import { functionsOf, type TlsLibrary } from '../elf/tls-library.js';
import { AgsightError } from '../errors.js';
import { inspectOnce } from './inspection-cache.js';
import { PlainPrograms } from './plain-programs.js';

export interface ProbedBinary {
  /** The path as the processes know it. */
  path: string;
  report: BinaryReport;
  probes: { library: string; function: string; offset: number; tier: string }[];
  /** It was in use for this long, and until then on the wall clock, before its probes were in place; undefined when it was not. */
  late?: { pid: number; ms: number; untilNs: bigint };
}

/** Names under which programs load TLS libraries that are probed. */
export const sharedTlsLibrary = /^lib(ssl|gnutls)(\.|-).*so/;

const endbr64 = Buffer.from([0xf3, 0x0f, 0x1e, 0xfa]);

/**
 * Where to put the probe of a function. The kernel single-steps `endbr64`, which costs ten times as much as
 * what follows; the arguments and the return address are the same four bytes later.
 */
function probeOffset(file: number, offset: number, arch: string): number {
  if (arch !== 'x86_64') return offset;
  const first = Buffer.alloc(endbr64.length);
  readSync(file, first, 0, first.length, offset);
  return first.equals(endbr64) ? offset + endbr64.length : offset;
}

/** A function to probe, with the name that people know it by. */
interface Target {
  library: (typeof tlsLibraries)[number];
  name: string;
  offset: number;
  flags: number;
  atReturn: boolean;
  /** Where it returns, when it is not probed by way of the stack. */
  returns?: readonly number[];
  tier: string;
}

const isHandshake = (name: TlsFunction['name']) => name.endsWith('_handshake');
const isReceive = (name: TlsFunction['name']) => name.endsWith('_read') || name.endsWith('_recv');

function flagsOf({ name, isEx }: TlsFunction): number {
  return (
    (isEx ? Cookie.ex : 0) |
    (isReceive(name) ? Cookie.receive : 0) |
    (isHandshake(name) ? Cookie.handshake : 0)
  );
}

/** What is probed of a library: the calls of OpenSSL, GnuTLS and Go; of what rustls drives, the AEAD below the records. */
function targetsOf(stack: TlsLibrary): Target[] {
  const { library, tier } = stack;
  if (tier === null || library === 'rustls') return [];
  if (library === 'openssl' || library === 'gnutls' || library === 'crypto/tls') {
    const isGo = library === 'crypto/tls';
    return stack.functions.map((found) => ({
      library,
      name: symbolName(found),
      offset: found.offset,
      flags: flagsOf(found) | (isGo ? Cookie.go : 0),
      atReturn: !isGo && !isHandshake(found.name),
      returns: found.returns ?? [],
      tier,
    }));
  }
  return functionsOf(stack).map(({ symbol, offset }) => {
    const atReturn = symbol.endsWith('open');
    const flags =
      Cookie.aead |
      (library === 'ring' ? Cookie.ring : 0) |
      (symbol.endsWith('scatter') ? Cookie.scatter : 0) |
      (atReturn ? Cookie.receive : 0);
    return { library, name: symbol, offset, flags, atReturn, tier };
  });
}

/** Device, inode and size: a program may be built anew into the file that it was in. */
export function identity(path: string): string {
  return identityOf(statSync(path));
}

function identityOf({ dev, ino, size }: Stats): string {
  return `${dev}:${ino}:${size}`;
}

/**
 * What a capture needs to know of a file, and no more, or as it is remembered. Errors: those of `inspectBinary`.
 *
 * @param held another path of the file, for when `path` has gone
 */
export function inspectForProbes(path: string, held = path): BinaryReport {
  const inspect = (file: string) => inspectBinary(file, { order: captureTiers });
  try {
    return inspectOnce(path, inspect);
  } catch (error) {
    if (held === path || existsSync(path)) throw error;
    return inspectOnce(held, inspect);
  }
}

export class ProbedBinaries {
  readonly #program: Pick<KernelProgram, 'attach' | 'ignore'>;
  /** By identity: a path may be replaced, and one file may have many paths. */
  readonly #examined = new Map<string, ProbedBinary | undefined>();
  readonly #reports = new Map<string, BinaryReport>();
  readonly plain = new PlainPrograms();

  constructor(program: Pick<KernelProgram, 'attach' | 'ignore'>) {
    this.#program = program;
  }

  /** The files that carry probes, in the order in which they were met. */
  get all(): ProbedBinary[] {
    return [...this.#examined.values()].filter((binary) => binary !== undefined);
  }

  /** What was found in a file that was examined, by its identity. */
  reportOf(key: string): BinaryReport | undefined {
    return this.#reports.get(key);
  }

  /** Looks into a file that may be probed later, which is remembered. What cannot be inspected is left to then. */
  inspectAhead(path: string): void {
    try {
      inspectForProbes(path);
    } catch (error) {
      if (!isNotProbeable(error)) throw error;
    }
  }

  /**
   * Probes the TLS functions of the file at `path` unless that was done before. Returns undefined when
   * it has none that agsight knows.
   *
   * @param name what to call it in the capture, when `path` leads through /proc.
   * Errors: those of `inspectBinary` and `attach`.
   */
  probe(path: string, name = path): ProbedBinary | undefined {
    const file = openSync(path, 'r');
    try {
      // The path may lead through a process that ends meanwhile; the file stays.
      const held = `/proc/self/fd/${file}`;
      const stats = fstatSync(file);
      const key = identityOf(stats);
      if (this.#examined.has(key)) return this.#examined.get(key);
      const report = this.#inspect(path, held, stats);
      // What goes wrong now may go well for the next process.
      const binary = this.#attach(held, file, name, report);
      this.#reports.set(key, report);
      this.#examined.set(key, binary);
      const isLibrary = sharedTlsLibrary.test(basename(name));
      // Of a library it must be known that it was looked into: a process that has one which was not is told as missed.
      if (report.tls.length === 0 && !isLibrary) this.plain.add(name, stats);
      // A program with probes is still announced: each process of it may keep its sessions elsewhere.
      if (binary === undefined || isLibrary) this.#program.ignore(stats);
      return binary;
    } finally {
      closeSync(file);
    }
  }

  /**
   * Probes a program and the TLS libraries that it is linked to. Returns what carries probes now; for a program that was
   * met before, only the program itself.
   */
  probeProgram(path: string, name = path): ProbedBinary[] {
    const isKnown = this.#examined.has(identity(path));
    const program = this.probe(path, name);
    const libraries = isKnown ? [] : linkedTlsLibraries(path).map((library) => this.probe(library));
    return [program, ...libraries].filter((binary) => binary !== undefined);
  }

  #inspect(path: string, held: string, stats: Stats): BinaryReport {
    try {
      return inspectForProbes(path, held);
    } catch (error) {
      this.#examined.set(identityOf(stats), undefined);
      this.#program.ignore(stats);
      throw error;
    }
  }

  #attach(path: string, file: number, name: string, report: BinaryReport): ProbedBinary | undefined {
    const probes: Probe[] = [];
    const described: ProbedBinary['probes'] = [];
    for (const target of report.tls.flatMap(targetsOf)) {
      const { library, name, atReturn, returns = [], tier } = target;
      const cookie = (tlsLibraries.indexOf(library) << Cookie.libraryShift) | target.flags;
      // First where it returns: a call that begins in between is missed whole.
      for (const offset of returns) probes.push({ offset, cookie: cookie | Cookie.goReturn, atReturn });
      probes.push({ offset: probeOffset(file, target.offset, report.arch), cookie, atReturn });
      described.push({ library, function: name, offset: target.offset, tier });
    }
    if (!probes.some(({ atReturn, cookie }) => atReturn || cookie & Cookie.goReturn)) return undefined;
    this.#program.attach(path, probes, name);
    return { path: name, report, probes: described };
  }
}

/** Errors that mean "not a program that could carry TLS functions": scripts, other formats, files that are gone. */
export function isNotProbeable(error: unknown): boolean {
  return error instanceof AgsightError || (error instanceof Error && 'syscall' in error);
}
