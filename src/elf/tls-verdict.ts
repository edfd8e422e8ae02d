// Library by library: how a capture sees what a program says over TLS, or why it does not and what can be done. The one
// place that puts this into words; finding the functions is binary.ts's.

import type { BinaryReport } from './binary.js';
import { type Confidence, recordLibraryNames, type Tier } from './tls-function.js';
import { functionsOf, type TlsLibrary } from './tls-library.js';

export interface TlsVerdict {
  library: string;
  /** Null when unknown. */
  version: string | null;
  is_captured: boolean;
  /** The functions that are probed; empty when none are. */
  functions: string[];
  /** What found them; null when none are. */
  tier: Tier | null;
  /** How sure that is. */
  confidence: Confidence | null;
  /** Why it is not captured, and what to do about it; null when it is. */
  reason: string | null;
  remedy: string | null;
}

const table = 'give the places of its functions with an offset table or --symbols: agsight offsets --help';
const otherBuild = 'use a build with OpenSSL, or with rustls on aws-lc or ring 0.17.14';

/** Of the libraries that the file itself holds. */
export function tlsVerdicts(report: BinaryReport): TlsVerdict[] {
  return report.tls.flatMap((stack) => {
    const functions = functionsOf(stack).map(({ symbol }) => symbol);
    const { library, version, tier, confidence } = stack;
    if (functions.length > 0) {
      return [
        { library, version, is_captured: true, functions, tier, confidence, reason: null, remedy: null },
      ];
    }
    return isIdle(stack, report) ? [] : [unseen(library, version, ...obstacleOf(stack, report))];
  });
}

/** Of libraries that agsight cannot look into, by their names. */
export function foreignVerdicts(names: readonly string[]): TlsVerdict[] {
  return names.map((name) => unseen(name, null, 'agsight has no probes for this library', otherBuild));
}

function unseen(library: string, version: string | null, reason: string, remedy: string): TlsVerdict {
  return {
    library,
    version,
    is_captured: false,
    functions: [],
    tier: null,
    confidence: null,
    reason,
    remedy,
  };
}

/** Of a library that is captured: `by table, confidence high` */
export function howFound({ tier, confidence }: TlsVerdict): string {
  return `by ${tier}, confidence ${confidence}`;
}

/** rustls has its records encrypted by one library; another one that lacks the functions for that does other work. */
function isIdle({ library }: TlsLibrary, { tls }: BinaryReport): boolean {
  const isRecordLibrary = (name: string) => recordLibraryNames.some((known) => known === name);
  return (
    isRecordLibrary(library) && tls.some((other) => isRecordLibrary(other.library) && other.tier !== null)
  );
}

function obstacleOf({ library }: TlsLibrary, { remarks }: BinaryReport): [reason: string, remedy: string] {
  const because = remarks.length === 0 ? '' : `: ${remarks.join('; ')}`;
  switch (library) {
    case 'crypto/tls':
      return [
        `its functions were not found${because}`,
        'use a build with Go 1.18 or newer that has its section headers',
      ];
    case 'rustls':
      return ['it encrypts with neither ring nor aws-lc', otherBuild];
    case 'aws-lc':
    case 'ring':
      return [`the functions that encrypt records for rustls were not found${because}`, otherBuild];
    default:
      return [`its functions were not found${because}`, table];
  }
}
