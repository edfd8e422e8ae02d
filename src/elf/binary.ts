// One program or library, inspected: what it is, which TLS libraries it holds and where their plaintext functions
// are. Asks the tiers in turn; how each finds its functions is its own business.

import { type AddressMap, createAddressMap } from './address-map.js';
import { findByDebugFile } from './debug-symbols.js';
import { readDynamicSection } from './dynamic.js';
import { readFunctionTable } from './eh-frame.js';
import { BinaryFile } from './file.js';
import { type Fingerprint, fingerprintOf } from './fingerprint.js';
import { findGoTls, type GoFindings, readGoVersion } from './go-functions.js';
import { type Arch, type ElfHeaders, readHeaders } from './headers.js';
import {
  findEntry,
  findingsOf,
  knownTable,
  type OffsetEntry,
  type OffsetTable,
  offsetsOf,
} from './offset-table.js';
import { type Survey, surveyProgram } from './survey.js';
import { findBySymbols } from './symbol-tier.js';
import { eachRecordLibrary, type Findings, type Tier, tiers } from './tls-function.js';
import { disagreementsOf, librariesOf, type TlsLibrary } from './tls-library.js';
import type { Versions } from './versions.js';

export interface BinaryIdentity {
  /** As given. */
  path: string;
  /** Null when this is no Codex, or one that does not tell. */
  codex_version: string | null;
  arch: Arch;
  fingerprint: Fingerprint;
  /** What stood in the way of an answer, a phrase each. */
  remarks: string[];
}

export interface BinaryReport extends BinaryIdentity {
  tls: TlsLibrary[];
}

export interface TierComparison extends BinaryIdentity {
  tiers: Record<Tier, TlsLibrary[]>;
  /** Functions that two tiers put at different places, a phrase each. */
  disagreements: string[];
}

export interface InspectOptions {
  /** Ask this tier only. */
  tier?: Tier | undefined;
  /**
   * Ask these tiers and read no further than the first answers need: with the table first, a known binary costs
   * its first 64 KiB. Versions are then given only where they came with the answer.
   */
  order?: readonly Tier[] | undefined;
  /** Reads on, with an `order` too, for the versions and for what else is there. */
  readsAll?: boolean | undefined;
  /** Instead of the user's own table and the one that comes with the program. */
  table?: OffsetTable | undefined;
  /** A separate debug file whose symbols are taken instead of the program's own. */
  symbols?: string | undefined;
  /** How much is searched at a time. */
  windowBytes?: number | undefined;
}

/**
 * Inspects the program or library at `path`: at most one pass over what it maps, in a few MiB of memory.
 *
 * @throws AgsightError `unreadable`, `not-a-file`, `not-elf`, `elf-unsupported`, `damaged`, `changed` when it is
 *   written to meanwhile, or, of the debug file, `symbols-mismatch`
 */
export function inspectBinary(path: string, options: InspectOptions = {}): BinaryReport {
  return withInspection(path, options, (inspection) => {
    const order = options.tier === undefined ? (options.order ?? tiers) : [options.tier];
    const firstTier = (answers: (findings: Findings) => boolean) =>
      order.find((tier) => answers(inspection.find(tier))) ?? null;
    const openssl = firstTier(({ functions }) => functions.length > 0);
    const records = eachRecordLibrary((library) => {
      const tier = firstTier(({ records: { [library]: found } }) =>
        options.order === undefined ? Boolean(found) : found !== undefined,
      );
      return { tier, found: tier === null ? undefined : inspection.find(tier).records[library] };
    });
    for (const tier of openssl === null ? order : order.slice(0, order.indexOf(openssl) + 1))
      inspection.remark(inspection.find(tier).doubts);
    if (options.readsAll ?? options.order === undefined) inspection.survey();
    const versions = inspection.versions();
    const isElsewhere = openssl === null && (versions?.openssl ?? null) !== null && inspection.loadsOpenssl();
    return {
      ...inspection.identity(),
      tls: librariesOf(
        {
          tier: openssl,
          functions: openssl === null ? [] : inspection.find(openssl).functions,
          goVersion: inspection.goVersion(),
        },
        records,
        versions && isElsewhere ? { ...versions, openssl: null } : versions,
      ),
    };
  });
}

/** Asks all tiers of the binary at `path`; errors as `inspectBinary`. */
export function compareTiers(
  path: string,
  options: Omit<InspectOptions, 'tier' | 'order'> = {},
): TierComparison {
  return withInspection(path, options, (inspection) => {
    inspection.survey();
    const librariesBy = (tier: Tier) => {
      const { functions, records, doubts } = inspection.find(tier);
      inspection.remark(doubts);
      const byLibrary = eachRecordLibrary((library) => ({ tier, found: records[library] }));
      const goVersion = inspection.goVersion();
      return librariesOf({ tier, functions, goVersion }, byLibrary, undefined);
    };
    const byTier = {
      symbol: librariesBy('symbol'),
      pattern: librariesBy('pattern'),
      table: librariesBy('table'),
    };
    return { ...inspection.identity(), tiers: byTier, disagreements: disagreementsOf(byTier) };
  });
}

interface Inspection {
  /** What the tier finds; each is asked once. */
  find(tier: Tier): Findings;
  remark(what: readonly string[]): void;
  survey(): Survey;
  /** Undefined before the survey. */
  versions(): Versions | undefined;
  /** Whether the loader gives it a libssl: then the version of OpenSSL in it may be that of the headers alone. */
  loadsOpenssl(): boolean;
  /** Null when it is no program of Go, or one that does not tell. */
  goVersion(): string | null;
  identity(): BinaryIdentity;
}

function withInspection<T>(path: string, options: InspectOptions, use: (inspection: Inspection) => T): T {
  const file = BinaryFile.open(path);
  try {
    const headers = readHeaders(file);
    const result = use(inspectionOf(file, headers, options));
    file.requireUnchanged();
    return result;
  } finally {
    file.close();
  }
}

function inspectionOf(file: BinaryFile, headers: ElfHeaders, options: InspectOptions): Inspection {
  const map = createAddressMap(headers.segments);
  const fingerprint = fingerprintOf(file, headers);
  const table = options.table ?? knownTable();
  const remarks = [...table.problems];
  const known = findEntry(table, fingerprint, headers.arch);
  const entry = soundEntry(known, file, headers, map, remarks);
  let survey: Survey | undefined;
  const surveyOnce = () => {
    survey ??= surveyProgram(file, headers, map, options.windowBytes);
    return survey;
  };
  const finders: Record<Tier, () => Findings> = {
    symbol: () =>
      options.symbols === undefined
        ? withGo(findBySymbols(file, headers, map), findGoTls(file, headers, map))
        : findByDebugFile(options.symbols, { file, headers, map, buildId: fingerprint.build_id }),
    pattern: () => surveyOnce().patterns,
    table: () => findingsOf(entry),
  };
  const found = new Map<Tier, Findings>();
  return {
    find(tier) {
      const before = found.get(tier);
      if (before !== undefined) return before;
      const findings = finders[tier]();
      found.set(tier, findings);
      remarks.push(...findings.reasons);
      return findings;
    },
    remark: (what) => void remarks.push(...what),
    survey: surveyOnce,
    versions: () => survey?.versions,
    loadsOpenssl: () =>
      readDynamicSection(file, headers, map)?.needed.some((name) => /^libssl[.-]/.test(name)) === true,
    goVersion: () => readGoVersion(file, headers),
    identity() {
      const codex = survey?.versions.codex ?? null;
      if (codex !== null && entry !== undefined && codex !== entry.codex_version) {
        remarks.push(`it calls itself Codex ${codex}, the offset table ${entry.codex_version}`);
      }
      return {
        path: file.path,
        codex_version: codex ?? entry?.codex_version ?? null,
        arch: headers.arch,
        fingerprint,
        remarks,
      };
    },
  };
}

/** What a Go program calls its functions is as good as a symbol. */
function withGo(findings: Findings, { functions, reasons }: GoFindings): Findings {
  return {
    ...findings,
    functions: [...findings.functions, ...functions],
    reasons: [...findings.reasons, ...reasons],
  };
}

/** A probe in the middle of an instruction would corrupt the program: a row that asks for one is not used at all. */
function soundEntry(
  entry: OffsetEntry | undefined,
  file: BinaryFile,
  headers: ElfHeaders,
  map: AddressMap,
  remarks: string[],
): OffsetEntry | undefined {
  if (entry === undefined) return undefined;
  const offsets = offsetsOf(entry);
  if (!offsets.every(map.isCode)) {
    remarks.push('its row of the offset table points outside of its code');
    return undefined;
  }
  const starts = readFunctionTable(file, headers, map);
  // Without frames there is nothing to ask: an alignment that every compiler keeps is better than no test.
  const isStart = (offset: number) => {
    const vaddr = map.toVaddr(offset) ?? 1;
    return starts === undefined ? vaddr % alignment[headers.arch] === 0 : starts.has(vaddr);
  };
  if (offsets.every(isStart)) return entry;
  remarks.push('its row of the offset table points to where no function starts');
  return undefined;
}

/** At multiples of this, functions start: of x86-64 as compilers have it, of AArch64 as instructions have it. */
const alignment = { x86_64: 16, aarch64: 4 } as const;
