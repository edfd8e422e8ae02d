// One program or library, inspected: what it is, which TLS libraries it holds and where their plaintext functions
// are. Asks the tiers in turn; how each finds its functions is its own business.

import { type AddressMap, createAddressMap } from './address-map.js';
import { BinaryFile } from './file.js';
import { type Fingerprint, fingerprintOf } from './fingerprint.js';
import { type Arch, readHeaders } from './headers.js';
import {
  awslcOffsetsOf,
  builtInTable,
  findEntry,
  type OffsetEntry,
  type OffsetTable,
  offsetsOf,
  opensslFunctionsOf,
} from './offset-table.js';
import { type Survey, surveyProgram } from './survey.js';
import { findBySymbols } from './symbol-tier.js';
import {
  type AwslcOffsets,
  type OpensslOffsets,
  opensslOffsets,
  type Tier,
  type TlsFunction,
} from './tls-function.js';

export type { Tier, TlsFunction };

interface Finding {
  /** The tier that found the functions; null when the library is there and its functions were not found. */
  tier: Tier | null;
  /** All that were found and have OpenSSL's signatures, also a plain one beside its `_ex` variant. */
  functions: TlsFunction[];
}

interface OpensslLibrary extends Finding {
  library: 'openssl';
  /** Null when unknown. */
  version: string | null;
  offsets: OpensslOffsets | null;
}

/** Its record functions have signatures of their own: they are in `offsets` only. */
interface AwslcLibrary extends Finding {
  library: 'aws-lc';
  version: null;
  offsets: AwslcOffsets | null;
}

export type TlsLibrary = OpensslLibrary | AwslcLibrary;

export interface BinaryReport {
  /** As given. */
  path: string;
  /** Null when this is no Codex, or one that does not tell. */
  codex_version: string | null;
  arch: Arch;
  fingerprint: Fingerprint;
  tls: TlsLibrary[];
  /** What stood in the way of an answer, a phrase each. */
  remarks: string[];
}

export interface InspectOptions {
  /** Ask this tier only. */
  tier?: Tier | undefined;
  /**
   * Ask these tiers and read no further than the first answer needs: with the table first, a known binary costs
   * its first 64 KiB. Versions are then given only where they came with the answer.
   */
  order?: readonly Tier[] | undefined;
  /** Instead of the table that comes with the program. */
  table?: OffsetTable | undefined;
  /** How much is searched at a time. */
  windowBytes?: number | undefined;
}

const allTiers: readonly Tier[] = ['symbol', 'pattern', 'table'];

/**
 * Inspects the program or library at `path`: at most one pass over what it maps, in a few MiB of memory.
 *
 * @throws AgsightError `unreadable`, `not-a-file`, `not-elf`, `elf-unsupported` or `damaged`
 */
export function inspectBinary(path: string, options: InspectOptions = {}): BinaryReport {
  const file = BinaryFile.open(path);
  try {
    return inspect(file, options);
  } finally {
    file.close();
  }
}

function inspect(file: BinaryFile, options: InspectOptions): BinaryReport {
  const headers = readHeaders(file);
  const map = createAddressMap(headers.segments);
  const fingerprint = fingerprintOf(file, headers);
  const remarks: string[] = [];
  const entry = soundEntry(
    findEntry(options.table ?? builtInTable(), fingerprint, headers.arch),
    map,
    remarks,
  );
  let survey: Survey | undefined;
  const surveyOnce = () => {
    survey ??= surveyProgram(file, headers, map, options.windowBytes);
    return survey;
  };

  const order = options.tier === undefined ? (options.order ?? allTiers) : [options.tier];
  const openssl = firstAnswer(order, {
    symbol: () => findBySymbols(file, headers, map),
    pattern() {
      const { functions, reason } = surveyOnce().patterns;
      if (reason !== undefined) remarks.push(reason);
      return functions;
    },
    table: () => (entry === undefined ? [] : opensslFunctionsOf(entry)),
  });
  const awslc = entry !== undefined && order.includes('table') ? awslcOffsetsOf(entry) : null;
  if (options.order === undefined) surveyOnce();
  const versions = survey?.versions;
  if (versions?.codex && entry && versions.codex !== entry.codex_version) {
    remarks.push(`it calls itself Codex ${versions.codex}, the offset table ${entry.codex_version}`);
  }

  const tls: TlsLibrary[] = [];
  if (openssl.tier !== null || versions?.openssl) {
    const offsets = openssl.tier === null ? null : opensslOffsets(openssl.functions);
    tls.push({ library: 'openssl', version: versions?.openssl ?? null, ...openssl, offsets });
  }
  if (awslc !== null || versions?.hasAwslc) {
    const tier = awslc === null ? null : 'table';
    tls.push({ library: 'aws-lc', version: null, tier, functions: [], offsets: awslc });
  }
  return {
    path: file.path,
    codex_version: versions?.codex ?? entry?.codex_version ?? null,
    arch: headers.arch,
    fingerprint,
    tls,
    remarks,
  };
}

function firstAnswer(order: readonly Tier[], find: Record<Tier, () => TlsFunction[]>): Finding {
  for (const tier of order) {
    const functions = find[tier]();
    if (functions.length > 0) return { tier, functions };
  }
  return { tier: null, functions: [] };
}

/** A probe on anything but code would corrupt the program: a row that asks for one is not used at all. */
function soundEntry(
  entry: OffsetEntry | undefined,
  map: AddressMap,
  remarks: string[],
): OffsetEntry | undefined {
  if (entry === undefined || offsetsOf(entry).every((offset) => map.isCode(offset))) return entry;
  remarks.push('its row of the offset table points outside of its code');
  return undefined;
}
