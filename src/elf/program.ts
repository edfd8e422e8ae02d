// What a person means by a program: the native binary behind a launcher script, and the TLS libraries that it has
// the loader load when it holds none itself.

import {
  type BinaryReport,
  compareTiers,
  type InspectOptions,
  inspectBinary,
  type TierComparison,
} from './binary.js';
import { nativeProgramOf } from './launcher.js';
import { foreignTlsLibraries, linkedTlsLibraries } from './linked-libraries.js';
import { foreignVerdicts, type TlsVerdict, tlsVerdicts } from './tls-verdict.js';

export interface ProgramReport extends BinaryReport {
  /** The script that led to the program; null when the program itself was named. */
  launcher: string | null;
  /** Libraries of other files, whose offsets are in those files. */
  linked: BinaryReport[];
  /** Libraries that are there, linked ones among them, and that a capture does not see. */
  unseen: TlsVerdict[];
}

/** Errors as `inspectBinary` and `nativeProgramOf`. */
export function inspectProgram(path: string, options: InspectOptions = {}): ProgramReport {
  const native = nativeProgramOf(path);
  const report = inspectBinary(native, options);
  const holdsNone = report.tls.every(({ tier }) => tier === null);
  const mayFollow = options.symbols === undefined && (options.tier ?? 'symbol') === 'symbol';
  const libraries = holdsNone && mayFollow ? linkedTlsLibraries(native) : [];
  const linked = libraries
    .map((library) => inspectBinary(library, { tier: 'symbol', table: options.table }))
    .filter(({ tls }) => tls.some(({ tier }) => tier !== null));
  // Beside a library that is seen, another one serves other protocols, as NSS may do LDAP in a program with OpenSSL.
  const foreign = holdsNone && linked.length === 0 ? foreignTlsLibraries(native) : [];
  return {
    ...report,
    launcher: native === path ? null : path,
    linked,
    unseen: [...tlsVerdicts(report).filter(({ is_captured }) => !is_captured), ...foreignVerdicts(foreign)],
  };
}

/** All tiers of the native binary; errors as `inspectProgram`. */
export function compareProgramTiers(
  path: string,
  options: Omit<InspectOptions, 'tier' | 'order'> = {},
): TierComparison {
  return compareTiers(nativeProgramOf(path), options);
}
