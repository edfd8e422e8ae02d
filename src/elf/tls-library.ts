// The TLS libraries of one program or library file as its report has them, put together from what the tiers found.

import {
  type Confidence,
  isOfGnutls,
  isOfGo,
  type OpensslOffsets,
  opensslConfidence,
  opensslOffsets,
  type RecordAnswer,
  type RecordLibraryName,
  type RecordOffsets,
  recordFunctions,
  recordLibraryNames,
  symbolName,
  type Tier,
  type TlsFunction,
  tiers,
} from './tls-function.js';
import type { Versions } from './versions.js';

interface Finding {
  /** The tier that found the functions; null when the library is there and its functions were not found. */
  tier: Tier | null;
  /** Null when nothing was found. */
  confidence: Confidence | null;
  /** All that were found and have OpenSSL's signatures, also a plain one beside its `_ex` variant. */
  functions: TlsFunction[];
}

interface OpensslLibrary extends Finding {
  library: 'openssl';
  /** Null when unknown. */
  version: string | null;
  offsets: OpensslOffsets | null;
}

/** Moves bytes as OpenSSL's plain calls do. */
interface GnutlsLibrary extends Finding {
  library: 'gnutls';
  version: null;
  offsets: Readonly<Record<string, number>>;
}

/** The one of Go, with the version of Go itself. */
interface GoLibrary extends Finding {
  library: 'crypto/tls';
  version: string | null;
  offsets: Readonly<Record<string, number>> | null;
}

/** Encrypts records for rustls. Its functions have signatures of their own: they are in `offsets` only. */
interface RecordLibrary extends Finding {
  library: RecordLibraryName;
  version: string | null;
  offsets: RecordOffsets | null;
}

/** There, and with no function that agsight knows. */
interface OtherLibrary extends Finding {
  library: 'rustls';
  version: string | null;
  offsets: null;
}

export type TlsLibrary = OpensslLibrary | GnutlsLibrary | GoLibrary | RecordLibrary | OtherLibrary;

const notFound: Finding & { offsets: null } = { tier: null, confidence: null, functions: [], offsets: null };

/** `versions`: what the texts say; undefined when nobody has read them. */
export function librariesOf(
  calls: { tier: Tier | null; functions: TlsFunction[]; goVersion: string | null },
  records: Record<RecordLibraryName, { tier: Tier | null; found: RecordAnswer }>,
  versions: Versions | undefined,
): TlsLibrary[] {
  const libraries: TlsLibrary[] = [];
  const { tier, goVersion } = calls;
  const functions = calls.functions.filter((found) => !isOfGnutls(found) && !isOfGo(found));
  const go = calls.functions.filter(isOfGo);
  const gnutls = calls.functions.filter(isOfGnutls);
  const version = versions?.openssl ?? null;
  if (functions.length > 0) {
    libraries.push({
      library: 'openssl',
      version,
      tier,
      confidence: opensslConfidence(functions),
      functions,
      offsets: opensslOffsets(functions),
    });
  } else if (version !== null) {
    libraries.push({ library: 'openssl', version, ...notFound });
  }
  if (gnutls.length > 0) {
    libraries.push({
      library: 'gnutls',
      version: null,
      tier,
      confidence: 'high',
      functions: gnutls,
      offsets: offsetsByName(gnutls),
    });
  }
  const texts = {
    'aws-lc': { isThere: versions?.hasAwslc, version: null },
    ring: { isThere: versions?.hasRing, version: versions?.ring ?? null },
  };
  for (const library of recordLibraryNames) {
    const { found, tier: byTier } = records[library];
    const { isThere, version: theirs } = texts[library];
    if (found) libraries.push({ library, version: theirs, tier: byTier, functions: [], ...found });
    else if (isThere) libraries.push({ library, version: theirs, ...notFound });
  }
  const encrypts = recordLibraryNames.some((name) => libraries.some(({ library }) => library === name));
  if (versions?.rustls && !encrypts)
    libraries.push({ library: 'rustls', version: versions.rustls, ...notFound });
  if (go.length > 0) {
    libraries.push({
      library: 'crypto/tls',
      version: goVersion,
      tier,
      confidence: 'high',
      functions: go,
      offsets: offsetsByName(go),
    });
  } else if (versions?.hasGoTls) {
    libraries.push({ library: 'crypto/tls', version: goVersion, ...notFound });
  }
  return libraries;
}

const offsetsByName = (functions: readonly TlsFunction[]): Readonly<Record<string, number>> =>
  Object.fromEntries(functions.map(({ name, offset }) => [name, offset]));

export interface NamedFunction {
  /** The name that it has in its library. */
  symbol: string;
  /** In bytes from the start of the file. */
  offset: number;
  confidence: Confidence;
  /** As in TlsFunction. */
  returns?: readonly number[];
}

/** The functions of a library, by the names that they have in it. */
export function functionsOf({ library, functions, offsets, confidence }: TlsLibrary): NamedFunction[] {
  if (library !== 'aws-lc' && library !== 'ring') {
    return functions.map((found) => {
      const { offset, confidence, returns } = found;
      return { symbol: symbolName(found), offset, confidence, ...(returns && { returns }) };
    });
  }
  return recordFunctions(library).flatMap(([key, symbol]) => {
    const offset = offsets?.[key];
    return offset === undefined ? [] : [{ symbol, offset, confidence: confidence ?? 'low' }];
  });
}

export function disagreementsOf(byTier: Record<Tier, TlsLibrary[]>): string[] {
  const functions = tiers.flatMap((tier) =>
    byTier[tier].flatMap(functionsOf).map(({ symbol, offset }) => ({ tier, symbol, offset })),
  );
  return [...new Set(functions.map(({ symbol }) => symbol))].flatMap((symbol) => {
    const named = functions.filter((found) => found.symbol === symbol);
    const asked = new Set(named.map(({ tier }) => tier));
    // A symbol may stand at several places; what the tiers have in common is agreed on.
    const isAgreed = named.some(
      ({ offset }) => named.filter((found) => found.offset === offset).length === asked.size,
    );
    if (isAgreed) return [];
    return [`${symbol} is at ${named.map(({ tier, offset }) => `${offset} by ${tier}`).join(', ')}`];
  });
}
