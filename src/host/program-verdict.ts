// How the TLS of a program would be captured, in all files that it consists of: itself, the libraries that it is linked
// to and those that it has loaded. What is said of each library is src/elf/tls-verdict.ts.

import { statSync } from 'node:fs';
import { sharedTlsLibrary } from '../capture/probed-binaries.js';
import { mappedFiles } from '../capture/process.js';
import { type BinaryReport, inspectBinary } from '../elf/binary.js';
import { nativeProgramOf } from '../elf/launcher.js';
import { foreignTlsLibraries, linkedTlsLibraries } from '../elf/linked-libraries.js';
import { captureTiers } from '../elf/tls-function.js';
import { foreignVerdicts, type TlsVerdict, tlsVerdicts } from '../elf/tls-verdict.js';
import { AgsightError } from '../errors.js';

interface FileVerdict extends TlsVerdict {
  /** The program itself or a library that it loads, as the program knows it. */
  file: string;
}

export interface ProgramVerdict {
  /** As given, or as the process knows it. */
  program: string;
  /** The native program behind a launcher script; null when the program itself was named. */
  native: string | null;
  /** Of Codex; null for another program, and when it does not tell. */
  version: string | null;
  tls: FileVerdict[];
  /** What stood in the way of looking at it, or at a part of it. */
  remarks: string[];
}

/** Looks at each file once, however many processes run it. */
export class ProgramVerdicts {
  readonly #examine: (path: string) => BinaryReport;
  readonly #reports = new Map<string, BinaryReport>();

  /** @param examine how the files are inspected; by default as a capture does, and on with all that can be told */
  constructor(examine: (path: string) => BinaryReport = inspectWholly) {
    this.#examine = examine;
  }

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
    const tls = [...files.values()].flatMap((file) => {
      return tlsVerdicts(file.report).map((verdict) => ({ ...verdict, file: file.name }));
    });
    // Beside a library that is seen, another one serves other protocols, as NSS may do LDAP in a program with OpenSSL.
    const foreign = tls.some(({ is_captured }) => is_captured) ? [] : foreignTlsLibraries(path);
    tls.push(...foreignVerdicts(foreign).map((verdict) => ({ ...verdict, file: name })));
    return { program: name, version: report.codex_version, tls, remarks };
  }

  #inspect(path: string): BinaryReport {
    const key = identity(path);
    const known = this.#reports.get(key);
    if (known !== undefined) return known;
    const report = this.#examine(path);
    this.#reports.set(key, report);
    return report;
  }
}

function inspectWholly(path: string): BinaryReport {
  return inspectBinary(path, { order: captureTiers, readsAll: true });
}

function identity(path: string): string {
  const { dev, ino } = statSync(path);
  return `${dev}:${ino}`;
}
