// How the TLS of a program would be captured, library by library: what a capture would probe, or why it would see
// nothing. Finding the functions is src/elf's work, choosing among them src/capture's.

import { statSync } from 'node:fs';
import { probedFunctions, sharedTlsLibrary } from '../capture/probed-binaries.js';
import { mappedFiles } from '../capture/process.js';
import { type BinaryReport, inspectBinary } from '../elf/binary.js';
import { nativeProgramOf } from '../elf/launcher.js';
import { linkedTlsLibraries } from '../elf/linked-libraries.js';
import { AgsightError } from '../errors.js';

export interface TlsVerdict {
  /** The program itself or a library that it loads, as the program knows it. */
  file: string;
  library: string;
  version: string | null;
  is_captured: boolean;
  /** The functions that are probed, and the tier that found them; empty and null when none are. */
  functions: string[];
  tier: string | null;
  /** Why it is not captured, and what to do about it. */
  reason: string | null;
  remedy: string | null;
}

export interface ProgramVerdict {
  /** As given, or as the process knows it. */
  program: string;
  /** The native program behind a launcher script; null when the program itself was named. */
  native: string | null;
  version: string | null;
  tls: TlsVerdict[];
  /** What stood in the way of looking at it, or at a part of it. */
  remarks: string[];
}

const notFound = 'its functions were not found';
const unknownBuild = 'give their places with an offset table or --symbols: agsight offsets --help';

/** Looks at each file once, however many processes run it. */
export class TlsVerdicts {
  readonly #reports = new Map<string, BinaryReport>();

  /** Of the program at `path`. Errors: those of `inspectBinary` and `nativeProgramOf`. */
  ofProgram(path: string): ProgramVerdict {
    const native = nativeProgramOf(path);
    return { ...this.#verdict(native, path, []), native: native === path ? null : native };
  }

  /** Of a running process. Errors: those of `inspectBinary`, and a system error where we may not look. */
  ofProcess(pid: number, name: string): ProgramVerdict {
    return { ...this.#verdict(`/proc/${pid}/exe`, name, mappedFiles(pid, sharedTlsLibrary)), native: null };
  }

  #verdict(path: string, name: string, mapped: readonly { path: string; name: string }[]) {
    const report = this.#inspect(path);
    const files = new Map([[identity(path), { report, name }]]);
    const remarks = [...report.remarks];
    const linked = linkedTlsLibraries(path).map((library) => ({ path: library, name: library }));
    for (const library of [...mapped, ...linked]) {
      try {
        const key = identity(library.path);
        if (!files.has(key)) files.set(key, { report: this.#inspect(library.path), name: library.name });
      } catch (error) {
        remarks.push(error instanceof AgsightError ? error.message : `${library.name}: ${String(error)}`);
      }
    }
    const tls = [...files.values()].flatMap((file) => librariesOf(file.report, file.name));
    return { program: name, version: report.codex_version, tls, remarks };
  }

  #inspect(path: string): BinaryReport {
    const key = identity(path);
    const known = this.#reports.get(key);
    if (known !== undefined) return known;
    const report = inspectBinary(path, { order: ['table', 'symbol', 'pattern'] });
    this.#reports.set(key, report);
    return report;
  }
}

function identity(path: string): string {
  const { dev, ino } = statSync(path);
  return `${dev}:${ino}`;
}

function librariesOf(report: BinaryReport, file: string): TlsVerdict[] {
  return report.tls.map((stack) => {
    const functions = probedFunctions(stack);
    const isCaptured = functions.length > 0;
    return {
      file,
      library: stack.library,
      version: stack.version,
      is_captured: isCaptured,
      functions,
      tier: stack.tier,
      reason: isCaptured ? null : notFound,
      remedy: isCaptured ? null : unknownBuild,
    };
  });
}
